// What authors of policies in JavaScript write against: the contract in sdk/wit, with words checked and helpers beside
// them. It needs nothing of the host, so a policy can be imported by a test under Node.js as well.
//
// Whatever is wrong with a definition is thrown while the component is built; whatever goes wrong in an evaluation
// becomes the policy's answer, with the place in the author's source.

import { answering, bytes, described, duration, known, line, Misuse, MOST, onlyKeys, value, withoutClockAndChance } from './common.js';

export { CannotAnswer, duration, setting } from './common.js';

const SERVICES = ['repository', 'activemq', 'dsa', 'daemon', 'agent', 'rest', 'sync'];
const PLACES = ['active', 'standby', 'additional'];
const STATUSES = ['up', 'down', 'unknown'];
const GRANTS = ['rescue', 'stop-service', 'failover', 'hold', 'alert'];
const SEVERITIES = ['info', 'warning', 'critical'];

// ---- facts ----

/** What the probes of a thing together say. */
class State {
  /** Whether it was found up. */
  isUp() {
    return this.status === 'up';
  }
  /** Whether it was found down `times` times in a row. */
  downFor(times) {
    return this.status === 'down' && this.confirmations >= times;
  }
  /** Whether it was found up `times` times in a row. */
  upFor(times) {
    return this.status === 'up' && this.confirmations >= times;
  }
  /** Whether nothing could be told of it `times` times in a row. */
  unknownFor(times) {
    return this.status === 'unknown' && this.confirmations >= times;
  }
}

function withState(found) {
  if (found) {
    Object.setPrototypeOf(found.state, State.prototype);
  }
  return found;
}

/** A measured value as a plain boolean, number or text. */
function withValue(measure) {
  return measure && { ...measure, value: measure.value.val };
}

function filter(given = {}) {
  const { place = null, service = null, status, expected = null } = onlyKeys('a filter', given, [
    'place',
    'service',
    'status',
    'expected',
  ]);
  const wanted = status === undefined ? STATUSES : [status].flat();
  wanted.forEach((word) => known('a status', word, STATUSES));
  return {
    place: place && known('a place', place, PLACES),
    service: service && known('a service', service, SERVICES),
    statuses: Object.fromEntries(STATUSES.map((word) => [word, wanted.includes(word)])),
    expected,
  };
}

/** The numbered, frozen set of facts that a decision is made from. Each question is recorded: ask only what you need. */
export class Snapshot {
  #facts;

  /** Around the contract's resource, or anything else that answers as it does. */
  constructor(facts) {
    this.#facts = facts;
  }
  /** Rises by one with each snapshot of a cluster. */
  number() {
    return this.#facts.number();
  }
  /** When it was taken: milliseconds since 1970-01-01T00:00:00Z. This is the only clock. */
  time() {
    return this.#facts.time();
  }
  /** The cluster as a whole. */
  cluster() {
    return this.#facts.cluster();
  }
  /** All servers, in the order of the configuration. */
  servers() {
    return this.#facts.servers().map(withState);
  }
  /** One server, or null. */
  server(name) {
    return withState(this.#facts.server(name));
  }
  /** The server at a place: `active` or `standby`. Asks for two things, however many servers there are. */
  serverAt(place) {
    const [repository] = this.services({ place, service: 'repository' });
    return repository ? this.server(repository.server) : (this.servers().find((it) => it.place === place) ?? null);
  }
  /** One service, or null. */
  service(server, service) {
    return withState(this.#facts.service(server, known('a service', service, SERVICES)));
  }
  /** All services that the filter finds: `{ place, service, status, expected }`, each of them optional. */
  services(wanted) {
    return this.#facts.services(filter(wanted)).map(withState);
  }
  /** How many services the filter finds in each status: `{ up, down, unknown }`. */
  count(wanted) {
    return this.#facts.count(filter(wanted));
  }
  /** One measured value, or null; null for the service asks for a value of the server itself. */
  measure(server, service, name) {
    return withValue(this.#facts.measure(server, service && known('a service', service, SERVICES), name));
  }
  /** The values of that name on all servers. */
  measures(name) {
    return this.#facts.measures(name).map(withValue);
  }
  /** Recent rescues, oldest first. */
  rescues() {
    return this.#facts.rescues();
  }
  /** Recent changes of side, oldest first. */
  changes() {
    return this.#facts.changes();
  }
}

// ---- what it comes to ----

/** What an evaluation comes to. */
export class Answer {
  #needs;
  #proposals = [];
  #holds = [];
  #alerts = [];
  #notes = [];
  #lookAgain = null;
  #state = [];

  constructor(needs = GRANTS) {
    this.#needs = needs;
  }
  /** Asks for the other side to become active. The most wanted comes first. */
  failover(reason) {
    return this.#propose('failover', { tag: 'failover' }, reason);
  }
  /** Asks for a stopped service to be started again. */
  rescue(service, reason) {
    return this.#propose('rescue', { tag: 'rescue', val: id(service) }, reason);
  }
  /** Asks for a service to be stopped that runs where it is not meant to. */
  stop(service, reason) {
    return this.#propose('stop-service', { tag: 'stop-service', val: id(service) }, reason);
  }
  /** Says why no action of any policy should be carried out now, rescues included. */
  hold(reason) {
    this.#allowed('hold');
    this.#holds.push(line('the reason of a hold', reason));
    return this;
  }
  /** Claims something that should be known. Claim it in every evaluation for as long as it is so. */
  info(name, alert) {
    return this.alert('info', name, alert);
  }
  /** Claims something that somebody should look at today. */
  warning(name, alert) {
    return this.alert('warning', name, alert);
  }
  /** Claims something that somebody should look at now. */
  critical(name, alert) {
    return this.alert('critical', name, alert);
  }
  /** Claims an alert: `{ summary, on, server, code, labels }`; `on` is a service, as the snapshot gave it. */
  alert(severity, name, alert) {
    this.#allowed('alert');
    known('a severity', severity, SEVERITIES);
    const keys = ['summary', 'on', 'server', 'code', 'labels'];
    const { summary, on = null, server = null, code = '', labels = {} } = onlyKeys('an alert', alert, keys);
    this.#alerts.push({
      name: line("an alert's name", name),
      severity,
      server: on ? on.server : server,
      service: on && on.service,
      code: String(code),
      summary: line("an alert's summary", summary),
      labels: Object.entries(labels).map(([key, value]) => [key, String(value)]),
    });
    return this;
  }
  /** Says for people how it came to this: one line. */
  note(text) {
    this.#notes.push(line('a note', text));
    return this;
  }
  /** Asks to be evaluated again after this time even if no fact has changed. The shortest counts. */
  lookAgain(after) {
    this.#lookAgain = Math.min(this.#lookAgain ?? MOST, duration(after));
    return this;
  }
  /** Keeps a value until the next evaluation: anything that JSON can hold. */
  remember(value) {
    this.#state = bytes(value);
    return this;
  }
  /** The answer in the words of the contract. */
  finish() {
    return {
      proposals: this.#proposals,
      holds: this.#holds,
      alerts: this.#alerts,
      state: this.#state,
      lookAgain: this.#lookAgain,
      notes: this.#notes,
    };
  }
  #propose(grant, action, reason) {
    this.#allowed(grant);
    this.#proposals.push({ action, reason: line('the reason of a proposal', reason) });
    return this;
  }
  #allowed(grant) {
    if (!this.#needs.includes(grant)) {
      throw new Misuse(`the policy does not ask for the grant ${JSON.stringify(grant)}: add it to its needs`);
    }
  }
}

function id(service) {
  if (typeof service?.server !== 'string') {
    throw new Misuse('a service is what the snapshot gave, or an object with server and service');
  }
  return { server: service.server, service: known('a service', service.service, SERVICES) };
}

// ---- the policy ----

withoutClockAndChance('snapshot.time()');

/**
 * Makes the component's exports of a definition:
 *
 * `export const { describe, evaluate, migrate } = definePolicy({ ... });`
 */
export function definePolicy(definition) {
  const keys = ['name', 'version', 'summary', 'needs', 'settings', 'evaluate', 'migrate'];
  const { name, version, summary, needs = [] } = onlyKeys('a policy', definition, keys);
  const { settings, given } = described('a policy', definition);
  needs.forEach((grant) => known('a grant', grant, GRANTS));
  if (typeof definition.evaluate !== 'function') {
    throw new Misuse('a policy has to have a function evaluate({ snapshot, settings, state, answer })');
  }
  const description = {
    name,
    version,
    summary,
    needs: {
      rescue: needs.includes('rescue'),
      stopService: needs.includes('stop-service'),
      failover: needs.includes('failover'),
      hold: needs.includes('hold'),
      alert: needs.includes('alert'),
    },
    settings,
  };
  return {
    describe: () => description,
    evaluate: (facts, values, state) =>
      answering(() => {
        const answer = new Answer(needs);
        definition.evaluate({ snapshot: new Snapshot(facts), settings: given(values), state: value(state), answer });
        return answer.finish();
      }),
    migrate: (from, state) =>
      answering(() => {
        const kept = definition.migrate ? definition.migrate(from, value(state)) : null;
        return kept === null || kept === undefined ? state : bytes(kept);
      }),
  };
}

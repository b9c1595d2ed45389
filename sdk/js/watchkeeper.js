// What authors of policies in JavaScript write against: the contract in sdk/wit, with words checked and helpers beside
// them. It needs nothing of the host, so a policy can be imported by a test under Node.js as well.
//
// Whatever is wrong with a definition is thrown while the component is built; whatever goes wrong in an evaluation
// becomes the policy's answer, with the place in the author's source.

const SERVICES = ['repository', 'activemq', 'dsa', 'daemon', 'agent', 'rest', 'sync'];
const PLACES = ['active', 'standby', 'additional'];
const STATUSES = ['up', 'down', 'unknown'];
const GRANTS = ['rescue', 'stop-service', 'failover', 'hold', 'alert'];
const SEVERITIES = ['info', 'warning', 'critical'];
const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const YEAR = 366 * UNITS.d;
const MOST = Number.MAX_SAFE_INTEGER;

/** Says, for people, why a policy cannot answer. What is thrown otherwise is a mistake, and is told with its place. */
export class CannotAnswer extends Error {}

/** A mistake in how the helpers are used. */
class Misuse extends Error {}

// ---- words ----

function words(list) {
  return `${list.slice(0, -1).join(', ')} or ${list.at(-1)}`;
}

function known(what, word, list) {
  if (!list.includes(word)) {
    throw new Misuse(`${what} is ${words(list)}, not ${JSON.stringify(word)}`);
  }
  return word;
}

function onlyKeys(what, given, keys) {
  if (given === null || typeof given !== 'object') {
    throw new Misuse(`${what} has to be an object with ${words(keys)}`);
  }
  for (const key of Object.keys(given)) {
    if (!keys.includes(key)) {
      throw new Misuse(`${what} has no key ${JSON.stringify(key)}: there is ${words(keys)}`);
    }
  }
  return given;
}

function line(what, text) {
  if (typeof text !== 'string' || text.trim() === '') {
    throw new Misuse(`${what} has to be a text`);
  }
  return text;
}

function kebab(name) {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `30s`, `5m`, `1h30m` or a number of milliseconds, as milliseconds. */
export function duration(given) {
  if (Number.isSafeInteger(given) && given >= 0) {
    return given;
  }
  const parts = typeof given === 'string' ? [...given.matchAll(/(\d+)(ms|s|m|h|d)/g)] : [];
  if (parts.length === 0 || parts.map((part) => part[0]).join('') !== given) {
    throw new Misuse(`a duration is like "250ms", "30s", "5m" or "1h30m", not ${JSON.stringify(given)}`);
  }
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * UNITS[unit], 0);
}

// ---- settings ----

class Setting {
  constructor(doc, kind) {
    this.doc = line("a setting's doc", doc).replace(/\s+/g, ' ').trim();
    this.kind = kind;
  }
}

function bounded(tag, doc, options, what, least, most) {
  const { default: initial, min = least, max = most } = onlyKeys(`${what} setting`, options, ['default', 'min', 'max']);
  const amount = tag === 'duration' ? duration : (value) => value;
  const bounds = { default: amount(initial), min: amount(min), max: amount(max) };
  for (const [key, value] of Object.entries(bounds)) {
    if (!Number.isSafeInteger(value)) {
      throw new Misuse(`${what} setting: ${key} has to be a whole number`);
    }
  }
  return new Setting(doc, { tag, val: bounds });
}

/** What the configuration can set. Each kind takes what an administrator reads of it, and its default. */
export const setting = {
  /** true or false. */
  flag(doc, initial) {
    if (typeof initial !== 'boolean') {
      throw new Misuse('a flag setting has true or false as its default');
    }
    return new Setting(doc, { tag: 'flag', val: initial });
  },
  /** A whole number: `{ default: 2, min: 1, max: 100 }`. */
  integer(doc, options) {
    return bounded('integer', doc, options, 'an integer', -MOST, MOST);
  },
  /** A duration: `{ default: '30s', min: '1s', max: '1h' }`. The policy gets milliseconds. */
  duration(doc, options) {
    return bounded('duration', doc, options, 'a duration', 0, YEAR);
  },
  /** A text. */
  text(doc, initial = '') {
    return new Setting(doc, { tag: 'text', val: String(initial) });
  },
  /** One of several words; the first is the default. */
  choice(doc, options) {
    if (!Array.isArray(options) || options.length === 0) {
      throw new Misuse('a choice setting takes a list of words, the default first');
    }
    return new Setting(doc, { tag: 'choice', val: { default: options[0], options } });
  },
  /** A list of texts. */
  texts(doc, initial = []) {
    return new Setting(doc, { tag: 'texts', val: initial });
  },
};

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

// ---- state ----

/** A value as JSON of plain ASCII, so that every character is a byte. */
function bytes(value) {
  const json = JSON.stringify(value);
  if (json === undefined) {
    throw new Misuse('only what JSON can hold can be remembered');
  }
  const ascii = json.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return Uint8Array.from(ascii, (letter) => letter.charCodeAt(0));
}

/** What was remembered; null if nothing was. What is no JSON comes as it is: a list of bytes. */
function value(state) {
  if (state.length === 0) {
    return null;
  }
  let json = '';
  for (const byte of state) {
    json += String.fromCharCode(byte);
  }
  try {
    return JSON.parse(json);
  } catch {
    return Uint8Array.from(state);
  }
}

// ---- the policy ----

const HERE = /\bwatchkeeper\.js\b/;

/** Where in the author's source an error was thrown: `policy.js:12:5`, or nothing if the stack does not say. */
function place(error) {
  const frames = String(error.stack ?? '').split('\n');
  for (const frame of frames) {
    const found = frame.match(/([^\s()]+?):(\d+)(?::(\d+))?\)?\s*$/);
    if (found && !HERE.test(found[1]) && !found[1].startsWith('node:')) {
      return found.slice(1, 4).filter((part) => part !== undefined).join(':').replace(/^\//, '');
    }
  }
  return '';
}

function explain(error) {
  if (!(error instanceof Error)) {
    return String(error);
  }
  if (error instanceof CannotAnswer) {
    return error.message;
  }
  const what = error instanceof Misuse ? error.message : `${error.name}: ${error.message}`;
  const where = place(error);
  return where ? `${where}: ${what}` : what;
}

function answering(body) {
  try {
    return body();
  } catch (error) {
    // The contract's error is a text; what is thrown becomes it.
    throw explain(error);
  }
}

/** A policy is a function of the snapshot: what is different each time would make its decisions impossible to repeat. */
function withoutClockAndChance() {
  const missing = (what) => () => {
    throw new Misuse(what);
  };
  const clock = missing('there is no clock but snapshot.time()');
  globalThis.Date = new Proxy(Date, {
    apply: clock,
    construct: (date, given) => (given.length === 0 ? clock() : Reflect.construct(date, given)),
    get: (date, key) => (key === 'now' ? clock : Reflect.get(date, key)),
  });
  Math.random = missing('there is no randomness: a policy says the same whenever it is asked the same');
}

// Not under Node.js, whose own tools need them.
if (globalThis.process === undefined) {
  withoutClockAndChance();
}

/**
 * Makes the component's exports of a definition:
 *
 * `export const { describe, evaluate, migrate } = definePolicy({ ... });`
 */
export function definePolicy(definition) {
  const keys = ['name', 'version', 'summary', 'needs', 'settings', 'evaluate', 'migrate'];
  const { name, version, summary, needs = [], settings = {} } = onlyKeys('a policy', definition, keys);
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(line("a policy's name", name))) {
    throw new Misuse(`a policy's name is in kebab case, such as "agent-quorum", not ${JSON.stringify(name)}`);
  }
  line("a policy's version", version);
  line("a policy's summary", summary);
  needs.forEach((grant) => known('a grant', grant, GRANTS));
  if (typeof definition.evaluate !== 'function') {
    throw new Misuse('a policy has to have a function evaluate({ snapshot, settings, state, answer })');
  }
  const all = Object.entries(settings);
  for (const [key, made] of all) {
    if (!(made instanceof Setting)) {
      throw new Misuse(`settings.${key} has to be made by setting.integer and its like`);
    }
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
    settings: all.map(([key, made]) => ({ name: kebab(key), doc: made.doc, kind: made.kind })),
  };
  return {
    describe: () => description,
    evaluate: (facts, values, state) =>
      answering(() => {
        const given = Object.fromEntries(all.map(([key], i) => [key, values[i].val]));
        const answer = new Answer(needs);
        definition.evaluate({ snapshot: new Snapshot(facts), settings: given, state: value(state), answer });
        return answer.finish();
      }),
    migrate: (from, state) =>
      answering(() => {
        const kept = definition.migrate ? definition.migrate(from, value(state)) : null;
        return kept === null || kept === undefined ? state : bytes(kept);
      }),
  };
}

// What a notifier is told: a notification and its alerts, with what plugins say of them in the same words.

import { value } from './common.js';

const SEVERITIES = ['info', 'warning', 'critical'];

/** A moment in milliseconds since 1970-01-01T00:00:00Z as RFC 3339 writes it, to the second. */
export function rfc3339(ms) {
  return new Date(Math.floor(ms / 1000) * 1000).toISOString().replace('.000Z', 'Z');
}

/** A duration in milliseconds for people, in its two largest units: `4 min 10 s`. */
export function human(ms) {
  const seconds = Math.floor(ms / 1000);
  const in2 = (large, one, small, other, parts) => `${Math.floor(seconds / large)} ${one} ${Math.floor(seconds / small) % parts} ${other}`;
  if (seconds === 0) return `${ms} ms`;
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return in2(60, 'min', 1, 's', 60);
  if (seconds < 86_400) return in2(3600, 'h', 60, 'min', 60);
  return in2(86_400, 'd', 3600, 'h', 24);
}

/** The text with at most `most` characters, the mark of a cut counted; never cut within a character. */
export function cut(text, most) {
  const mark = ' ...';
  const letters = [...text];
  return letters.length <= most ? text : letters.slice(0, Math.max(most - mark.length, 0)).join('').trimEnd() + mark;
}

/** The text as one line: what would end or disturb a line becomes a space. */
export function flat(text) {
  return text.replace(/[\0-\x1f\x7f-\x9f]/g, ' ');
}

/** An alert. Times are milliseconds since 1970-01-01T00:00:00Z. */
export class Alert {
  constructor(alert) {
    const { labels, endsAt = null, ...rest } = alert;
    Object.assign(this, rest, { endsAt, labels: Object.fromEntries(labels) });
  }
  /** Whether it is there, and not over. */
  isFiring() {
    return this.status === 'firing';
  }
  /** What it is about: the cluster, the server and the service, as far as there are any. */
  place() {
    return [this.cluster, this.server, this.service].filter((part) => part !== '').join(' / ');
  }
  /** How long it has lasted, as people read it. */
  span() {
    const since = rfc3339(this.startsAt);
    if (this.endsAt === null) {
      return since;
    }
    return `${since} until ${rfc3339(this.endsAt)} (${human(Math.max(this.endsAt - this.startsAt, 0))})`;
  }
  /** What there is to know beside the summary and the details: a list of names and values. */
  facts() {
    const own = [
      ['alert', this.name],
      ['status', this.status],
      ['severity', this.severity],
      ['code', this.code],
      ['on', this.place()],
      ['since', this.span()],
      ['acknowledged by', this.acknowledgedBy],
      ['source', this.source],
    ];
    const taken = ['summary', 'details', ...own.map(([name]) => name)];
    const labels = Object.entries(this.labels).map(([name, value]) => [taken.includes(name) ? `label ${name}` : name, value]);
    return [...own, ...labels].filter(([, value]) => value !== '');
  }
  /** Its summary, facts and details as plain text. */
  text() {
    const lines = [this.summary, ...this.facts().map(([name, value]) => `${name}: ${value}`)];
    return [...lines, ...(this.details === '' ? [] : [this.details])].join('\n');
  }
}

const OCCASIONS = {
  first: 'it has begun',
  news: 'something in it has changed',
  over: 'something in it has changed',
  repeat: 'it is still so',
  escalated: 'another receiver could not be told',
};

/** Of equals the first, which is news or has lasted longer. */
function worst(alerts) {
  return alerts.reduce(
    (one, other) => (one && SEVERITIES.indexOf(one.severity) >= SEVERITIES.indexOf(other.severity) ? one : other),
    undefined,
  );
}

/** What is to be told: a group of alerts, or one alert by itself. */
export class Notification {
  constructor({ alerts, groupLabels, memory, ...rest }) {
    Object.assign(this, rest, {
      alerts: alerts.map((alert) => new Alert(alert)),
      groupLabels: Object.fromEntries(groupLabels),
      memory: value(memory),
    });
  }
  /** Whether anything in it is there, and not over. */
  isFiring() {
    return this.status === 'firing';
  }
  /** The alerts that fire, in their order: what is news first, and of that the worst. */
  firing() {
    return this.alerts.filter((alert) => alert.isFiring());
  }
  /** The alerts that are over. */
  over() {
    return this.alerts.filter((alert) => !alert.isFiring());
  }
  /** How many fire, those that are not in here counted too. */
  count() {
    return this.firing().length + this.more;
  }
  /** The alert that matters most: the worst that fires, and else the worst that is over. */
  foremost() {
    return worst(this.firing()) ?? worst(this.over());
  }
  /** The worst severity of what fires; of what is over, if nothing does. */
  severity() {
    return this.foremost().severity;
  }
  /** Whether something fires, and somebody takes care of all that does. */
  isAcknowledged() {
    const firing = this.firing();
    return this.more === 0 && firing.length > 0 && firing.every((alert) => alert.acknowledgedBy !== '');
  }
  /** One line for people: what it is if it is one alert, else how many and which is the worst. */
  headline() {
    const { cluster, summary } = this.foremost();
    const others = (this.isFiring() ? this.count() : this.alerts.length) - 1;
    const beside = others <= 0 ? '' : others === 1 ? ' (and 1 other alert)' : ` (and ${others} other alerts)`;
    return `${cluster === '' ? '' : `${cluster}: `}${summary}${beside}`;
  }
  /** Why it is told, for people. */
  occasion() {
    return this.isFiring() ? OCCASIONS[this.cause] : 'it is over';
  }
  /** The whole as plain text: the headline, why it is told, and each alert. */
  text() {
    const more = this.more > 0 ? [`Further alerts that fire in this group: ${this.more}.`] : [];
    const alerts = this.alerts.map((alert) => alert.text());
    const head = `${this.headline()}\nTold because ${this.occasion()}.`;
    return [head, ...alerts, ...more, `Watchkeeper on ${this.monitor}`].join('\n\n');
  }
}

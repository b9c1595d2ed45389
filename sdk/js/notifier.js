// What authors of notifiers in JavaScript write against: the contract in sdk/wit, with words checked and helpers beside them. It
// needs nothing of the host, so a notifier can be imported by a test under Node.js as well.
//
// Whatever is wrong with a definition is thrown while the component is built; whatever goes wrong in a delivery becomes a
// failed attempt, with the place in the author's source as its reason.

import { Notification } from './alerts.js';
import { answering, bytes, described, duration, line, Misuse, onlyKeys, text, utf8, value, withoutClockAndChance } from './common.js';

export { Alert, cut, flat, human, Notification, rfc3339 } from './alerts.js';
export { CannotAnswer, duration, setting } from './common.js';

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
/** How much of a receiver's answer is told to people, in characters. */
const EXCERPT = 200;

// ---- JSON ----

/** A text of the configuration in which `{{secret "NAME"}}` is to stay as it is. */
class WithSecrets {
  constructor(text) {
    this.text = text;
  }
}

/** Marks the text of a setting, for a JSON body: `{{secret "NAME"}}` in it stays as it is, so that the engine finds it. Never
 * for what comes out of an alert. */
export function withSecrets(text) {
  return new WithSecrets(String(text));
}

/** Two braces in a row are written as an escape, which readers of JSON take for the same: an alert's text may come from a
 * server, and must not ask for a secret. */
function quoted(text) {
  return JSON.stringify(text).replace(/(?<=\{)\{/g, '\\u007b');
}

/** A value as JSON. Members that are undefined are left out. */
export function json(value) {
  if (value instanceof WithSecrets) {
    const parts = value.text.split(/(\{\{secret ".*?"\}\})/);
    return `"${parts.map((part, i) => (i % 2 === 1 ? part : quoted(part).slice(1, -1))).join('')}"`;
  }
  if (typeof value === 'string') {
    return quoted(value);
  }
  if (Array.isArray(value)) {
    return `[${value.map((it) => json(it ?? null)).join(',')}]`;
  }
  if (value !== null && typeof value === 'object') {
    const members = Object.entries(value).filter(([, it]) => it !== undefined);
    return `{${members.map(([key, it]) => `${quoted(key)}:${json(it)}`).join(',')}}`;
  }
  const plain = JSON.stringify(value);
  if (plain === undefined) {
    throw new Misuse(`${typeof value} is nothing that JSON can hold`);
  }
  return plain;
}

// ---- what is next ----

/** What is next, in the words of the contract. */
class Next {
  constructor(tag, val) {
    this.tag = tag;
    this.val = val;
  }
}

function send(request, state) {
  return new Next('send', { request, state: state === undefined ? [] : bytes(state) });
}

function body(given, what) {
  return given instanceof Uint8Array ? given : utf8(typeof given === 'string' ? given : line(what, given));
}

/**
 * Ask for an HTTP request: `http('POST', url, { headers, json, body, state })`, each of them optional. A header whose value is
 * empty is left out; `json` is any value and brings its content type along; `state` is what `resume` gets back.
 */
export function http(method, url, given = {}) {
  const { headers = {}, json: document, body: text = '', state } = onlyKeys('an HTTP request', given, ['headers', 'json', 'body', 'state']);
  if (!METHODS.includes(method)) {
    throw new Misuse(`a method is one of ${METHODS.join(', ')}, not ${JSON.stringify(method)}`);
  }
  const all = Object.entries(headers).filter(([, value]) => value !== '' && value !== undefined && value !== null);
  if (document !== undefined) {
    all.push(['content-type', 'application/json']);
  }
  const val = {
    method: method.toLowerCase(),
    url: line('a URL', url),
    headers: all.map(([name, value]) => [name, String(value)]),
    body: document === undefined ? body(text, 'a body') : utf8(json(document)),
  };
  return send({ tag: 'http', val }, state);
}

/** Ask for a command that the configuration names: `command('page', { arguments: ['a'], input: 'text', state })`. */
export function command(name, given = {}) {
  const { arguments: all = [], input = '', state } = onlyKeys('a command', given, ['arguments', 'input', 'state']);
  const val = { name: line("a command's name", name), arguments: all.map(String), input: body(input, "a command's input") };
  return send({ tag: 'command', val }, state);
}

/** Ask for an e-mail: `mail({ to: ['ada@example.com'], subject, text, html, attachments, thread, state })`. */
export function mail(given) {
  const keys = ['to', 'subject', 'text', 'html', 'attachments', 'thread', 'state'];
  const { to = [], subject, text: plain, html = null, attachments = [], thread = '', state } = onlyKeys('an e-mail', given, keys);
  const attached = attachments.map((it) => {
    const { name, contentType, content } = onlyKeys('an attachment', it, ['name', 'contentType', 'content']);
    return { name, contentType, content: body(content, "an attachment's content") };
  });
  const val = { to: [to].flat(), subject: line('a subject', subject), text: line("an e-mail's text", plain), html, attachments: attached, thread };
  return send({ tag: 'mail', val }, state);
}

/** The receiver has it. What is given, anything that JSON can hold, comes back as `memory` with the next notification of the group. */
export function delivered(memory) {
  return new Next('delivered', memory === undefined || memory === null ? [] : bytes(memory));
}

/** Not now: `retry('it is busy', { after: '30s' })`. Without `after` it is left to the engine when. */
export function retry(reason, given = {}) {
  const { after = null } = onlyKeys('a retry', given, ['after']);
  return new Next('retry', { after: after === null ? null : duration(after), reason: line('the reason', reason) });
}

/** Never: it would be refused again. */
export function refused(reason) {
  return new Next('refused', line('the reason', reason));
}

// ---- answers ----

/** What came back: of an HTTP request, a command, or an e-mail, as its `kind` says. */
export class Response {
  constructor({ tag, val }) {
    this.kind = tag;
    Object.assign(this, val);
    if (tag === 'http') {
      this.headers = Object.fromEntries([...val.headers].reverse());
    }
  }
  /** The body, the output or the reply as a text. */
  said() {
    return this.kind === 'mail' ? this.text : text(this.kind === 'http' ? this.body : this.output);
  }
  /** What the body holds as JSON; null if it is none. */
  json() {
    try {
      return JSON.parse(this.said());
    } catch {
      return null;
    }
  }
  /** The value of an HTTP header, its name in lower case; undefined if it is not there. */
  header(name) {
    return this.headers[name];
  }
  /** Whether the other side has taken it: 2xx, exit code 0, a mail server's 2yz. */
  isTaken() {
    return judge(this).tag === 'delivered';
  }
  /** After how many milliseconds it wants to be asked again, if it says so (RFC 9110, 10.2.3); else null. */
  retryAfter() {
    const after = (this.header('retry-after') ?? '').trim();
    if (/^\d{1,9}$/.test(after)) {
      return Number(after) * 1000;
    }
    const [then, now] = [after, this.header('date') ?? ''].map((it) => (/ GMT$/.test(it) ? Date.parse(it) : NaN));
    return Number.isNaN(then - now) ? null : Math.max(then - now, 0);
  }
}

function judgeHttp(response) {
  const { status } = response;
  if (status >= 200 && status < 300) {
    return delivered();
  }
  const excerpt = [...response.said()].slice(0, EXCERPT).join('').replace(/[\0-\x1f\x7f-\x9f]/g, ' ').trim();
  const said = `HTTP ${status}${excerpt === '' ? '' : `: ${excerpt}`}`;
  const later = [408, 425, 429].includes(status) || (status >= 500 && status < 600);
  return later ? retry(said, { after: response.retryAfter() }) : refused(said);
}

/**
 * What an answer means by its status: 2xx is delivered; 408, 425, 429 and 5xx are worth another try, when the receiver says so if
 * it does; anything else would be refused again. A command is judged by its exit code, an e-mail by the server's reply.
 */
export function judge(response) {
  if (response.kind === 'http') {
    return judgeHttp(response);
  }
  if (response.kind === 'command') {
    const { exit = null } = response;
    if (exit === 0) {
      return delivered();
    }
    return retry(exit === null ? 'the command was ended by a signal' : `the command ended with ${exit}`);
  }
  const { code, text: said } = response;
  if (code >= 200 && code < 300) {
    return delivered();
  }
  return code >= 500 ? refused(`${code} ${said}`) : retry(`${code} ${said}`);
}

// ---- the notifier ----

withoutClockAndChance('notification.queuedAt');

function next(what, given) {
  if (!(given instanceof Next)) {
    throw new Misuse(`${what} has to return what is next: http(...), command(...), mail(...), delivered(), retry(...) or refused(...)`);
  }
  return { tag: given.tag, val: given.val };
}

/**
 * Makes the component's exports of a definition:
 *
 * `export const { describe, start, resume } = defineNotifier({ ... });`
 */
export function defineNotifier(definition) {
  const keys = ['name', 'version', 'summary', 'settings', 'start', 'resume'];
  const { name, version, summary } = onlyKeys('a notifier', definition, keys);
  const { settings, given } = described('a notifier', definition);
  if (typeof definition.start !== 'function') {
    throw new Misuse('a notifier has to have a function start({ notification, settings })');
  }
  const resume = definition.resume ?? (({ response }) => judge(response));
  return {
    describe: () => ({ name, version, summary, settings }),
    start: (notification, values) =>
      answering(() => {
        const told = new Notification(notification);
        return next('start', definition.start({ notification: told, settings: given(values) }));
      }),
    resume: (state, response, values) =>
      answering(() => {
        const from = { response: new Response(response), state: value(state), settings: given(values) };
        return next('resume', resume(from));
      }),
  };
}

// What the helpers for policies and those for notifiers share: words checked, settings, what is remembered, and mistakes told
// with their place. It needs nothing of the host.

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const YEAR = 366 * UNITS.d;
export const MOST = Number.MAX_SAFE_INTEGER;

/** Says, for people, why a guest cannot answer. What is thrown otherwise is a mistake, and is told with its place. */
export class CannotAnswer extends Error {}

/** A mistake in how the helpers are used. */
export class Misuse extends Error {}

// ---- words ----

function words(list) {
  return `${list.slice(0, -1).join(', ')} or ${list.at(-1)}`;
}

export function known(what, word, list) {
  if (!list.includes(word)) {
    throw new Misuse(`${what} is ${words(list)}, not ${JSON.stringify(word)}`);
  }
  return word;
}

export function onlyKeys(what, given, keys) {
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

export function line(what, text) {
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
  /** A duration: `{ default: '30s', min: '1s', max: '1h' }`. The guest gets milliseconds. */
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

// ---- state ----

/** A text as UTF-8; half of a surrogate pair becomes U+FFFD. */
export function utf8(text) {
  const bytes = [];
  for (const letter of text) {
    const code = letter.codePointAt(0);
    const point = code >= 0xd800 && code <= 0xdfff ? 0xfffd : code;
    if (point < 0x80) {
      bytes.push(point);
    } else if (point < 0x800) {
      bytes.push(0xc0 | (point >> 6), 0x80 | (point & 63));
    } else if (point < 0x10000) {
      bytes.push(0xe0 | (point >> 12), 0x80 | ((point >> 6) & 63), 0x80 | (point & 63));
    } else {
      bytes.push(0xf0 | (point >> 18), 0x80 | ((point >> 12) & 63), 0x80 | ((point >> 6) & 63), 0x80 | (point & 63));
    }
  }
  return Uint8Array.from(bytes);
}

/** UTF-8 as a text; what is none becomes U+FFFD. */
export function text(bytes) {
  let out = '';
  for (let i = 0; i < bytes.length; ) {
    const first = bytes[i];
    const more = first < 0x80 ? 0 : first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : -1;
    let point = more <= 0 ? first : first & (0x3f >> more);
    let whole = more >= 0;
    for (let k = 1; whole && k <= more; k += 1) {
      const next = bytes[i + k];
      whole = next >= 0x80 && next < 0xc0;
      point = (point << 6) | (next & 63);
    }
    // Written longer than it has to be, no character, or beyond the last one.
    whole &&= point >= [0, 0x80, 0x800, 0x10000][Math.max(more, 0)] && !(point >= 0xd800 && point <= 0xdfff) && point <= 0x10ffff;
    out += String.fromCodePoint(whole ? point : 0xfffd);
    i += whole ? more + 1 : 1;
  }
  return out;
}

/** A value as JSON of plain ASCII, so that every character is a byte. */
export function bytes(value) {
  const json = JSON.stringify(value);
  if (json === undefined) {
    throw new Misuse('only what JSON can hold can be remembered');
  }
  const ascii = json.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return Uint8Array.from(ascii, (letter) => letter.charCodeAt(0));
}

/** What was remembered; null if nothing was. What is no JSON comes as it is: a list of bytes. */
export function value(state) {
  if (state.length === 0) {
    return null;
  }
  try {
    return JSON.parse(text(state));
  } catch {
    return Uint8Array.from(state);
  }
}

// ---- mistakes ----

const HERE = /\bsdk\/js\/|\bwatchkeeper\.js\b/;

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

export function answering(body) {
  try {
    return body();
  } catch (error) {
    // The contract's error is a text; what is thrown becomes it.
    throw explain(error);
  }
}

/** A guest is a function of what it is given: what is different each time would make what it says impossible to repeat. */
export function withoutClockAndChance(time) {
  // Not under Node.js, whose own tools need them.
  if (globalThis.process !== undefined) {
    return;
  }
  const missing = (what) => () => {
    throw new Misuse(what);
  };
  const clock = missing(`there is no clock but ${time}`);
  globalThis.Date = new Proxy(Date, {
    apply: clock,
    construct: (date, given) => (given.length === 0 ? clock() : Reflect.construct(date, given)),
    get: (date, key) => (key === 'now' ? clock : Reflect.get(date, key)),
  });
  Math.random = missing('there is no randomness: a guest says the same whenever it is asked the same');
}

// ---- definitions ----

/** Checks what every definition has; gives its settings as the host has them, and as the author reads them. */
export function described(what, { name, version, summary, settings = {} }) {
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(line(`${what}'s name`, name))) {
    throw new Misuse(`${what}'s name is in kebab case, such as "agent-quorum", not ${JSON.stringify(name)}`);
  }
  line(`${what}'s version`, version);
  line(`${what}'s summary`, summary);
  const all = Object.entries(settings);
  for (const [key, made] of all) {
    if (!(made instanceof Setting)) {
      throw new Misuse(`settings.${key} has to be made by setting.integer and its like`);
    }
  }
  return {
    settings: all.map(([key, made]) => ({ name: kebab(key), doc: made.doc, kind: made.kind })),
    given: (values) => Object.fromEntries(all.map(([key], i) => [key, values[i].val])),
  };
}

// ---- lines in the daemon's log ----

/** Each writes a line. What JavaScript authors write without thinking, `console.log`, does then as well. */
export function lines(write) {
  const log = {
    debug: (line) => write('debug', String(line)),
    info: (line) => write('info', String(line)),
    warn: (line) => write('warn', String(line)),
    error: (line) => write('error', String(line)),
  };
  // Each argument is a word of the line.
  const words = (write) => (...all) => write(all.map((it) => (typeof it === 'string' ? it : JSON.stringify(it))).join(' '));
  globalThis.console ??= {
    debug: words(log.debug),
    log: words(log.info),
    info: words(log.info),
    warn: words(log.warn),
    error: words(log.error),
  };
  return log;
}

// Lines for the author of a policy, in the daemon's log: not for the decision. Apart from watchkeeper.js, because only the
// component has somewhere to write to.

import { write } from 'watchkeeper:policy/log@0.1.0';

/** Each writes a line. The number and length of lines is limited per evaluation. */
export const log = {
  debug: (line) => write('debug', String(line)),
  info: (line) => write('info', String(line)),
  warn: (line) => write('warn', String(line)),
  error: (line) => write('error', String(line)),
};

// What JavaScript authors write without thinking. Each argument is a word of the line.
const words = (write) => (...all) => write(all.map((it) => (typeof it === 'string' ? it : JSON.stringify(it))).join(' '));

globalThis.console ??= {
  debug: words(log.debug),
  log: words(log.info),
  info: words(log.info),
  warn: words(log.warn),
  error: words(log.error),
};

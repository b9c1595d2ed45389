// Lines for the author of a policy, in the daemon's log: not for the decision. Apart from watchkeeper.js, because only the
// component has somewhere to write to.

import { write } from 'watchkeeper:policy/log@0.1.0';

import { lines } from './common.js';

/** Each writes a line. The number and length of lines is limited per evaluation. */
export const log = lines(write);

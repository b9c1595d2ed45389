// Lines for the author of a notifier, in the daemon's log. Apart from notifier.js, because only the component has somewhere
// to write to.

import { write } from 'watchkeeper:notifier/log@0.2.0';

import { lines } from './common.js';

/** Each writes a line. The number and length of lines is limited per call. */
export const log = lines(write);

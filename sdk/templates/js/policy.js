// Starts REST again on the active side, and tells so.

import { definePolicy, setting } from './sdk/js/watchkeeper.js';

export const { describe, evaluate, migrate } = definePolicy({
  name: '{{name}}',
  version: '0.1.0',
  summary: 'Starts REST again on the active side, and tells so.',
  needs: ['rescue', 'alert'],

  // What the configuration can set. The texts are what an administrator reads.
  settings: {
    confirmations: setting.integer('How many times in a row REST has to be found down before it is started again.', {
      default: 3,
      min: 1,
      max: 100,
    }),
    code: setting.text('The code of the alert rest-down.'),
  },

  evaluate({ snapshot, settings, answer }) {
    for (const rest of snapshot.services({ place: 'active', service: 'rest', status: 'down', expected: true })) {
      // What an operator has in maintenance is not judged.
      if (rest.maintenance || !rest.state.downFor(settings.confirmations)) {
        continue;
      }
      answer.rescue(rest, 'REST does not serve');
      answer.critical('rest-down', {
        on: rest,
        code: settings.code,
        summary: `REST on ${rest.server} does not serve: ${rest.state.detail}`,
      });
    }
  },
});

// Holds everything while many tasks run: a change of side would begin them anew.

import { definePolicy, setting } from './sdk/js/watchkeeper.js';

export const { describe, evaluate, migrate } = definePolicy({
  name: 'big-job',
  version: '1.0.0',
  summary: 'Holds everything while many tasks run.',
  needs: ['hold'],

  settings: {
    tasks: setting.integer('From how many tasks on nothing is done.', { default: 20, min: 1, max: 100_000 }),
  },

  evaluate({ snapshot, settings, answer }) {
    // The probe of REST measures it. While REST is down, the last value stays: the server has to be up as well.
    const rest = snapshot.services({ place: 'active', service: 'rest', status: 'up' });
    const running = rest.map(({ server }) => snapshot.measure(server, 'rest', 'current-tasks'));
    const most = Math.max(0, ...running.map((measure) => Number(measure?.value ?? 0)));
    if (most >= settings.tasks) {
      answer.hold('a big job runs');
      answer.note(`${most} tasks run`);
    }
  },
});

// Tells when fewer agents serve than jobs need, and can hold all actions until it is known how many do.
//
// Data Mover's own monitor acts when the last agent is gone. Long before that, jobs wait: this policy says so, and tells
// agents that are lost from agents of which nothing is known, which is what a broken network between here and there looks
// like.

import { definePolicy, setting } from '../../sdk/js/watchkeeper.js';

/** `dm1, dm2 and dm3`. */
function listed(agents) {
  const names = agents.map((agent) => agent.server);
  return names.length < 2 ? names.join() : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

function serve(count) {
  return count === 1 ? '1 agent serves' : `${count} agents serve`;
}

export const { describe, evaluate, migrate } = definePolicy({
  name: 'agent-quorum',
  version: '0.1.0',
  summary: 'Tells when fewer agents serve than jobs need, and can hold actions until it is known how many do.',
  needs: ['hold', 'alert'],

  settings: {
    minimum: setting.integer('How many agents have to serve. With fewer in the cluster, all of them have to.', {
      default: 2,
      min: 1,
      max: 1000,
    }),
    criticalBelow: setting.integer('Below how many agents the alert is critical and no longer a warning.', {
      default: 1,
      min: 0,
      max: 1000,
    }),
    confirmations: setting.integer('How many times in a row an agent has to be found so before it counts as such.', {
      default: 3,
      min: 1,
      max: 100,
    }),
    hold: setting.choice(
      `When to hold all actions, rescues and failovers included: never; while so many agents are unknown that there may be
      enough (unknown); or whenever too few serve (always), for a site that wants to look first.`,
      ['never', 'unknown', 'always'],
    ),
    codeLost: setting.text('The code of the alert agent-quorum-lost.'),
    codeUnknown: setting.text('The code of the alert agent-quorum-unknown.'),
  },

  evaluate({ snapshot, settings, answer }) {
    // What an operator has in maintenance is missing on purpose: it neither serves nor is missed.
    const all = snapshot.services({ service: 'agent', expected: true });
    const agents = all.filter((agent) => !agent.maintenance);
    const wanted = Math.min(settings.minimum, agents.length);
    const serving = agents.filter((agent) => agent.state.isUp());
    if (serving.length >= wanted) {
      return;
    }
    const lost = agents.filter((agent) => agent.state.downFor(settings.confirmations));
    const unknown = agents.filter((agent) => agent.state.unknownFor(settings.confirmations));
    const count = `${serve(serving.length)} of ${agents.length}, ${wanted} are wanted`;

    if (agents.length - lost.length < wanted) {
      const severity = serving.length < settings.criticalBelow ? 'critical' : 'warning';
      answer.alert(severity, 'agent-quorum-lost', {
        code: settings.codeLost,
        summary: `${count}: not on ${listed(lost)}`,
      });
      if (settings.hold === 'always') {
        answer.hold(`too few agents: ${count}`);
      }
    } else if (agents.length - lost.length - unknown.length < wanted) {
      answer.warning('agent-quorum-unknown', {
        code: settings.codeUnknown,
        summary: `${count}: nothing is known of ${listed(unknown)}`,
      });
      if (settings.hold !== 'never') {
        answer.hold(`it is not known whether enough agents serve: ${count}`);
      }
    } else {
      answer.note(`${count}, but that is not confirmed yet`);
    }
  },
});

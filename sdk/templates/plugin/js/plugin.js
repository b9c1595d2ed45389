// Opens an incident for what is wrong, adds a note when there is news, and closes it when all is over.

import { CannotAnswer, defineNotifier, delivered, http, judge, retry, setting } from './sdk/js/notifier.js';

export const { describe, start, resume } = defineNotifier({
  name: '{{name}}',
  version: '0.1.0',
  summary: 'Opens, notes and closes incidents.',

  // What the configuration can set. The texts are what an administrator reads.
  settings: {
    url: setting.text('The API, such as `https://incidents.example.com/v1`. Its host has to be granted.'),
    token: setting.text('The token of the API, as a secret.'),
    team: setting.text('The team that takes care of it.', 'operations'),
  },

  // What is asked for first. Nothing is sent here: the engine does it, if the host is granted.
  start({ notification, settings }) {
    if (settings.url === '') {
      throw new CannotAnswer('the setting "url" is empty');
    }
    // What `resume` gave as delivered comes back with the next notification: the incident's number.
    const incident = notification.memory?.incident;
    if (incident === undefined && !notification.isFiring()) {
      // It was over before anybody was told.
      return delivered();
    }
    const opening = { title: notification.headline(), team: settings.team, severity: notification.severity() };
    const path = incident === undefined ? '' : `/${incident}/${notification.isFiring() ? 'notes' : 'close'}`;
    return http('POST', `${settings.url}/incidents${path}`, {
      headers: {
        authorization: settings.token && `Bearer ${settings.token}`,
        // The same in each attempt: what arrives twice is one incident all the same.
        'idempotency-key': notification.idempotencyKey,
      },
      json: { ...(incident === undefined && opening), text: notification.text() },
      state: { incident },
    });
  },

  // What is made of the answer. `state` is what went with the request: the incident's number, if it was known.
  resume({ response, state }) {
    if (!response.isTaken()) {
      // Busy, or refused.
      return judge(response);
    }
    const incident = state.incident ?? response.json()?.id;
    if (incident === undefined) {
      return retry('the answer does not say which incident was opened');
    }
    return delivered({ incident: String(incident) });
  },
});

// Posts alerts to a room of Matrix, what comes of them in a thread below.
//
// This follows the Client-Server API of the Matrix specification, version 1.11 (https://spec.matrix.org/v1.11/client-server-api/):
// `PUT /_matrix/client/v3/rooms/{roomId}/send/m.room.message/{txnId}` with an access token. The transaction's ID is the
// notification's idempotency key, so that the homeserver takes a message that arrives twice for one. Threads are of version 1.4,
// `m.mentions` of 1.7. An event has at most 65,536 bytes. 429 says in `Retry-After`, before 1.10 in `retry_after_ms`, when to
// come back.
//
// A room with encryption shows the messages as not encrypted: a notifier has no keys.

import { CannotAnswer, cut, defineNotifier, delivered, flat, http, judge, json, retry, setting } from '../../sdk/js/notifier.js';

// Most bytes of a message: what the homeserver adds has to fit into the event, too.
const MOST = 60_000;
// Most characters of each text, so that one alert always fits, whatever characters they are.
const HEADLINE = 300;
const SUMMARY = 500;
const DETAILS = 1_000;
const NAME = 50;
const VALUE = 200;
// Most facts of an alert: eight of its own, and then labels.
const FACTS = 16;

const escaped = (text) =>
  text.replace(/[&<>"]/g, (letter) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[letter]);

/** An alert as plain text, and as HTML of the kind that clients show. */
function told(alert) {
  const summary = cut(flat(alert.summary), SUMMARY);
  const details = cut(alert.details, DETAILS);
  const facts = alert.facts().slice(0, FACTS);
  const lines = facts.map(([name, value]) => [cut(flat(name), NAME), cut(flat(value), VALUE)]);
  return {
    plain: [summary, ...lines.map(([name, value]) => `${name}: ${value}`), details].filter((line) => line !== '').join('\n'),
    html:
      `<p><strong>${escaped(summary)}</strong>` +
      lines.map(([name, value]) => `<br>\n${escaped(name)}: ${escaped(value)}`).join('') +
      '</p>' +
      (details === '' ? '' : `\n<pre>${escaped(details)}</pre>`),
  };
}

/** Whether somebody is to look now: something critical is news, or told again, and nobody takes care of it yet. */
function isCalling(notification) {
  const fresh = (alert) => alert.news || notification.cause !== 'news';
  return notification.firing().some((alert) => alert.severity === 'critical' && alert.acknowledgedBy === '' && fresh(alert));
}

/** The message, with as many alerts as fit. */
function message(notification, settings) {
  const over = !notification.isFiring();
  const headline = `${over ? 'Over: ' : ''}${cut(flat(notification.headline()), HEADLINE)}`;
  const calls = isCalling(notification);
  const content = (shown) => {
    const alerts = notification.alerts.slice(0, shown).map(told);
    const more = notification.alerts.length - alerts.length + notification.more;
    const end = [more > 0 ? `Further alerts in this group: ${more}.` : '', `Watchkeeper on ${notification.monitor}, ${notification.occasion()}`];
    const below = end.filter((line) => line !== '');
    return {
      msgtype: settings.notice === 'always' || (settings.notice === 'unless-critical' && !calls) ? 'm.notice' : 'm.text',
      body: [headline, ...alerts.map((it) => it.plain), ...below].join('\n\n'),
      format: 'org.matrix.custom.html',
      formatted_body: [`<h4>${escaped(headline)}</h4>`, ...alerts.map((it) => it.html), `<p>${below.map(escaped).join('<br>\n')}</p>`].join('\n'),
      'm.mentions': calls ? mentions(settings.mention) : {},
    };
  };
  let shown = Math.min(notification.alerts.length, 20);
  while (shown > 1 && size(content(shown)) > MOST) {
    shown -= 1;
  }
  return content(shown);
}

/** At most so many bytes as UTF-8. */
function size(content) {
  return [...json(content)].reduce((sum, letter) => sum + (letter < '\x80' ? 1 : letter < '\u0800' ? 2 : letter.length === 2 ? 4 : 3), 0);
}

function mentions(all) {
  const users = all.filter((user) => user !== '@room');
  return { ...(users.length > 0 && { user_ids: users }), ...(users.length < all.length && { room: true }) };
}

/** What makes a message part of the thread below the first. Clients without threads show it as an answer to the last. */
function inThread(memory) {
  return {
    'm.relates_to': {
      rel_type: 'm.thread',
      event_id: memory.first,
      is_falling_back: true,
      'm.in_reply_to': { event_id: memory.last },
    },
  };
}

export const { describe, start, resume } = defineNotifier({
  name: 'matrix',
  version: '0.1.0',
  summary: 'Posts alerts to a room of Matrix.',

  settings: {
    url: setting.text('The homeserver, such as `https://matrix.example.com`. Its host has to be granted.'),
    token: setting.text('The access token of the user that posts, as a secret.'),
    room: setting.text("The room's ID, such as `!abcdef:example.com`. The user has to have joined it."),
    mention: setting.texts('Who is called by a critical alert: users, such as "@ada:example.com", or "@room" for all.'),
    notice: setting.choice('What is posted as a notice, for which phones do not ring by default.', ['unless-critical', 'always', 'never']),
    thread: setting.flag('Whether what is told of a group after its first message goes into a thread below that.', true),
  },

  start({ notification, settings }) {
    for (const key of ['url', 'token', 'room']) {
      if (settings[key] === '') {
        throw new CannotAnswer(`the setting "${key}" is empty`);
      }
    }
    const known = settings.thread ? notification.memory : null;
    const room = encodeURIComponent(settings.room);
    const transaction = encodeURIComponent(notification.idempotencyKey);
    const url = `${settings.url.replace(/\/+$/, '')}/_matrix/client/v3/rooms/${room}/send/m.room.message/${transaction}`;
    return http('PUT', url, {
      headers: { authorization: `Bearer ${settings.token}` },
      json: { ...message(notification, settings), ...(known?.first && inThread(known)) },
      state: { first: known?.first },
    });
  },

  resume({ response, state }) {
    if (response.status === 429) {
      const after = response.retryAfter() ?? response.json()?.retry_after_ms ?? null;
      return retry('HTTP 429: too many requests', { after: Number.isSafeInteger(after) && after >= 0 ? after : null });
    }
    const event = response.json()?.event_id;
    if (!response.isTaken() || typeof event !== 'string') {
      // A message without a known event is in the room all the same: the next one begins a thread of its own.
      return judge(response);
    }
    return delivered({ first: state.first ?? event, last: event });
  },
});

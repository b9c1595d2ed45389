// The helpers for notifiers in JavaScript, under Node.js: what is told, what is asked for, and what is made of answers.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { text, utf8 } from '../../sdk/js/common.js';
import {
  command, cut, defineNotifier, delivered, flat, http, human, json, judge, mail, Notification, refused, Response, retry, rfc3339, setting, withSecrets,
} from '../../sdk/js/notifier.js';

const definition = (changes) => ({ name: 'a-plugin', version: '1.0.0', summary: 'Tries.', start: () => delivered(), ...changes });
const thrown = (body) => {
  try {
    body();
  } catch (error) {
    return error instanceof Error ? error.message : error;
  }
  return assert.fail('nothing was thrown');
};

const alert = (changes) => ({
  fingerprint: '5f1d', status: 'firing', news: true, name: 'service-down', severity: 'critical', cluster: 'prod', server: 'dm1',
  service: 'rest', code: '', summary: 'rest on dm1 is down', details: '', source: 'data-mover-ha', labels: [], startsAt: 1_772_330_400_000,
  endsAt: null, acknowledgedBy: '', ...changes,
});
const told = (changes) => ({
  idempotencyKey: 'k-1', groupKey: 'aa', groupLabels: [['cluster', 'prod']], cause: 'first', status: 'firing', alerts: [alert()], more: 0,
  memory: [], queuedAt: 1_772_330_401_000, monitor: 'vp1', ...changes,
});
const answer = (status, headers = [], body = '') => new Response({ tag: 'http', val: { status, headers, body: utf8(body) } });

test('UTF-8 there and back, and what is none', () => {
  const all = 'aß€😀\u007f\u0080\u07ff\u0800\uffff';
  assert.deepEqual(utf8(all), new Uint8Array(Buffer.from(all)));
  assert.equal(text(utf8(all)), all);
  assert.equal(text(utf8('a\ud800b')), 'a\ufffdb');
  for (const bytes of [[0xff], [0x80], [0xc3], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]]) {
    const shown = text(Uint8Array.from([0x41, ...bytes, 0x42]));
    assert.match(shown, /^A\ufffd+B$/, String(bytes));
  }
});

test('no text of an alert can ask for a secret, and a setting can', () => {
  assert.equal(json({ a: '{{secret "x"}} {{{', b: [1, null, true, undefined] }), '{"a":"{\\u007bsecret \\"x\\"}} {\\u007b\\u007b","b":[1,null,true,null]}');
  assert.deepEqual(JSON.parse(json({ a: '{{secret "x"}}' })), { a: '{{secret "x"}}' });
  assert.equal(json({ key: withSecrets('"{{secret "x"}}" {{') }), '{"key":"\\"{{secret "x"}}\\" {\\u007b"}');
  assert.match(thrown(() => json({ a: () => 0 })), /nothing that JSON can hold/);
});

test('requests are made as the contract has them', () => {
  const made = http('PATCH', 'https://x.example.com', { headers: { a: '', b: '1', c: undefined }, json: { x: 'ä' }, state: { n: 1 } });
  assert.equal(made.tag, 'send');
  const { request, state } = made.val;
  assert.deepEqual(request.val.headers, [['b', '1'], ['content-type', 'application/json']]);
  assert.equal(request.val.method, 'patch');
  assert.equal(text(request.val.body), '{"x":"ä"}');
  assert.equal(text(state), '{"n":1}');
  assert.deepEqual(command('page', { arguments: [1], input: 'x' }).val.request.val, { name: 'page', arguments: ['1'], input: utf8('x') });
  assert.deepEqual(mail({ to: 'ada@example.com', subject: 's', text: 't' }).val.request.val.to, ['ada@example.com']);
  for (const [wrong, words] of [
    [() => http('post', 'https://x'), /a method is one of GET, .* not "post"/],
    [() => http('GET', ''), /a URL has to be a text/],
    [() => http('GET', 'https://x', { header: {} }), /no key "header"/],
    [() => retry('busy', { after: 'soon' }), /a duration is like/],
    [() => refused(''), /the reason has to be a text/],
  ]) {
    assert.match(thrown(wrong), words);
  }
});

test('answers are judged by their status', () => {
  assert.equal(judge(answer(204)).tag, 'delivered');
  assert.deepEqual(judge(answer(503)).val, { after: null, reason: 'HTTP 503' });
  assert.deepEqual(judge(answer(429, [['retry-after', ' 30 ']])).val.after, 30_000);
  const date = [['date', 'Sun, 01 Mar 2026 23:59:50 GMT'], ['retry-after', 'Mon, 02 Mar 2026 00:00:10 GMT']];
  assert.equal(answer(503, date).retryAfter(), 20_000);
  assert.equal(answer(503, date.slice(1)).retryAfter(), null);
  assert.equal(answer(503, [['retry-after', 'soon']]).retryAfter(), null);
  assert.deepEqual(judge(answer(404, [], 'no\nsuch hook\n')).val, 'HTTP 404: no such hook');
  assert.equal(answer(200, [], 'x').json(), null);
  const ended = (exit) => judge(new Response({ tag: 'command', val: { exit, output: [] } }));
  assert.equal(ended(0).tag, 'delivered');
  assert.equal(ended(3).val.reason, 'the command ended with 3');
  assert.equal(ended(undefined).val.reason, 'the command was ended by a signal');
  const replied = (code) => judge(new Response({ tag: 'mail', val: { code, text: 'so' } })).tag;
  assert.deepEqual([250, 451, 550].map(replied), ['delivered', 'retry', 'refused']);
});

test('a notification in the words that plugins share', () => {
  const second = alert({ severity: 'warning', summary: 'lag', status: 'resolved', endsAt: 1_772_330_650_000, labels: [['on', 'x']] });
  const it = new Notification(told({ alerts: [second, alert()], more: 1, cause: 'news', memory: utf8('{"id":7}') }));
  assert.equal(it.headline(), 'prod: rest on dm1 is down (and 1 other alert)');
  assert.equal(it.memory.id, 7);
  assert.deepEqual(it.groupLabels, { cluster: 'prod' });
  assert.equal(it.occasion(), 'something in it has changed');
  assert.equal(it.isAcknowledged(), false);
  assert.match(it.text(), /\nlabel on: x\n/);
  assert.match(it.text(), /since: 2026-03-01T02:00:00Z until 2026-03-01T02:04:10Z \(4 min 10 s\)/);
  assert.match(it.text(), /\n\nFurther alerts that fire in this group: 1\.\n\nWatchkeeper on vp1$/);
  const over = new Notification(told({ alerts: [second], cause: 'over', status: 'resolved' }));
  assert.equal(over.headline(), 'prod: lag');
  assert.equal(over.occasion(), 'it is over');
  assert.equal(rfc3339(951_782_400_999), '2000-02-29T00:00:00Z');
  assert.deepEqual([0, 7, 59_999, 3_600_000, 90_000_000].map(human), ['0 ms', '7 ms', '59 s', '1 h 0 min', '1 d 1 h']);
  assert.equal(cut('äöüßäöüß', 7), 'äöü ...');
  assert.equal([...cut('😀'.repeat(200), 130)].length, 130);
  assert.equal(flat('a\nb\u001b[c\u0085'), 'a b [c ');
});

test('a definition, its settings, and mistakes with their place', () => {
  const settings = { teamName: setting.text('A team.', 'ops') };
  const start = ({ notification, settings: given }) => http('POST', `https://x/${given.teamName}`, { json: { k: notification.idempotencyKey } });
  const plugin = defineNotifier(definition({ settings, start }));
  assert.equal(plugin.describe().settings[0].name, 'team-name');
  const next = plugin.start(told(), [{ tag: 'text', val: 'a' }]);
  assert.equal(next.val.request.val.url, 'https://x/a');
  assert.equal(plugin.resume([], { tag: 'http', val: { status: 200, headers: [], body: [] } }, [{ val: 'a' }]).tag, 'delivered');
  assert.match(thrown(() => defineNotifier(definition({ start: undefined }))), /has to have a function start/);
  assert.match(thrown(() => defineNotifier(definition({ begin() {} }))), /no key "begin"/);
  const fails = (begin) => thrown(() => defineNotifier(definition({ start: begin })).start(told(), []));
  assert.match(fails(() => null.x), /notifier\.test\.mjs:\d+:\d+: TypeError: /);
  assert.match(fails(() => {}), /start has to return what is next: http\(/);
});

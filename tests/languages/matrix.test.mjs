// The plugin matrix by itself: what a conversation cannot show because it would be too long.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { start } from '../../plugins/matrix/matrix.js';

const values = ['https://matrix.example.com', 't', '!r:example.com', [], 'unless-critical', true].map((val) => ({ val }));

test('whatever is told fits into an event', () => {
  for (const letter of ['😀', '&', '"', 'a', '\n', '{']) {
    const long = letter.repeat(40_000);
    const labels = Array.from({ length: 100 }, (_, i) => [`${long}${i}`, long]);
    const alert = {
      fingerprint: '5f1d', status: 'firing', news: true, name: 'service-down', severity: 'critical', cluster: 'prod', server: 'dm1', service: 'rest',
      code: long, summary: long, details: long, source: long, labels, startsAt: 0, endsAt: null, acknowledgedBy: long,
    };
    const notification = {
      idempotencyKey: 'k', groupKey: 'g', groupLabels: [], cause: 'first', status: 'firing', alerts: Array(40).fill(alert), more: 7, memory: [],
      queuedAt: 0, monitor: 'vp1',
    };
    const body = Buffer.from(start(notification, values).val.request.val.body);
    assert.ok(body.length <= 61_000, `${letter}: ${body.length}`);
    const content = JSON.parse(body.toString());
    assert.match(content.body, /Further alerts in this group: \d+\./);
    assert.equal(content.formatted_body.match(/<p>/g).length, content.formatted_body.match(/<\/p>/g).length);
  }
});

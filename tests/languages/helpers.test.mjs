// The helpers for JavaScript, under Node.js: what is written wrong is said, and what is written right becomes the contract's.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Answer, CannotAnswer, definePolicy, duration, setting, Snapshot } from '../../sdk/js/watchkeeper.js';

const definition = (changes) => ({ name: 'a-policy', version: '1.0.0', summary: 'Tries.', evaluate() {}, ...changes });
const thrown = (body) => {
  try {
    body();
  } catch (error) {
    return error instanceof Error ? error.message : error;
  }
  return assert.fail('nothing was thrown');
};

test('durations', () => {
  assert.deepEqual(['250ms', '30s', '1h30m', 7].map(duration), [250, 30_000, 5_400_000, 7]);
  for (const wrong of ['', '5', '5 m', '-5m', 'm', '5mm', -1, 1.5, null]) {
    assert.match(thrown(() => duration(wrong)), /a duration is like/, String(wrong));
  }
});

test('a definition that is wrong is refused by name', () => {
  for (const [changes, words] of [
    [{ name: 'Two Words' }, /kebab case/],
    [{ sumary: 'x' }, /no key "sumary"/],
    [{ summary: '' }, /summary has to be a text/],
    [{ needs: ['rescues'] }, /a grant is rescue, .* not "rescues"/],
    [{ evaluate: undefined }, /has to have a function evaluate/],
    [{ settings: { times: 3 } }, /settings.times has to be made by/],
  ]) {
    assert.match(thrown(() => definePolicy(definition(changes))), words);
  }
  assert.match(thrown(() => setting.integer('x', { default: 1.5 })), /default has to be a whole number/);
  assert.match(thrown(() => setting.integer('x', { defualt: 1 })), /no key "defualt"/);
  assert.match(thrown(() => setting.text('')), /doc has to be a text/);
});

test('what it says of itself', () => {
  const settings = { codeLost: setting.text('A\n   code.'), wait: setting.duration('W.', { default: '1m' }) };
  const said = definePolicy(definition({ needs: ['stop-service'], settings })).describe();
  assert.deepEqual(said.needs, { rescue: false, stopService: true, failover: false, hold: false, alert: false });
  assert.deepEqual(said.settings[0], { name: 'code-lost', doc: 'A code.', kind: { tag: 'text', val: '' } });
  assert.equal(said.settings[1].kind.val.default, 60_000);
});

test('filters are checked and completed', () => {
  const asked = [];
  const snapshot = new Snapshot({ services: (filter) => (asked.push(filter), []) });
  snapshot.services();
  snapshot.services({ place: 'standby', service: 'agent', status: ['down', 'unknown'], expected: false });
  assert.deepEqual(asked[0], { place: null, service: null, statuses: { up: true, down: true, unknown: true }, expected: null });
  assert.deepEqual(asked[1].statuses, { up: false, down: true, unknown: true });
  assert.match(thrown(() => snapshot.services({ staus: 'up' })), /no key "staus"/);
  assert.match(thrown(() => snapshot.services({ service: 'agents' })), /not "agents"/);
  assert.match(thrown(() => snapshot.services({ status: 'dwon' })), /not "dwon"/);
});

test('what is remembered comes back, and bytes of another language stay bytes', () => {
  const seen = [];
  const policy = definePolicy(
    definition({
      evaluate({ state, answer }) {
        seen.push(state);
        answer.remember({ text: 'ä€😀', list: [1, null] });
      },
      migrate: (from, state) => ({ from, state: state instanceof Uint8Array ? [...state] : state }),
    }),
  );
  const { state } = policy.evaluate({}, [], []);
  assert.ok(state.every((byte) => byte < 128));
  policy.evaluate({}, [], state);
  assert.deepEqual(seen, [null, { text: 'ä€😀', list: [1, null] }]);
  policy.evaluate({}, [], policy.migrate('0.9', [255, 1]));
  assert.deepEqual(seen[2], { from: '0.9', state: [255, 1] });
  const without = definePolicy(definition());
  assert.deepEqual(without.migrate('0.9', [255, 1]), [255, 1]);
});

test('an answer needs its grants, and a mistake has its place', () => {
  const answer = new Answer(['alert']);
  assert.match(thrown(() => answer.hold('x')), /does not ask for the grant "hold"/);
  assert.match(thrown(() => answer.warning('x', { sumary: 'x' })), /no key "sumary"/);
  const fails = (evaluate) => thrown(() => definePolicy(definition({ evaluate })).evaluate({}, [], []));
  assert.match(fails(() => null.x), /helpers\.test\.mjs:\d+:\d+: TypeError: /);
  assert.match(fails(({ answer }) => answer.hold('x')), /helpers\.test\.mjs:\d+:\d+: the policy does not ask/);
  const refuses = () => {
    throw new CannotAnswer('the moon is full');
  };
  assert.equal(fails(refuses), 'the moon is full');
});

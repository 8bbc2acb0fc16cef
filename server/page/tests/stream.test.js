import { test, equal, throws } from './harness.js';
import { createReader, closed, reduce, isSilent, isLost, wanted, SILENCE, OPENING, GRACE } from '../app/stream.js';

const after = (...actions) => actions.reduce(reduce, closed());

test('events are read however they are cut', () => {
  const text = 'id: b.1\nevent: host\ndata: {"a":1}\n\n: keep-alive\n\nid: b.2\r\nevent: event\r\ndata: x\r\ndata: y\r\n\r\n';
  const expected = [{ id: 'b.1', event: 'host', data: '{"a":1}' }, { id: 'b.2', event: 'event', data: 'x\ny' }];
  for (let size = 1; size <= text.length; size += 1) {
    const reader = createReader();
    const events = [];
    for (let at = 0; at < text.length; at += size) events.push(...reader.read(text.slice(at, at + size)));
    equal(events, expected);
  }
});

test('a keep-alive is no event, and half an event is none yet', () => {
  const reader = createReader();
  equal(reader.read(': keep-alive\n\n'), []);
  equal(reader.read('event: host\ndata: {}\n'), []);
  equal(reader.read('\n').length, 1);
});

test('an event without an end is given up', () => {
  const reader = createReader();
  throws(() => {
    for (let n = 0; n < 3; n += 1) reader.read('x'.repeat(500000));
  });
});

test('what was heard last is where it goes on', () => {
  const state = after({ type: 'open', now: 0 }, { type: 'heard', now: 10, id: 'b.7' }, { type: 'heard', now: 20 }, { type: 'ended', now: 30, random: 0 }, { type: 'open', now: 300 });
  equal([state.phase, state.lastId, state.heardAt, state.lostAt], ['opening', 'b.7', 20, 30]);
  equal(reduce(state, { type: 'heard', now: 400 }).lostAt, null);
});

test('waits grow, within bounds, and begin again after a success', () => {
  let state = after({ type: 'open', now: 0 });
  const waits = [];
  for (let n = 0; n < 12; n += 1) {
    state = reduce(state, { type: 'ended', now: 0, random: 1 });
    waits.push(state.retryAt);
  }
  equal(waits.slice(0, 4), [500, 1000, 2000, 4000]);
  equal(Math.max(...waits), 8000);
  state = reduce(reduce(state, { type: 'heard', now: 0 }), { type: 'ended', now: 0, random: 0 });
  equal(state.retryAt, 250);
  equal(reduce(state, { type: 'ended', now: 0, random: 0, retryAfter: 30 }).retryAt, 30000);
});

test('silence is noticed, in opening as well', () => {
  const live = after({ type: 'open', now: 0 }, { type: 'heard', now: 1000 });
  equal([isSilent(live, 1000 + SILENCE), isSilent(live, 1001 + SILENCE)], [false, true]);
  const opening = after({ type: 'open', now: 0 });
  equal([isSilent(opening, OPENING), isSilent(opening, OPENING + 1)], [false, true]);
  equal(isSilent(closed(), 1e12), false);
});

test('people are told after a moment, and only of what was lost', () => {
  const lost = after({ type: 'open', now: 0 }, { type: 'heard', now: 5 }, { type: 'ended', now: 100, random: 0 });
  equal([isLost(lost, 100), isLost(lost, 100 + GRACE)], [false, true]);
  const again = reduce(reduce(lost, { type: 'open', now: 400 }), { type: 'ended', now: 500, random: 0 });
  equal(again.lostAt, 100);
  equal(isLost(reduce(again, { type: 'close', now: 600 }), 1e12), false);
  equal(isLost(after({ type: 'open', now: 0 }), 1e12), false);
});

test('one stream serves all', () => {
  const base = { kinds: ['host', 'alert'], background: true };
  equal(wanted([]), null);
  equal(wanted([base]), { kind: ['alert', 'host'] });
  equal(wanted([base, { kinds: ['event'], host: 'h1' }]), { kind: ['alert', 'event', 'host'], host: 'h1' });
  equal(wanted([base, { kinds: ['event'], host: 'h1' }, { kinds: ['event'], host: 'h2' }]), { kind: ['alert', 'event', 'host'] });
  equal(wanted([base, { kinds: ['event'], host: 'h1' }, { kinds: ['container'] }]), { kind: ['alert', 'container', 'event', 'host'] });
});

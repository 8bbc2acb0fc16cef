import { test, equal } from './harness.js';
import { lookOf, actionOf, gapWords, detailsOf, isFar, withEvents, isWanted } from '../app/event_words.js';

const event = (more) => ({ id: 1, time: '2026-11-22T10:00:00.5Z', received_at: '2026-11-22T10:00:01Z', host: 'pi1', host_id: 'a1', type: 'container', container: 'web', container_id: 'abc', action: 'start', attributes: {}, ...more });

test('a gap looks like one', () => {
  equal(lookOf(event({ type: 'gap', action: 'gap' })), ['warn', 'gap']);
  equal(gapWords({ attributes: { count: '12', cause: 'agent_down' } }), 'Up to 12 events are missing: the agent was not running');
  equal(gapWords({ attributes: { count: '1', cause: 'queue_full' } }), '1 event is missing: the host had no room for more');
  equal(gapWords({ attributes: { cause: 'something_new' } }), 'An unknown number of events is missing: something_new');
});

test('a requested stop is no crash', () => {
  const die = (exitCode) => lookOf(event({ action: 'die', attributes: { exitCode } }))[0];
  equal(['0', '137', '143', '1', '139'].map(die), ['idle', 'idle', 'idle', 'warn', 'warn']);
});

test('words of events', () => {
  equal(actionOf(event({ action: 'health_status: unhealthy' })), 'health: unhealthy');
  equal(lookOf(event({ action: 'health_status: unhealthy' }))[0], 'bad');
  equal(actionOf(event({ action: 'host_disconnected', type: 'host' })), 'disconnected');
  equal(detailsOf(event({ action: 'die', attributes: { exitCode: '3', image: 'x' } })), [['exit code', '3']]);
  equal(detailsOf(event({ action: 'host_joined', type: 'host', attributes: { token: 'secret-id', name: 'pi' } })), [['name', 'pi']]);
  equal(lookOf(event({ action: 'something_new' })), ['idle', 'idle']);
});

test('a wrong clock is worth a word', () => {
  equal(isFar(event({})), false);
  equal(isFar(event({ time: '1970-01-01T00:00:05Z' })), true);
  equal(isFar(event({ time: null })), false);
});

test('events come once and in order', () => {
  const list = [{ id: 5 }, { id: 3 }];
  equal(withEvents(list, [{ id: 4 }, { id: 5 }], 10).map((one) => one.id), [5, 4, 3]);
  equal(withEvents(list, [{ id: 9 }], 2).map((one) => one.id), [9, 5]);
  equal(withEvents(list, [{ id: 5 }], 10) === list, true);
});

test('filters mean what the server means by them', () => {
  const is = (filters) => isWanted(filters, event({ action: 'health_status: healthy', attributes: { image: 'nginx' } }));
  equal([is({}), is({ host: ['x', 'a1'] }), is({ host: ['pi'] }), is({ container: ['we'] }), is({ container: ['bc'] })], [true, true, false, true, false]);
  equal([is({ action: ['health_status'] }), is({ action: ['health'] }), is({ type: ['network'] })], [true, false, false]);
  equal([is({ label: ['image'] }), is({ label: ['image=nginx'] }), is({ label: ['image', 'x'] })], [true, true, false]);
});

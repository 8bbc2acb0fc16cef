import { test, equal } from './harness.js';
import { withAlert, ordered, byRule, groupedForFleet, folded, endWords, needing, subject, said } from '../app/alert_order.js';

const alert = (id, more) => ({ id, rule: 'crashed', severity: 'warning', since: `2026-11-22T10:00:${String(id).padStart(2, '0')}Z`, until: null, silenced: false, ...more });

test('the worst comes first, then the newest, and what is silenced last', () => {
  const list = [alert(1), alert(2, { severity: 'critical' }), alert(3), alert(4, { severity: 'critical', silenced: true })];
  equal(ordered(list).map((one) => one.id), [2, 3, 1, 4]);
});

test('an alert begins, changes and ends once', () => {
  let list = withAlert([alert(1)], alert(2));
  equal(list.map((one) => one.id), [2, 1]);
  list = withAlert(list, alert(2, { text: 'more' }));
  equal([list.length, list[0].text], [2, 'more']);
  equal(withAlert(list, alert(2, { until: '2026-11-22T11:00:00Z' })).map((one) => one.id), [1]);
});

test('many of one rule are one row', () => {
  const many = Array.from({ length: 400 }, (_, id) => alert(id % 60, { id, rule: 'host_away', severity: 'critical' }));
  const { rows, hidden } = groupedForFleet([...many, alert(900), alert(901)], 6);
  equal([rows.length, hidden, rows[0].alerts.length, rows[1].id], [3, 0, 400, 900]);
  equal(groupedForFleet(Array.from({ length: 3 }, (_, id) => alert(id)), 2).hidden, 1);
  equal(byRule([alert(1), alert(2, { silenced: true })]).length, 2);
});

const of = (id, rule, name, more) => alert(id, { rule, host: 'pi', host_id: 'a1', container: name, container_id: `id of ${name}`, attributes: {}, ...more });

test('that a container ends is a part of that it loops', () => {
  const crash = of(1, 'crashed', 'web', { attributes: { exit_code: '7' } });
  const list = [of(2, 'restart_loop', 'web'), crash, of(3, 'oom', 'web'), of(4, 'crashed', 'shop'), of(5, 'unhealthy', 'web'), of(6, 'crashed', 'web', { host_id: 'b2' })];
  const { items, folded: hidden } = folded(list);
  equal([items.map((one) => one.id), hidden, endWords(items[0])], [[2, 4, 5, 6], 2, 'exit code 7, out of memory']);
  equal([endWords(list[0]), folded([crash]).items.length], ['', 1]);
});

test('a loop that is silenced or over hides no crash', () => {
  const crash = of(1, 'crashed', 'web');
  equal(folded([of(2, 'restart_loop', 'web', { silenced: true }), crash]).folded, 0);
  equal(folded([of(2, 'restart_loop', 'web', { silenced: true }), { ...crash, silenced: true }]).folded, 1);
  equal(folded([of(2, 'restart_loop', 'web', { until: '2026-11-22T11:00:00Z' }), crash]).folded, 0);
});

test('things that need attention are counted once', () => {
  equal(needing({ items: null, folded: 0, more: false }, 7), 7);
  const { items, folded: hidden } = folded([of(1, 'crashed', 'web'), of(2, 'restart_loop', 'web'), of(3, 'crashed', 'shop', { silenced: true })]);
  equal([needing({ items, folded: hidden, more: false }, 3), needing({ items, folded: hidden, more: true }, 300)], [1, 299]);
});

test('an alert is about a container of a host, or a host', () => {
  equal([of(1, 'crashed', 'web'), of(2, 'crashed', null, { container_id: '0123456789abcdef' }), { host: 'pi', container: null, container_id: null }].map(subject), ['pi/web', 'pi/0123456789ab', 'pi']);
});

test('when a host was last heard is told as an age', () => {
  const last = '2026-11-22T20:49:42.247Z';
  equal(said({ text: `pi is away: it was last heard at ${last}`, attributes: { last_seen: last } }), { text: 'pi is away: it was last heard', at: last });
  for (const text of ['pi is away: it was never heard', `pi is away: it was last heard at ${last}; over: it is back`]) {
    equal(said({ text, attributes: { last_seen: last } }), { text, at: null });
  }
  equal(said({ text: 'web on pi crashed', attributes: {} }), { text: 'web on pi crashed', at: null });
});

import { test, equal } from './harness.js';
import { withAlert, ordered, byRule, groupedForFleet } from '../app/alert_order.js';

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

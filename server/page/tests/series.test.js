import { test, equal } from './harness.js';
import { sparkPath, withGaps, rates } from '../app/series.js';

test('a line is lifted where nothing was said', () => {
  equal(sparkPath([0, 100, null, 50], 100, 30, 20), 'M0.0 19.0h.1L10.0 1.0M30.0 10.0h.1');
  equal([sparkPath([], 100, 30, 20), sparkPath([null, null], 100, 30, 20)], ['', '']);
  equal(sparkPath([500, -5], 100, 30, 20), 'M0.0 1.0h.1L30.0 19.0');
});

test('time in which nothing was said is a gap', () => {
  equal(withGaps([0, 60, 300], [[1, 2, 3]], 60), [[0, 60, 120, 300], [1, 2, null, 3]]);
  equal(withGaps([], [[]], 60), [[], []]);
});

test('rates come of counters that begin again', () => {
  const at = (second, received) => ({ time: new Date(second * 1000).toISOString(), received });
  equal(rates([at(0, 100), at(10, 200), at(20, 50), at(30, 60), at(40, null)], 'received'), [null, 10, null, 1, null]);
});

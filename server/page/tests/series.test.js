import { test, equal } from './harness.js';
import { alone, beginOfPlot, endOfScale, sparkPath, withGaps, rates } from '../app/series.js';

test('a line is lifted where nothing was said', () => {
  equal(sparkPath([0, 100, null, 50], 100, 30, 20), 'M0.0 19.0h.1L10.0 1.0M30.0 10.0h.1');
  equal([sparkPath([], 100, 30, 20), sparkPath([null, null], 100, 30, 20)], ['', '']);
  equal(sparkPath([500, -5], 100, 30, 20), 'M0.0 1.0h.1L30.0 19.0');
});

test('time in which nothing was said is a gap', () => {
  equal(withGaps([0, 60, 300], [[1, 2, 3]], 60), [[0, 60, 120, 300], [1, 2, null, 3]]);
  equal(withGaps([], [[]], 60), [[], []]);
});

test('a value between gaps is found, for no line shows it', () => {
  equal(alone([1, null, 2, 3, null, 0]), [0, 5]);
  equal(alone([7]), [0]);
  equal(alone([null, undefined]), []);
  equal(alone([]), []);
});

test('what is all zero has a scale, too', () => {
  equal(endOfScale(0, 2), 2);
  equal(endOfScale(null, undefined), 1);
  equal(endOfScale(100, 2), 100 * 1.15);
});

test('a young past fills its plot', () => {
  equal(beginOfPlot(1000, 4600, null), 1000);
  equal(beginOfPlot(1000, 4600, '1970-01-01T00:20:00.500Z'), 1200);
  equal(beginOfPlot(1000, 4600, '1970-01-01T01:16:00Z'), 4000);
  equal(beginOfPlot(1000, 4600, '1970-01-01T00:00:01Z'), 1000);
});

test('rates come of counters that begin again', () => {
  const at = (second, received) => ({ time: new Date(second * 1000).toISOString(), received });
  equal(rates([at(0, 100), at(10, 200), at(20, 50), at(30, 60), at(40, null)], 'received'), [null, 10, null, 1, null]);
});

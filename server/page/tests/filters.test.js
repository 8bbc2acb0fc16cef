import { test, equal } from './harness.js';
import { read, write, toggle, isFiltered, isLabel, many } from '../app/filters.js';
import { queryString, path } from '../app/api.js';

const SHAPE = { name: '', state: [], sort: 'attention' };

test('what is written is read', () => {
  for (const filters of [{ name: '', state: [], sort: 'attention' }, { name: 'a&b=c%', state: ['x', 'y z'], sort: '-name' }]) {
    equal(read(SHAPE, write(SHAPE, filters)), filters);
  }
  equal(write(SHAPE, read(SHAPE, '')), '');
  equal(read(SHAPE, '?state=&other=1'), { name: '', state: [], sort: 'attention' });
});

test('values are added and taken away', () => {
  const one = toggle(read(SHAPE, ''), 'state', 'x');
  equal(one.state, ['x']);
  equal(toggle(one, 'state', 'x').state, []);
});

test('an order is no filter', () => {
  equal(isFiltered(SHAPE, read(SHAPE, '?sort=name'), ['sort']), false);
  equal(isFiltered(SHAPE, read(SHAPE, '?sort=name&name=a'), ['sort']), true);
});

test('every value that is filtered by counts', () => {
  equal(many(SHAPE, read(SHAPE, '')), 0);
  equal(many(SHAPE, read(SHAPE, '?name=a&state=x&state=y&sort=name')), 4);
  equal(many(SHAPE, read(SHAPE, '?name=a&state=x&state=y&sort=name'), ['name', 'sort']), 2);
});

test('labels', () => {
  equal(['a', 'a=b', 'a=b=c', 'a=', '=b', '', ' a'].map(isLabel), [true, true, true, true, false, false, false]);
});

test('what is empty is not asked, and what is strange is escaped', () => {
  equal(queryString({ name: '', state: [], all: false, limit: 0, host: ['a b', 'c&d'] }), '?limit=0&host=a+b&host=c%26d');
  equal(queryString(), '');
  equal(path('a/b', 'c d?'), 'a%2Fb/c%20d%3F');
});

import { test, equal } from './harness.js';
import { SIZE, empty, piecesFor, withPiece, withItem, item, rowsInView } from '../app/pages.js';

const piece = (number) => Array.from({ length: SIZE }, (_, at) => ({ id: number * SIZE + at }));

test('rows are in pieces', () => {
  equal(piecesFor(0, SIZE), [0]);
  equal(piecesFor(SIZE - 1, SIZE + 1), [0, 1]);
  equal(piecesFor(5 * SIZE, 5 * SIZE + 1), [5]);
  equal(piecesFor(-3, 1), [0]);
});

test('what was looked at long ago is forgotten', () => {
  let pages = empty();
  for (let number = 0; number < 40; number += 1) pages = withPiece(pages, number, piece(number), 40 * SIZE);
  equal(item(pages, 39 * SIZE + 3).id, 39 * SIZE + 3);
  equal(item(pages, 0), undefined);
  equal(pages.pieces.size <= 20, true);
  equal(pages.total, 40 * SIZE);
});

test('an item is changed where it is held, and nowhere else', () => {
  const pages = withPiece(empty(), 2, piece(2), 500);
  const { pages: after, before } = withItem(pages, (one) => one.id === 2 * SIZE + 1, (one) => ({ ...one, state: 'x' }));
  equal([before.state, item(after, 2 * SIZE + 1).state, item(pages, 2 * SIZE + 1).state], [undefined, 'x', undefined]);
  equal(withItem(pages, (one) => one.id === 1, () => ({})).before, undefined);
});

test('of ten thousand rows only those in view are drawn', () => {
  const view = rowsInView({ top: -46 * 5000, height: 900, rowHeight: 46, total: 10000 });
  equal([view.first <= 5000, view.end >= 5019, view.end - view.first < 60], [true, true, true]);
  equal(rowsInView({ top: 200, height: 900, rowHeight: 46, total: 3 }), { first: 0, end: 3 });
  equal(rowsInView({ top: -1e6, height: 900, rowHeight: 46, total: 3 }), { first: 2, end: 3 });
  equal(rowsInView({ top: 0, height: 900, rowHeight: 46, total: 0 }), { first: 0, end: 0 });
});

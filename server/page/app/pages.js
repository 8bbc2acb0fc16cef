// A long list of the server's in pieces, of which only those are held that were looked at. No I/O.

/** Items of one piece. */
export const SIZE = 50;

/** Pieces that are held at most: those that were looked at last. */
const HELD = 12;

/** Nothing known yet. */
export function empty() {
  return { total: null, pieces: new Map() };
}

/** The numbers of the pieces that the rows from `first` up to but without `end` are in. */
export function piecesFor(first, end) {
  const numbers = [];
  for (let number = Math.floor(Math.max(0, first) / SIZE); number * SIZE < end; number += 1) numbers.push(number);
  return numbers;
}

/** With a piece that was read. What was not looked at for long is forgotten. */
export function withPiece(pages, number, items, total) {
  const pieces = new Map(pages.pieces);
  pieces.delete(number);
  pieces.set(number, items);
  for (const oldest of pieces.keys()) {
    if (pieces.size <= HELD) break;
    pieces.delete(oldest);
  }
  return { total, pieces };
}

/** The item of a row, if it is held. */
export function item(pages, row) {
  return pages.pieces.get(Math.floor(row / SIZE))?.[row % SIZE];
}

/** With `better` in the place of the item that `isSame` finds: `{pages, before}`; `before` is undefined if none is held. */
export function withItem(pages, isSame, better) {
  for (const [number, items] of pages.pieces) {
    const index = items.findIndex(isSame);
    if (index < 0) continue;
    const before = items[index];
    const pieces = new Map(pages.pieces);
    pieces.set(number, items.with ? items.with(index, better(before)) : items.map((one, at) => (at === index ? better(before) : one)));
    return { pages: { ...pages, pieces }, before };
  }
  return { pages, before: undefined };
}

/** Which rows are to be drawn, with some beyond what is visible: `{first, end}`. */
export function rowsInView({ top, height, rowHeight, total, beyond = 8 }) {
  const first = Math.max(0, Math.floor(-top / rowHeight) - beyond);
  const end = Math.min(total, Math.ceil((height - top) / rowHeight) + beyond);
  return { first: Math.min(first, Math.max(0, total - 1)), end: Math.max(0, end) };
}

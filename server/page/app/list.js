// Virtual scrolling: of a table with any number of rows only those in view are there, and only they are asked for.

import { html, useState, useEffect, useLayoutEffect, useRef, useCallback } from './html.js';
import { get, isGivenUp } from './api.js';
import { SIZE, empty, piecesFor, withPiece, withItem, item, rowsInView } from './pages.js';

/** Milliseconds between readings that changes ask for: of a busy fleet every change could move rows. */
const CALM = 1000;

/** Rows of which all are drawn. */
const SHORT = 100;

/** How often what is in view is read again, in milliseconds: vitals do not come by the stream. */
const AGAIN = 15000;

/**
 * The rows of `GET where`: `{total, problem, row(n), show(first, end), change(isSame, better), refresh()}`. `show` says what
 * is in view; `change` returns what was there; `refresh` reads what is in view again, soon.
 */
export function usePages(where, parameters) {
  const key = JSON.stringify([where, parameters]);
  const [state, setState] = useState({ key, pages: empty(), problem: null });
  const mine = useRef(null);
  if (mine.current === null) mine.current = { view: [0, SIZE], pages: empty() };
  const my = mine.current;
  if (my.key !== key) {
    // What was asked before is about other rows. What is shown stays until the new rows are there.
    my.controller?.abort();
    Object.assign(my, { key, controller: new AbortController(), reading: new Set(), fresh: false });
  }

  const put = useCallback((pages, problem = null) => {
    my.pages = pages;
    setState({ key: my.key, pages, problem });
  }, []);

  const read = useCallback(async (number) => {
    if (my.reading.has(number)) return;
    const { key: wanted, reading, controller } = my;
    reading.add(number);
    const [path, query] = JSON.parse(wanted);
    try {
      const page = await get(path, { ...query, offset: number * SIZE, limit: SIZE }, controller.signal);
      if (my.key !== wanted) return;
      put(withPiece(my.fresh ? my.pages : empty(), number, page.items, page.total));
      my.fresh = true;
    } catch (problem) {
      if (!isGivenUp(problem) && my.key === wanted) put(my.fresh ? my.pages : empty(), problem);
    } finally {
      reading.delete(number);
    }
  }, []);

  const readView = useCallback((again) => {
    for (const number of piecesFor(...my.view)) {
      if (again || !my.fresh || !my.pages.pieces.has(number)) read(number);
    }
  }, []);

  const show = useCallback((first, end) => {
    my.view = [first, Math.max(end, first + 1)];
    readView(false);
  }, []);

  const refresh = useCallback(() => {
    const wait = Math.max(100, (my.readAt ?? 0) + CALM - Date.now());
    my.timer ??= setTimeout(() => {
      my.timer = null;
      my.readAt = Date.now();
      // What is not in view is read when it comes into view.
      const inView = new Set(piecesFor(...my.view));
      my.pages = { ...my.pages, pieces: new Map([...my.pages.pieces].filter(([number]) => inView.has(number))) };
      readView(true);
    }, wait);
  }, []);

  const change = useCallback((isSame, better) => {
    const { pages, before } = withItem(my.pages, isSame, better);
    if (before !== undefined) put(pages);
    return before;
  }, []);

  useEffect(() => {
    readView(true);
    const timer = setInterval(() => !document.hidden && readView(true), AGAIN);
    return () => clearInterval(timer);
  }, [key]);
  useEffect(() => () => {
    my.controller.abort();
    clearTimeout(my.timer);
  }, []);

  const row = useCallback((number) => item(state.pages, number), [state.pages]);
  return { total: state.pages.total, problem: state.problem, waiting: state.key !== key || !my.fresh, row, show, change, refresh };
}

/**
 * A table whose body is as high as all of its rows. `columns` are `{name, title, class}`; `draw(item, row)` gives the
 * cells of a row, `keyOf(item)` what tells it from others, and `onView(first, end)` hears which rows are there. Rows have
 * the height of the style variable `--row`.
 */
export function LongTable({ caption, columns, list, draw, keyOf, rowClass, onView, kind = '' }) {
  const body = useRef(null);
  const [rowHeight, setRowHeight] = useState(44);
  const [view, setView] = useState({ first: 0, end: 30 });
  const total = list.total ?? 0;

  useLayoutEffect(() => {
    const look = () => {
      const table = body.current;
      if (!table) return;
      const height = parseFloat(getComputedStyle(table).getPropertyValue('--row')) || 44;
      setRowHeight(height);
      // Of a short table all rows are there: the browser's own search finds them.
      const next = total <= SHORT ? { first: 0, end: total } : rowsInView({ top: table.getBoundingClientRect().top, height: window.innerHeight, rowHeight: height, total });
      setView((before) => (before.first === next.first && before.end === next.end ? before : next));
    };
    look();
    window.addEventListener('scroll', look, { passive: true });
    window.addEventListener('resize', look);
    return () => {
      window.removeEventListener('scroll', look);
      window.removeEventListener('resize', look);
    };
  }, [total]);
  useEffect(() => list.show(view.first, view.end), [view.first, view.end, list.show]);
  useEffect(() => onView?.(view.first, Math.min(view.end, total)), [view.first, view.end, list.row]);

  const rows = [];
  for (let row = view.first; row < Math.min(view.end, total); row += 1) {
    const one = list.row(row);
    rows.push(one
      ? html`<tr key=${keyOf(one)} role="row" aria-rowindex=${row + 2} class=${rowClass?.(one) ?? ''}>${draw(one, row)}</tr>`
      : html`<tr key=${`empty ${row}`} role="row" aria-rowindex=${row + 2} class="waiting"><td role="cell" colspan=${columns.length}><span class="bone"></span></td></tr>`);
  }
  const space = (count) => count > 0 && html`<tr class="space" role="presentation" aria-hidden="true"><td colspan=${columns.length} style=${{ height: `${count * rowHeight}px` }}></td></tr>`;
  return html`
    <table class=${`table long ${kind}`} role="table" aria-rowcount=${total + 1} aria-busy=${list.waiting}>
      <caption class="unseen">${caption}</caption>
      <thead role="rowgroup"><tr role="row" aria-rowindex="1">
        ${columns.map((column) => html`<th key=${column.name} role="columnheader" scope="col" class=${column.class ?? ''} aria-sort=${column.sort}>${column.title}</th>`)}
      </tr></thead>
      <tbody ref=${body} role="rowgroup">${space(view.first)}${rows}${space(total - Math.min(view.end, total))}</tbody>
    </table>`;
}

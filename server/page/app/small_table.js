// Tables of a few rows. Where there is no room for columns their values stand below each other, each with its column's name.

import { html, useRef, useLayoutEffect } from './html.js';

/**
 * A table. `columns` are titles, or `{title, number}` for numbers; `{acts}` is the column of buttons, which has no name to
 * show. `children` are rows, whose first cell is their header.
 */
export function SmallTable({ caption, columns, children }) {
  const body = useRef(null);
  const known = columns.filter(Boolean).map((column) => (typeof column === 'string' ? { title: column } : column));
  // A style can show an attribute of a cell, and not what stands at the head of its column.
  useLayoutEffect(() => {
    for (const row of body.current.rows) {
      for (const [index, cell] of [...row.cells].entries()) {
        if (index > 0 && known[index]?.title) cell.dataset.label = known[index].title;
      }
    }
  });
  return html`<div class="table-area"><table class="table stacks"><caption class="unseen">${caption}</caption>
    <thead><tr>${known.map((column) => html`<th key=${column.title ?? ''} scope="col" class=${column.number ? 'number' : ''}>${column.title ?? html`<span class="unseen">What one can do</span>`}</th>`)}</tr></thead>
    <tbody ref=${body}>${children}</tbody></table></div>`;
}

/** The column of buttons. */
export const ACTS = { acts: true };

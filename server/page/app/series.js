// Numbers over time, made ready to be drawn. Pure.

import { time } from './format.js';

/** The path of a line through `values`, which are null where nothing was said; `top` is the end of the scale. */
export function sparkPath(values, top, width, height) {
  if (values.length < 2) return '';
  let path = '';
  let pen = false;
  values.forEach((value, index) => {
    if (value === null || value === undefined) {
      pen = false;
      return;
    }
    const x = ((index / (values.length - 1)) * width).toFixed(1);
    const y = (height - 1 - (Math.min(Math.max(value, 0), top) / top) * (height - 2)).toFixed(1);
    // One value between gaps is a dot: a line to where the pen is.
    path += pen ? `L${x} ${y}` : `M${x} ${y}h.1`;
    pen = true;
  });
  return path;
}

/** With nothing in between where nothing was said for longer than two steps. */
export function withGaps(times, rows, step) {
  const at = [];
  const values = rows.map(() => []);
  times.forEach((time, index) => {
    if (index > 0 && time - times[index - 1] > 2 * step) {
      at.push(times[index - 1] + step);
      values.forEach((list) => list.push(null));
    }
    at.push(time);
    rows.forEach((row, number) => values[number].push(row[index] ?? null));
  });
  return [at, ...values];
}

/** Bytes a second from counters since a container's start. Null where it started again. */
export function rates(items, field) {
  return items.map((item, index) => {
    const before = items[index - 1];
    if (!before || item[field] === null || before[field] === null || item[field] === undefined || before[field] === undefined) return null;
    const span = (time(item.time) - time(before.time)) / 1000;
    return span > 0 && item[field] >= before[field] ? (item[field] - before[field]) / span : null;
  });
}

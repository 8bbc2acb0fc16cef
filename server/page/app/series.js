// Numbers over time, made ready to be drawn. Pure.

import { time } from './format.js';

/** No plot shows less than this, in seconds. */
const YOUNGEST = 600;

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

/** Where values stand between gaps: no line shows them. */
export function alone(values) {
  const is = (value) => value !== null && value !== undefined;
  return [...values.keys()].filter((at) => is(values[at]) && !is(values[at - 1]) && !is(values[at + 1]));
}

/** Where a plot from `since` to `until` begins, in seconds, if nothing is kept from before `begins`: what is young fills it. */
export function beginOfPlot(since, until, begins) {
  const at = time(begins);
  return at === null ? since : Math.max(since, Math.min(Math.floor(at / 1000), until - YOUNGEST));
}

/** Where a scale from 0 ends: above the highest value, and never below `least`, for what is all 0 has a scale, too. */
export function endOfScale(highest, least) {
  return Math.max((highest ?? 0) * 1.15, least ?? 1);
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

// Plots of a few pixels, for tables.

import { html, useState, useEffect } from './html.js';
import { get } from './api.js';
import { percent } from './format.js';
import { sparkPath } from './series.js';

const WIDTH = 72;
const HEIGHT = 22;

/** A small plot of percents beside the newest one. */
export function Spark({ values, now, label }) {
  const text = percent(now);
  const tone = now >= 90 ? 'bad' : now >= 75 ? 'warn' : 'plain';
  return html`<span class=${`spark spark-${tone}`}>
    <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} width=${WIDTH} height=${HEIGHT} aria-hidden="true" focusable="false">
      <path d=${`M0 ${HEIGHT - 0.5}H${WIDTH}`} class="spark-base" />
      ${values && html`<path d=${sparkPath(values, 100, WIDTH, HEIGHT)} class="spark-line" />`}
    </svg><span class="spark-now"><span class="unseen">${label} </span>${text}</span></span>`;
}

/** Milliseconds: the history has a point a minute. */
const AGAIN = 60000;

/** Hosts that one question can be about. */
const MOST = 100;

/** The vitals of an hour for hosts in view, by id. Asks together for those that are new, and again each minute. */
export function useSparks(ids) {
  const [sparks, setSparks] = useState(new Map());
  const key = ids.join(' ');
  useEffect(() => {
    let gone = false;
    const read = async () => {
      const wanted = key.split(' ').filter(Boolean).slice(0, MOST);
      if (wanted.length === 0 || document.hidden) return;
      try {
        const { items } = await get('vitals', { host: wanted, last: '1h', points: 60 });
        if (!gone) setSparks((before) => new Map([...before].slice(-300).concat(items.map((one) => [one.host_id, one]))));
      } catch {
        // The numbers beside them are still true.
      }
    };
    // While one scrolls, rows come and go.
    const soon = setTimeout(read, 200);
    const again = setInterval(read, AGAIN);
    return () => {
      gone = true;
      clearTimeout(soon);
      clearInterval(again);
    };
  }, [key]);
  return sparks;
}

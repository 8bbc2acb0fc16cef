// Plots of vitals over time, by uPlot, which is loaded when the first plot is shown.

import { html, useEffect, useRef, useState } from './html.js';
import { useStore } from './store.js';
import { alone, endOfScale, withGaps } from './series.js';
import { theme } from './theme_choice.js';
import { file } from './files.js';

let loading = null;

/** Loads uPlot: a script that leaves one global name. */
function load() {
  loading ??= new Promise((resolve, reject) => {
    const style = Object.assign(document.createElement('link'), { rel: 'stylesheet', href: file('vendor/uPlot.css') });
    const script = Object.assign(document.createElement('script'), { src: file('vendor/uPlot.js') });
    script.onload = () => resolve(window.uPlot);
    script.onerror = () => {
      // The next plot tries again.
      loading = null;
      reject(new Error('the plots could not be loaded'));
    };
    document.head.append(style, script);
  });
  return loading;
}

const HEIGHT = 150;

function options(uPlot, width, { format, top, least, series, since, until }, element) {
  const style = getComputedStyle(element);
  const color = (name) => style.getPropertyValue(name).trim();
  const axis = { stroke: color('--quiet'), grid: { stroke: color('--line'), width: 1 }, ticks: { show: false }, font: `11px ${style.fontFamily}` };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, sync: { key: 'vitals' } },
    scales: { x: { min: since, max: until }, y: { range: (plot, lowest, highest) => [0, top ?? endOfScale(highest, least)] } },
    axes: [
      { ...axis, size: 26, space: 70, values: (plot, splits) => splits.map((at, index) => tick(at, until - since, index === 0)) },
      { ...axis, size: 64, space: 36, values: (plot, splits) => splits.map(format) },
    ],
    series: [
      {},
      ...series.map((one, index) => ({
        label: one.label,
        stroke: color(`--plot-${index + 1}`),
        fill: series.length === 1 ? color('--plot-fill') : undefined,
        width: 1.5,
        points: { show: true, size: 4, filter: (plot, index) => alone(plot.data[index]) },
        spanGaps: false,
      })),
    ],
  };
}

function tick(at, span, first) {
  const when = new Date(at * 1000);
  const clock = when.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', hour12: false });
  if (span <= 86400) return clock;
  const day = when.toLocaleDateString(undefined, { day: 'numeric', month: 'short' });
  return span <= 3 * 86400 && !first ? `${day} ${clock}` : day;
}

/**
 * A plot. `series` are `{label, values}` over `times` (seconds since 1970, one each `step`), shown from `since` to
 * `until`; `format` words a value; `top` is the end of the scale if it is known, `least` what it reaches at least.
 */
export function Plot({ title, times, series, step, since, until, format, top, least }) {
  const element = useRef(null);
  const [under, setUnder] = useState(null);
  const [broken, setBroken] = useState(false);
  const look = useStore(theme);
  const data = withGaps(times, series.map((one) => one.values), step);
  const shown = useRef({});
  shown.current = { data, since, until };

  useEffect(() => {
    let plot = null;
    let watch = null;
    let gone = false;
    load().then((uPlot) => {
      if (gone) return;
      const settings = options(uPlot, element.current.clientWidth, { format, top, least, series, since: shown.current.since, until: shown.current.until }, element.current);
      settings.hooks = { setCursor: [(one) => setUnder(one.cursor.idx ?? null)] };
      plot = new uPlot(settings, shown.current.data, element.current);
      element.current.plot = plot;
      watch = new ResizeObserver(() => plot.setSize({ width: element.current.clientWidth, height: HEIGHT }));
      watch.observe(element.current);
    }).catch(() => setBroken(true));
    return () => {
      gone = true;
      watch?.disconnect();
      plot?.destroy();
    };
  }, [look, top, series.length]);

  useEffect(() => {
    const plot = element.current?.plot;
    if (!plot) return;
    plot.batch(() => {
      plot.setData(data, false);
      plot.setScale('x', { min: since, max: until });
    });
  }, [times, since, until]);

  const newest = (list) => list.findLast?.((value) => value !== null && value !== undefined) ?? null;
  const most = (list) => list.reduce((a, b) => (b !== null && b !== undefined && (a === null || b > a) ? b : a), null);
  const summary = series.map((one) => `${one.label} ${format(newest(one.values))}, at most ${format(most(one.values))}`).join('; ');
  const value = (index) => (under === null ? newest(series[index].values) : data[index + 1]?.[under]);
  return html`<figure class="plot">
    <figcaption><span class="plot-title">${title}</span>${series.map((one, index) => html`
      <span key=${one.label} class="plot-value">${series.length > 1 && html`<i class=${`swatch plot-${index + 1}`}></i>${one.label} `}<b>${format(value(index))}</b></span>`)}
      ${under !== null && data[0][under] && html`<span class="plot-when">${new Date(data[0][under] * 1000).toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'short' })}</span>`}
    </figcaption>
    ${times.length === 0 ? html`<p class="plot-empty">Nothing was said in this time.</p>` : broken && html`<p class="plot-empty">${summary}</p>`}
    <div ref=${element} class=${`plot-area ${times.length === 0 || broken ? 'none' : ''}`} role="img" aria-label=${`${title}: ${summary}`}></div>
  </figure>`;
}

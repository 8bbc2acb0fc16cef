// The plots of a host's or a container's vitals, over a time that one chooses.

import { html, useState } from './html.js';
import { useLoad } from './load.js';
import { Plot } from './plot.js';
import { ProblemNote, Waiting } from './notice.js';
import { absolute, bytes, percent, traffic, time } from './format.js';
import { beginOfPlot, rates } from './series.js';
import { serverNow } from './moment.js';

/** `[words, what `since` is, seconds]` */
const SPANS = [['1 h', '1h', 3600], ['6 h', '6h', 21600], ['24 h', '24h', 86400], ['7 d', '7d', 604800], ['30 d', '30d', 2592000]];

const perSecond = (value) => (value === null || value === undefined ? '–' : `${traffic(value)}/s`);
const degrees = (value) => (value === null || value === undefined ? '–' : `${Math.round(value)} °C`);
const load = (value) => (value === null || value === undefined ? '–' : value.toFixed(2));

/** Whether anything was ever said of it: a board without a sensor needs no empty plot. */
const said = (items, field) => items.some((item) => item[field] !== null && item[field] !== undefined);

/** What is plotted of a host: `{title, series, format, top}`. */
export function hostPlots(items) {
  const of = (field) => items.map((item) => item[field] ?? null);
  const total = Math.max(...items.map((item) => item.memory_total ?? 0), 0);
  const plots = [
    { title: 'CPU', format: percent, top: 100, series: [{ label: 'mean', values: of('cpu_percent') }, { label: 'highest', values: of('cpu_percent_max') }] },
    { title: 'Memory', format: bytes, top: total || undefined, series: [{ label: 'used', values: of('memory_used') }] },
  ];
  if (said(items, 'disk_used_percent')) plots.push({ title: 'Fullest disk', format: percent, top: 100, series: [{ label: 'used', values: of('disk_used_percent') }] });
  if (said(items, 'temperature')) plots.push({ title: 'Temperature', format: degrees, top: 100, series: [{ label: 'highest', values: of('temperature') }] });
  if (said(items, 'load')) plots.push({ title: 'Load', format: load, series: [{ label: 'of a minute', values: of('load') }] });
  return plots;
}

/** What is plotted of a container likewise. */
export function containerPlots(items) {
  const of = (field) => items.map((item) => item[field] ?? null);
  return [
    { title: 'CPU', format: percent, least: 2, series: [{ label: 'of one processor', values: of('cpu_percent') }] },
    { title: 'Memory', format: bytes, least: 1048576, series: [{ label: 'used', values: of('memory') }] },
    { title: 'Network', format: perSecond, least: 1000, series: [{ label: 'received', values: rates(items, 'received') }, { label: 'sent', values: rates(items, 'sent') }] },
    { title: 'Disk', format: perSecond, least: 1000, series: [{ label: 'read', values: rates(items, 'read') }, { label: 'written', values: rates(items, 'written') }] },
  ].filter((plot) => plot.title === 'CPU' || plot.title === 'Memory' || plot.series.some((one) => one.values.some((value) => value !== null)));
}

/** A card with plots of `GET where`. `plotsOf(items)` says which; `most` is the longest time there is, in seconds. */
export function VitalsCard({ where, plotsOf, most = Infinity }) {
  const spans = SPANS.filter(([, , length]) => length <= most);
  const [span, setSpan] = useState(spans[0]);
  const [, since, length] = span;
  const { data, problem, reload } = useLoad(where, { since }, { every: length <= 3600 ? 10000 : 60000 });
  const until = Math.floor(serverNow() / 1000);
  const from = beginOfPlot(until - length, until, data?.begins);
  const times = (data?.items ?? []).map((item) => Math.floor(time(item.time) / 1000));
  return html`<section class="card" aria-labelledby="vitals">
    <header class="card-head"><h2 id="vitals">Vitals</h2>
      <div class="choices" role="group" aria-label="Time that is shown">${spans.map((one) => html`<button key=${one[1]} type="button" aria-pressed=${one === span} onClick=${() => setSpan(one)}>${one[0]}</button>`)}</div>
    </header>
    <${ProblemNote} problem=${problem} retry=${reload} />
    ${data === null ? !problem && html`<${Waiting} what="vitals" />`
      : data.items.length === 0 ? html`<p class="waiting-note">Nothing has been said in this time.${data.step === 60 && !data.begins && ' A point is made of each minute that is over.'}</p>`
      : html`<div class="plots">${plotsOf(data.items).map((plot) => html`
          <${Plot} key=${`${plot.title} ${plot.series.length}`} ...${plot} times=${times} step=${data.step} since=${from} until=${until} />`)}</div>`}
    ${data?.begins && html`<p class="card-body quiet small-text">A container's vitals are kept while somebody watches its host, in memory: since ${absolute(data.begins)}.</p>`}
  </section>`;
}

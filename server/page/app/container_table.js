// Containers as a table, alive.

import { html } from './html.js';
import { useChanges } from './live.js';
import { usePages, LongTable } from './list.js';
import { ContainerState, Labels } from './badges.js';
import { useNow, Age } from './moment.js';
import { Nothing, ProblemNote } from './notice.js';
import { hostLink, containerLink } from './router.js';
import { count, percent, bytes, port, status } from './format.js';

/** Where compose writes down what a container belongs to. */
export const PROJECT = 'com.docker.compose.project';

const COLUMNS = [
  { name: 'name', title: 'Name', class: 'wide' },
  { name: 'state', title: 'Status' },
  { name: 'image', title: 'Image' },
  { name: 'host', title: 'Host' },
  { name: 'cpu', title: 'CPU', class: 'number' },
  { name: 'memory', title: 'Memory', class: 'number' },
];

const isSame = (one, other) => one.id === other.id && one.host_id === other.host_id;

/** By what a container is sorted and counted. */
const place = (container) => `${container.host} ${container.name} ${container.state} ${container.health}`;

/** A live list of containers, for `ContainerTable` and others. `hostId` narrows the stream. */
export function useContainers(filters, hostId) {
  const list = usePages('containers', filters);
  useChanges({ kinds: ['container', 'container_gone'], host: hostId }, (kind, object) => {
    if (hostId && object.host_id !== hostId) return;
    if (kind === 'container_gone') {
      list.refresh();
      return;
    }
    const before = list.change((one) => isSame(one, object), (one) => ({ ...object, vitals: object.vitals ?? one.vitals }));
    if (before === undefined || place(before) !== place(object)) list.refresh();
  }, list.refresh);
  return list;
}

/** A card with containers. */
export function ContainerTable({ filters, hostId, title, more, hideHost }) {
  const list = useContainers(filters, hostId);
  return html`<section class="card" aria-labelledby="containers">
    <header class="card-head"><h2 id="containers">${title}</h2><span><span class="quiet">${list.total !== null && count(list.total, 'container')}</span> ${more && html`<a href=${more}>Filter them</a>`}</span></header>
    <${ProblemNote} problem=${list.problem} retry=${list.refresh} />
    ${list.total === 0 ? html`<${Nothing} title="No containers" />` : html`<${ContainerRows} list=${list} hideHost=${hideHost} caption=${title} />`}
  </section>`;
}

/** The rows themselves. */
export function ContainerRows({ list, hideHost, caption }) {
  const columns = hideHost ? COLUMNS.filter((column) => column.name !== 'host') : COLUMNS;
  return html`<${LongTable} kind="containers" caption=${caption} columns=${columns} list=${list} keyOf=${(one) => `${one.host_id} ${one.id}`}
    rowClass=${(one) => (one.stale ? 'stale' : '')} draw=${(one) => html`<${Cells} container=${one} hideHost=${hideHost} />`} />`;
}

/** The cells of one row. */
export function Cells({ container, hideHost }) {
  const now = useNow();
  const project = container.labels[PROJECT];
  const published = container.ports.filter((one) => one.public).map(port);
  return html`
    <th role="rowheader" scope="row" class="wide"><a class="row-link" href=${containerLink(container.host, container.id)} title=${container.name}>${container.name}</a>
      ${project && html`<${Labels} labels=${{ [project]: '' }} link=${() => `/containers?project=${encodeURIComponent(project)}`} />`}</th>
    <td role="cell" class="cell-state"><${ContainerState} container=${container}>${status(container, now)}<//>
      ${container.stale && html` <span class="quiet small-text">stale, <${Age} at=${container.as_of} /></span>`}</td>
    <td role="cell" class="cell-image" title=${[container.image, ...published].join('\n')}>${container.image.replace(/^sha256:(.{12}).*/, '$1')}${published.length > 0 && html` <span class="quiet small-text">${published[0]}${published.length > 1 && ` +${published.length - 1}`}</span>`}</td>
    ${!hideHost && html`<td role="cell" class="cell-host"><a class="row-link" href=${hostLink(container.host)}>${container.host}</a></td>`}
    <td role="cell" class="number">${percent(container.vitals?.cpu_percent)}</td>
    <td role="cell" class="number">${bytes(container.vitals?.memory)}</td>`;
}

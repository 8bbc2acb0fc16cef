// One container.

import { html } from '../html.js';
import { useStore } from '../store.js';
import { firing } from '../firing.js';
import { path } from '../api.js';
import { useLoad } from '../load.js';
import { useChanges } from '../live.js';
import { ContainerState, Labels, Badge } from '../badges.js';
import { AlertRow } from '../alert_rows.js';
import { Ago, useNow } from '../moment.js';
import { Id } from '../copy.js';
import { Note, Nothing, ProblemNote, Waiting } from '../notice.js';
import { VitalsCard, containerPlots } from '../vitals_plots.js';
import { OwnEvents } from '../own_events.js';
import { PROJECT } from '../container_table.js';
import { hostLink } from '../router.js';
import { bytes, percent, port, status, traffic } from '../format.js';
import { Meter } from './host.js';

/** The managed network's name on every engine. */
const MANAGED = 'muster';

export function Container({ host, container: asked }) {
  const where = `containers/${path(host, asked)}`;
  const { data: container, problem, reload, change } = useLoad(where, undefined, { every: 10000 });
  useChanges({ kinds: ['container', 'container_gone'], host: container?.host_id, background: !container }, (kind, object) => {
    if (object.id !== container?.id || object.host_id !== container?.host_id) return;
    if (kind === 'container_gone') reload();
    else change((before) => ({ ...object, vitals: object.vitals ?? before.vitals }));
  }, reload);
  const gone = problem?.status === 404;
  if (container === null) {
    if (gone) return html`<${Nothing} title=${`There is no such container on ${host}`}><p>It may have been removed. What happened to it is in the events.</p>
      <a class="button" href=${`/events?host=${encodeURIComponent(host)}&container=${encodeURIComponent(asked)}`}>Its events</a><//>`;
    return problem ? html`<${ProblemNote} problem=${problem} retry=${reload} />` : html`<h1 tabindex="-1" class="unseen">Container</h1><${Waiting} what="the container" />`;
  }
  return html`<${Head} container=${container} gone=${gone} />
    ${problem && !gone && html`<${ProblemNote} problem=${problem} retry=${reload} />`}
    <${Trouble} container=${container} gone=${gone} />
    <div class="columns">
      <${Facts} container=${container} />
      <div class="stack"><${Places} container=${container} /><${Usage} container=${container} /></div>
    </div>
    <${VitalsCard} where=${gone ? null : `containers/${path(container.host_id, container.id)}/vitals`} plotsOf=${containerPlots} most=${3600} />
    <${OwnEvents} filters=${{ host: [container.host_id], container: [container.id] }} hostId=${container.host_id} hideContainer
      more=${`/events?host=${encodeURIComponent(container.host)}&container=${encodeURIComponent(container.name)}`} />`;
}

function Head({ container, gone }) {
  const now = useNow();
  return html`<div>
    <p class="crumbs"><a href="/">Fleet</a> / <a href=${hostLink(container.host)}>${container.host}</a> /</p>
    <div class="title"><h1 tabindex="-1">${container.name}</h1>
      ${gone ? html`<${Badge} tone="idle">removed<//>` : html`<${ContainerState} container=${container}>${status(container, now)}<//>`}
      ${container.oom_killed && html`<${Badge} tone="bad">OOM killed<//>`}</div>
  </div>`;
}

function Trouble({ container, gone }) {
  const { items } = useStore(firing);
  const own = (items ?? []).filter((alert) => alert.host_id === container.host_id && alert.container_id === container.id);
  return html`
    ${gone && html`<${Note} icon="close">This container has been removed. This is what was last known of it.<//>`}
    ${!gone && container.stale && html`<${Note} tone="warn" icon="turn"><b>This is old.</b> <a href=${hostLink(container.host)}>${container.host}</a> or its engine has not been heard lately; it said this <${Ago} at=${container.as_of} />.<//>`}
    ${container.truncated.length > 0 && html`<${Note}>Not all of it is shown: a limit has cut ${container.truncated.join(', ')}.<//>`}
    ${own.length > 0 && html`<section class="card attention" aria-label="Needs attention"><ul class="alert-rows">${own.map((alert) => html`<${AlertRow} key=${alert.id} alert=${alert} />`)}</ul></section>`}`;
}

function Facts({ container }) {
  const project = container.labels[PROJECT];
  const service = container.labels['com.docker.compose.service'];
  return html`<section class="card" aria-labelledby="facts"><header class="card-head"><h2 id="facts">Container</h2></header>
    <dl class="facts card-body">
      <dt>Id</dt><dd><${Id} id=${container.id} /></dd>
      <dt>Host</dt><dd><a href=${hostLink(container.host)}>${container.host}</a></dd>
      ${project && html`<dt>Project</dt><dd><a href=${`/containers?project=${encodeURIComponent(project)}`}>${project}</a>${service && html` <span class="quiet">service ${service}</span>`}</dd>`}
      <dt>Image</dt><dd><a href=${`/containers?image=${encodeURIComponent(container.image)}`}>${container.image}</a></dd>
      <dt>Image id</dt><dd><${Id} id=${container.image_id} what="image id" /></dd>
      <dt>Command</dt><dd><code>${container.command || '–'}</code></dd>
      <dt>State</dt><dd>${container.state}${container.health && `, ${container.health}`}</dd>
      <dt>Exit code</dt><dd>${container.exit_code ?? html`<span class="quiet">none</span>`}${container.oom_killed && html` <span class="tone-bad">for lack of memory</span>`}</dd>
      <dt>Restarts</dt><dd>${container.restart_count}<span class="quiet"> by its restart policy</span></dd>
      <dt>Created</dt><dd><${Ago} at=${container.created_at} /></dd>
      <dt>Started</dt><dd><${Ago} at=${container.started_at} never="never" /></dd>
      ${container.finished_at && html`<dt>Finished</dt><dd><${Ago} at=${container.finished_at} /></dd>`}
      <dt>Labels</dt><dd>${Object.keys(container.labels).length > 0 ? html`<${Labels} labels=${container.labels} link=${(label) => `/containers?label=${encodeURIComponent(label)}`} />` : html`<span class="quiet">none</span>`}</dd>
    </dl></section>`;
}

function Places({ container }) {
  const { ports, networks, mounts } = container;
  return html`<section class="card" aria-labelledby="places"><header class="card-head"><h2 id="places">Networks, ports, mounts</h2></header>
    <dl class="facts card-body">
      <dt>Networks</dt><dd>${networks.length === 0 ? html`<span class="quiet">none</span>` : networks.map((one) => html`<div key=${one.name}>${one.name} <code>${[one.ipv4, one.ipv6].filter(Boolean).join(' ')}</code>${one.name === MANAGED && html` <a class="chip" href="/network">managed network</a>`}</div>`)}</dd>
      <dt>Ports</dt><dd>${ports.length === 0 ? html`<span class="quiet">none</span>` : ports.map((one) => html`<div key=${port(one)}><code>${port(one)}</code></div>`)}</dd>
      <dt>Mounts</dt><dd>${mounts.length === 0 ? html`<span class="quiet">none</span>` : mounts.map((one) => html`<div key=${one.destination}><code>${one.destination}</code> <span class="quiet">${one.kind}${one.kind !== 'tmpfs' && html` <code>${one.source}</code>`}${!one.writable && ', read only'}</span></div>`)}</dd>
    </dl></section>`;
}

function Usage({ container }) {
  const { vitals } = container;
  if (!vitals) return null;
  return html`<section class="card" aria-labelledby="usage"><header class="card-head"><h2 id="usage">Uses</h2><span class="quiet small-text"><${Ago} at=${vitals.as_of} /></span></header>
    <dl class="facts card-body">
      <dt>CPU</dt><dd>${percent(vitals.cpu_percent)}${vitals.cpu_percent !== null && html` <span class="quiet">of one processor</span>`}</dd>
      <dt>Memory</dt><dd>${vitals.memory === null ? html`– <span class="quiet">the kernel does not count it: see the host's doctor</span>` : html`${bytes(vitals.memory)} <span class="quiet">of ${bytes(vitals.memory_max)}${vitals.memory_limit === null && ', without a limit'}</span><${Meter} value=${vitals.memory_percent} />`}</dd>
      ${vitals.received !== null && html`<dt>Network</dt><dd>${traffic(vitals.received)} <span class="quiet">received,</span> ${traffic(vitals.sent)} <span class="quiet">sent</span></dd>`}
      ${vitals.read !== null && html`<dt>Disk</dt><dd>${traffic(vitals.read)} <span class="quiet">read,</span> ${traffic(vitals.written)} <span class="quiet">written</span></dd>`}
      ${vitals.pids !== null && html`<dt>Processes</dt><dd>${vitals.pids}</dd>`}
    </dl></section>`;
}


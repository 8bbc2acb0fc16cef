// The fleet: is it well, what needs attention, and all hosts.

import { html, useState } from '../html.js';
import { useStore } from '../store.js';
import { headline } from '../headline.js';
import { firing } from '../firing.js';
import { session, isAdmin } from '../session.js';
import { useChanges } from '../live.js';
import { usePages, LongTable } from '../list.js';
import { useSparks, Spark } from '../spark.js';
import { useFilters, FilterBar, TextFilter, Choices, Select, LabelFilter, ClearFilters, toggle } from '../filter_bar.js';
import { HostState, EngineState, Labels } from '../badges.js';
import { AlertRow, AlertGroup } from '../alert_rows.js';
import { groupedForFleet, needing } from '../alert_order.js';
import { Age } from '../moment.js';
import { Icon } from '../icons.js';
import { Nothing, ProblemNote, Waiting } from '../notice.js';
import { hostLink } from '../router.js';
import { count } from '../format.js';

const SHAPE = { name: '', state: [], engine: [], label: [], sort: 'attention' };

const SORTS = [['attention', 'Attention first'], ['name', 'Name'], ['-name', 'Name, backwards'], ['-last_seen', 'Last seen, newest first'], ['last_seen', 'Last seen, oldest first']];

const COLUMNS = [
  { name: 'name', title: 'Host', class: 'wide' },
  { name: 'state', title: 'State' },
  { name: 'engine', title: 'Engine' },
  { name: 'containers', title: 'Running', class: 'number' },
  { name: 'cpu', title: 'CPU, 1 h', class: 'sparks' },
  { name: 'memory', title: 'Memory, 1 h', class: 'sparks' },
  { name: 'disk', title: 'Disk', class: 'number head-disk' },
  { name: 'seen', title: 'Last seen', class: 'number' },
];

export function Fleet() {
  const fleet = useStore(headline);
  if (fleet && fleet.hosts.total === 0) return html`<h1 tabindex="-1" class="unseen">Fleet</h1><${First} />`;
  return html`<h1 tabindex="-1" class="unseen">Fleet</h1>
    <${Verdict} fleet=${fleet} />
    <${Attention} />
    <${Hosts} />`;
}

/** An empty fleet: what to do first. */
function First() {
  const admin = useStore(session, isAdmin);
  return html`<${Nothing} title="No host has joined yet">
    <p>A host joins with one line that you paste into its shell.</p>
    ${admin ? html`<p><a class="button primary" href="/add"><${Icon} name="plus" /> Add a host</a></p>` : html`<p>Ask an admin for it.</p>`}
  <//>`;
}

/** The answer to the first question, and the counts that it comes from. */
function Verdict({ fleet }) {
  const alerts = useStore(firing);
  if (!fleet) return html`<${Waiting} what="the fleet" />`;
  const { hosts, engines, containers } = fleet;
  const items = (alerts.items ?? []).filter((alert) => !alert.silenced);
  const many = needing(alerts, fleet.alerts.firing);
  const mute = engines.not_answering + engines.absent;
  const critical = items.some((alert) => alert.severity === 'critical') || hosts.disconnected > 0 || mute > 0;
  // No rule fires for an engine that is gone, and a host may be away before its rule does.
  const known = [hosts.disconnected > 0 && `${count(hosts.disconnected, 'host')} away`, mute > 0 && count(mute, 'engine is not answering', 'engines are not answering')].filter(Boolean);
  const [tone, words] = many === 0 && known.length === 0
    ? ['ok', 'All is well']
    : [critical ? 'bad' : 'warn', many === 0 ? known.join(', ') : `${count(many, 'thing needs', 'things need')} attention`];
  return html`<section class=${`verdict tone-${tone}`} aria-label="How the fleet is">
    <p class="verdict-words"><${Icon} name=${tone} /><strong>${words}</strong></p>
    <dl class="tiles">
      <${Tile} label="Hosts active" value=${hosts.active} of=${hosts.total} href="/?state=active"
        notes=${[[hosts.disconnected, 'away', '/?state=disconnected', 'bad'], [hosts.reconnecting, 'reconnecting', '/?state=reconnecting', 'warn'], [hosts.conflict, 'in conflict', '/alerts?rule=conflict', 'bad']]} />
      <${Tile} label="Engines ok" value=${engines.ok} of=${hosts.total} href="/?engine=ok"
        notes=${[[engines.not_answering, 'not answering', '/?engine=not_answering', 'bad'], [engines.absent, 'absent', '/?engine=absent', 'bad']]} />
      <${Tile} label="Containers running" value=${containers.running} of=${containers.total - containers.created} href="/containers?state=running"
        notes=${[[containers.unhealthy, 'unhealthy', '/containers?health=unhealthy', 'bad'], [containers.restarting, 'restarting', '/containers?state=restarting', 'bad'], [containers.paused, 'paused', '/containers?state=paused', 'warn'], [containers.exited, 'exited', '/containers?state=exited', 'idle']]} />
    </dl>
  </section>`;
}

function Tile({ label, value, of, href, notes }) {
  const shown = notes.filter(([number]) => number > 0);
  return html`<div class="tile">
    <dt><a href=${href}>${label}</a></dt>
    <dd><span class="tile-value">${value.toLocaleString('en')}<small> of ${of.toLocaleString('en')}</small></span>
      <span class="tile-notes">${shown.map(([number, words, address, tone]) => html`<a key=${words} class=${`tone-${tone}`} href=${address}>${number.toLocaleString('en')} ${words}</a>`)}</span></dd>
  </div>`;
}

/** What fires now, the worst first; many of one rule together. */
function Attention() {
  const { items, more, problem } = useStore(firing);
  const [all, setAll] = useState(false);
  if (problem && items === null) return html`<${ProblemNote} problem=${problem} />`;
  const loud = (items ?? []).filter((alert) => !alert.silenced);
  if (loud.length === 0) return null;
  const { rows, hidden } = groupedForFleet(loud, all ? Infinity : 6);
  return html`<section class="card attention" aria-labelledby="attention">
    <header class="card-head"><h2 id="attention">Needs attention</h2><a href="/alerts">All alerts</a></header>
    <ul class="alert-rows">${rows.map((row) => (row.alerts ? html`<${AlertGroup} key=${row.key} group=${row} />` : html`<${AlertRow} key=${row.id} alert=${row} />`))}</ul>
    ${hidden > 0 && html`<button type="button" class="button plain" onClick=${() => setAll(true)}>Show ${hidden} more</button>`}
    ${more && html`<p class="quiet">And more: see <a href="/alerts">all alerts</a>.</p>`}
  </section>`;
}

/** By what a host is sorted: if this has not moved, neither has its row. */
const place = (host) => `${host.name} ${host.state} ${host.conflict} ${host.engine.state}`;

function Hosts() {
  const [filters, change] = useFilters(SHAPE);
  const { name, state, engine, label, sort } = filters;
  const list = usePages('hosts', { name, state, engine, label, sort });
  useChanges({ kinds: ['host'] }, (kind, host) => {
    const before = list.change((one) => one.id === host.id, (one) => ({ ...host, vitals: host.vitals ?? one.vitals }));
    if (before === undefined || place(before) !== place(host)) list.refresh();
  }, list.refresh);
  const [view, setView] = useState([]);
  const sparks = useSparks(view);
  const look = (first, end) => {
    const ids = [];
    for (let row = first; row < end; row += 1) if (list.row(row)) ids.push(list.row(row).id);
    if (ids.join() !== view.join()) setView(ids);
  };
  return html`<section class="card" aria-labelledby="hosts">
    <header class="card-head"><h2 id="hosts">Hosts</h2><p class="quiet" role="status">${list.total === null ? '' : count(list.total, 'host')}</p></header>
    <${FilterBar} label="Hosts" shape=${SHAPE} filters=${filters} except=${['name', 'sort']}
      first=${html`<${TextFilter} first label="Filter by name" placeholder="Name  ( / )" value=${name} onChange=${(next) => change({ name: next })} />`}>
      <${Choices} label="State" choices=${[['active', 'Active'], ['reconnecting', 'Reconnecting'], ['disconnected', 'Away']]} chosen=${state} onToggle=${(one) => change(toggle(filters, 'state', one))} />
      <${LabelFilter} labels=${label} onChange=${(next) => change({ label: next })} />
      <${Select} label="Sort" choices=${SORTS} value=${sort} onChange=${(next) => change({ sort: next })} />
      <${ClearFilters} shape=${SHAPE} filters=${filters} onChange=${change} except=${['sort']} />
    <//>
    <${ProblemNote} problem=${list.problem} retry=${list.refresh} />
    ${list.total === 0 && !list.waiting && !list.problem
      ? html`<${Nothing} title="No host is like that"><button type="button" class="button" onClick=${() => change(SHAPE)}>Clear filters</button><//>`
      : html`<${LongTable} kind="hosts" caption="Hosts" columns=${COLUMNS} list=${list} keyOf=${(host) => host.id}
          rowClass=${(host) => (host.state === 'active' ? '' : 'stale')} draw=${(host) => html`<${HostCells} host=${host} spark=${sparks.get(host.id)} />`} onView=${look} />`}
  </section>`;
}

/** Percent of memory in use. */
function memoryPercent(vitals) {
  if (!vitals?.memory_total || vitals.memory_available === null) return null;
  return 100 * (1 - vitals.memory_available / vitals.memory_total);
}

/** Percent in use of the fullest file system. */
function diskPercent(vitals) {
  const used = (vitals?.disks ?? []).map((disk) => disk.used_percent).filter((one) => one !== null && one !== undefined);
  return used.length === 0 ? null : Math.max(...used);
}

function HostCells({ host, spark }) {
  // As `docker info` counts them, and the headline.
  const { paused, restarting, total } = host.containers;
  const running = host.containers.running - paused - restarting;
  const others = [[paused, 'paused'], [restarting, 'restarting']].filter(([number]) => number > 0).map(([number, word]) => `, ${number} ${word}`);
  const vitals = host.vitals;
  const disk = diskPercent(vitals);
  return html`
    <th role="rowheader" scope="row" class="wide"><a class="row-link" href=${hostLink(host.name)}>${host.name}</a><${Labels} labels=${host.labels} link=${(label) => `/?label=${encodeURIComponent(label)}`} /></th>
    <td role="cell" class="cell-state"><${HostState} host=${host} /></td>
    <td role="cell" class="cell-engine"><${EngineState} engine=${host.engine} /></td>
    <td role="cell" class="number cell-containers"><a href=${`/containers?host=${encodeURIComponent(host.name)}`} title=${`${running} of ${total} containers run${others.join('')}`}><b>${running}</b><span class="quiet">/${total}</span></a></td>
    <td role="cell" class="sparks"><${Spark} label="CPU" values=${spark?.cpu} now=${vitals?.cpu_percent} /></td>
    <td role="cell" class="sparks"><${Spark} label="Memory" values=${spark?.memory} now=${memoryPercent(vitals)} /></td>
    <td role="cell" class=${`number cell-disk ${disk >= 95 ? 'tone-bad' : disk >= 85 ? 'tone-warn' : ''}`}>${disk === null ? html`<span class="quiet">–</span>` : html`${Math.round(disk)} %`}</td>
    <td role="cell" class="number cell-seen"><${Age} at=${host.last_seen} /></td>`;
}

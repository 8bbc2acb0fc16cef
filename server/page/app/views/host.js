// One host.

import { html, useState } from '../html.js';
import { useStore } from '../store.js';
import { session, isAdmin } from '../session.js';
import { firing } from '../firing.js';
import { send, path } from '../api.js';
import { useLoad } from '../load.js';
import { useChanges } from '../live.js';
import { HostState, EngineState, Labels } from '../badges.js';
import { AlertRow } from '../alert_rows.js';
import { Ago } from '../moment.js';
import { Id } from '../copy.js';
import { DialogButton, Confirm } from '../dialog.js';
import { Note, Nothing, ProblemNote, Waiting } from '../notice.js';
import { VitalsCard, hostPlots } from '../vitals_plots.js';
import { OwnEvents } from '../own_events.js';
import { ContainerTable } from '../container_table.js';
import { navigate, hostLink } from '../router.js';
import { bytes, duration, lower, percent, seconds, parseSeconds } from '../format.js';

export function Host({ host: name }) {
  const where = `hosts/${path(name)}`;
  const { data: host, problem, reload, change } = useLoad(where, undefined, { every: 15000 });
  useChanges({ kinds: ['host'], host: host?.id, background: !host }, (kind, other) => {
    if (other.id !== host?.id) return;
    if (other.name !== name && name !== other.id) navigate(hostLink(other.name), { replace: true });
    change((before) => ({ ...other, vitals: other.vitals ?? before.vitals }));
  }, reload);
  if (host === null) {
    return problem?.status === 404
      ? html`<${Nothing} title=${`There is no host called ${name}`}><p>It may have been renamed or removed.</p><a class="button" href="/">To the fleet</a><//>`
      : html`<h1 tabindex="-1" class="unseen">${name}</h1>${problem ? html`<${ProblemNote} problem=${problem} retry=${reload} />` : html`<${Waiting} what=${name} />`}`;
  }
  return html`<${Head} host=${host} reload=${reload} change=${change} />
    ${problem && html`<${ProblemNote} problem=${problem} retry=${reload} />`}
    <${Trouble} host=${host} />
    <div class="columns">
      <${Facts} host=${host} />
      <${Machine} host=${host} />
    </div>
    <${VitalsCard} where=${`hosts/${path(host.id)}/vitals`} plotsOf=${hostPlots} />
    <${ContainerTable} hostId=${host.id} filters=${{ host: host.id, all: true }} title="Containers" more=${`/containers?host=${encodeURIComponent(host.name)}`} hideHost />
    <${OwnEvents} filters=${{ host: [host.id] }} hostId=${host.id} more=${`/events?host=${encodeURIComponent(host.name)}`} />`;
}

function Head({ host, reload, change }) {
  const admin = useStore(session, isAdmin);
  const act = async (method, where, body) => {
    const after = await send(method, where, body);
    change((before) => ({ ...after, vitals: after.vitals ?? before.vitals }));
    return after;
  };
  return html`<div>
    <p class="crumbs"><a href="/">Fleet</a> /</p>
    <div class="title"><h1 tabindex="-1">${host.name}</h1><${HostState} host=${host} /><span class="quiet">since <${Ago} at=${host.since} /></span>
      ${admin && html`<div class="head-actions">
        ${host.state === 'removed'
          ? html`<button type="button" class="button small" onClick=${() => act('POST', `hosts/${path(host.id)}/restore`).catch(reload)}>Restore</button>`
          : html`<${DialogButton} label="Rename" dialog=${(close) => html`<${Rename} host=${host} act=${act} onClose=${close} />`} />
            <${DialogButton} label="Report interval" dialog=${(close) => html`<${Interval} host=${host} act=${act} onClose=${close} />`} />
            <${DialogButton} label="Remove" dialog=${(close) => html`<${Confirm} title=${`Remove ${host.name}?`} verb="Remove" danger onClose=${close} act=${() => act('DELETE', `hosts/${path(host.id)}`)}>
              <p>Its agent is refused from now on. Its containers go on as they are, and its history stays. For 30 days it can be restored.</p><//>`} />`}
      </div>`}
    </div>
  </div>`;
}

function Rename({ host, act, onClose }) {
  const [name, setName] = useState(host.name);
  const rename = async () => {
    const after = await act('PATCH', `hosts/${path(host.id)}`, { name: name.trim() });
    navigate(hostLink(after.name), { replace: true });
  };
  return html`<${Confirm} title=${`Rename ${host.name}`} verb="Rename" onClose=${onClose} act=${rename}>
    <label class="field"><span>Name</span><input value=${name} onInput=${(event) => setName(event.currentTarget.value)} required maxlength="64" autocapitalize="none" spellcheck=${false} /><small>Letters, digits, “.”, “_” and “-”.</small></label><//>`;
}

function Interval({ host, act, onClose }) {
  const [text, setText] = useState(host.interval_set === null ? '' : seconds(host.interval_set));
  const set = () => act('PATCH', `hosts/${path(host.id)}`, { interval: text.trim() === '' ? null : parseSeconds(text) ?? 0 });
  return html`<${Confirm} title="How often it reports" verb="Set" onClose=${onClose} act=${set}>
    <label class="field"><span>Interval</span><input value=${text} onInput=${(event) => setText(event.currentTarget.value)} placeholder=${`${seconds(host.interval)}, as its agent was started`} /><small>1s to 1h. Events come at once in any case. Empty: as its agent was started.</small></label><//>`;
}

/** What is wrong with it now, in words. */
function Trouble({ host }) {
  const { items } = useStore(firing);
  const own = (items ?? []).filter((alert) => alert.host_id === host.id);
  return html`${host.state === 'disconnected' && html`<${Note} tone="bad" icon="bad"><b>This host is away.</b> It was last heard <${Ago} at=${host.last_seen} />: what you see of it is from then.<//>`}
    ${host.state === 'reconnecting' && html`<${Note} tone="warn" icon="turn">Reports of this host are overdue. It was last heard <${Ago} at=${host.last_seen} />.<//>`}
    ${host.engine.state !== 'ok' && host.engine.state && host.state === 'active' && html`<${Note} tone="bad" icon="warn"><b>Its Docker engine ${host.engine.state === 'absent' ? 'is not there' : 'does not answer'}</b>, since <${Ago} at=${host.engine.since} />. The host itself reports; its containers are as they were last seen.<//>`}
    ${host.hidden > 0 && html`<${Note} tone="warn">${host.hidden} more containers are not shown: this host has more than can be reported.<//>`}
    ${own.length > 0 && html`<section class="card attention" aria-labelledby="own-alerts"><header class="card-head"><h2 id="own-alerts">Needs attention</h2><a href=${`/alerts?host=${encodeURIComponent(host.name)}`}>Its alerts</a></header>
      <ul class="alert-rows">${own.slice(0, 8).map((alert) => html`<${AlertRow} key=${alert.id} alert=${alert} />`)}</ul></section>`}`;
}

function Facts({ host }) {
  const rhythm = host.interval_set !== null && host.interval_set !== host.interval ? ` (${seconds(host.interval_set)} is set, and not yet in force)` : '';
  return html`<section class="card" aria-labelledby="facts"><header class="card-head"><h2 id="facts">Host</h2></header>
    <dl class="facts card-body">
      <dt>Id</dt><dd><${Id} id=${host.id} length=${16} /></dd>
      <dt>Last seen</dt><dd><${Ago} at=${host.last_seen} never="never" /></dd>
      <dt>Engine</dt><dd><${EngineState} engine=${host.engine} />${host.engine.api_version && html` <span class="quiet">API ${host.engine.api_version}</span>`}</dd>
      <dt>System</dt><dd>${[host.os, host.arch].filter(Boolean).join(' ') || '–'}${host.kernel && html` <span class="quiet">${host.kernel}</span>`}</dd>
      <dt>Agent</dt><dd>${host.agent_version ?? '–'}<span class="quiet">, reports every ${seconds(host.interval)}${rhythm}</span></dd>
      ${host.credential !== 'valid' && html`<dt>Credential</dt><dd>${host.credential}</dd>`}
      ${host.events_dropped > 0 && html`<dt>Events dropped</dt><dd>${host.events_dropped}</dd>`}
      <dt>Labels</dt><dd>${Object.keys(host.labels).length > 0 ? html`<${Labels} labels=${host.labels} link=${(label) => `/?label=${encodeURIComponent(label)}`} />` : html`<span class="quiet">none</span>`}</dd>
    </dl></section>`;
}

const POWER = [['under_voltage', 'voltage too low now', 'bad'], ['throttled', 'throttled now', 'bad'], ['capped', 'frequency capped now', 'warn'], ['hot', 'too hot now', 'warn'], ['was_under_voltage', 'voltage was too low since its start', 'warn'], ['was_throttled', 'was throttled since its start', 'warn']];

function Machine({ host }) {
  const { vitals } = host;
  if (!vitals) return html`<section class="card"><header class="card-head"><h2>Machine</h2></header><p class="waiting-note">Its agent has said nothing of its vitals${host.vitals_interval_set === 0 && ': they are switched off'}.</p></section>`;
  const used = vitals.memory_total !== null && vitals.memory_available !== null ? vitals.memory_total - vitals.memory_available : null;
  const power = POWER.filter(([field]) => vitals.power?.[field]);
  const off = Math.abs(vitals.clock_offset ?? 0) > 2;
  return html`<section class="card" aria-labelledby="machine"><header class="card-head"><h2 id="machine">Machine</h2><span class="quiet small-text"><${Ago} at=${vitals.as_of} /></span></header>
    <dl class="facts card-body">
      <dt>CPU</dt><dd>${percent(vitals.cpu_percent)}<span class="quiet">${vitals.cpus && ` of ${vitals.cpus} processors`}${vitals.load !== null && `, load ${vitals.load?.toFixed(2)}`}</span></dd>
      <dt>Memory</dt><dd>${used === null ? html`– <span class="quiet">the kernel does not say</span>` : html`${bytes(used)} <span class="quiet">of ${bytes(vitals.memory_total)}</span><${Meter} value=${(100 * used) / vitals.memory_total} />`}</dd>
      ${vitals.swap_total > 0 && html`<dt>Swap</dt><dd>${bytes(vitals.swap_used)} <span class="quiet">of ${bytes(vitals.swap_total)}</span></dd>`}
      ${(vitals.disks ?? []).map((disk) => html`<dt key=${disk.path}>Disk <code>${disk.path}</code></dt><dd>${percent(disk.used_percent)} <span class="quiet">used, ${bytes(disk.free)} free${disk.worn_percent !== null && disk.worn_percent !== undefined && `, flash ${disk.worn_percent} % worn`}</span><${Meter} value=${disk.used_percent} /></dd>`)}
      ${vitals.temperature !== null && html`<dt>Temperature</dt><dd>${Math.round(vitals.temperature)} °C</dd>`}
      ${vitals.power && html`<dt>Power</dt><dd>${power.length === 0 ? 'good' : power.map(([field, words, tone]) => html`<div key=${field} class=${`tone-${tone}`}>${words}</div>`)}</dd>`}
      ${vitals.uptime !== null && html`<dt>Up</dt><dd>${lower(duration(vitals.uptime * 1000))}</dd>`}
      ${off && html`<dt>Clock</dt><dd class="tone-warn">${lower(duration(Math.abs(vitals.clock_offset) * 1000))} ${vitals.clock_offset > 0 ? 'ahead' : 'behind'}: times that this host says are off by that</dd>`}
    </dl></section>`;
}

/** A bar that shows a percent, beside the number that says it. */
export function Meter({ value }) {
  if (value === null || value === undefined) return null;
  const tone = value >= 95 ? 'tone-bad' : value >= 85 ? 'tone-warn' : '';
  return html`<span class=${`meter ${tone}`} aria-hidden="true"><i style=${{ width: `${Math.min(100, Math.max(0, value))}%` }}></i></span>`;
}

// The managed network: who is in it, how they reach each other, and what could not be joined.

import { html, useState } from '../html.js';
import { useStore } from '../store.js';
import { session, isAdmin } from '../session.js';
import { send, path } from '../api.js';
import { useLoad } from '../load.js';
import { Badge } from '../badges.js';
import { Confirm, DialogButton } from '../dialog.js';
import { Note, Nothing, ProblemNote, Waiting } from '../notice.js';
import { hostLink, containerLink } from '../router.js';
import { SmallTable, ACTS } from '../small_table.js';
import { count, duration, lower, traffic } from '../format.js';
import { Meter } from './host.js';

const STATES = { joined: ['ok', 'joined'], not_enabled: ['idle', 'not enabled'], not_accepted: ['bad', 'range not accepted'], full: ['bad', 'no block left'], key_changed: ['bad', 'key changed'], key_taken: ['bad', 'key taken'] };

const WAYS = { direct: ['ok', 'direct'], lan: ['ok', 'same LAN'], relayed: ['warn', 'relayed'], none: ['bad', 'not reached'], refused: ['bad', 'refused'] };

/** Hosts that are read at most: what one answer can have. */
const MOST_HOSTS = 500;

export function Network() {
  const { data: network, problem, reload } = useLoad('network', { limit: MOST_HOSTS }, { every: 5000 });
  const admin = useStore(session, isAdmin);
  const act = async (method, where, body) => {
    await send(method, where, body);
    // Some of these answer with one host, others with the first hosts: the view is read anew.
    reload();
  };
  return html`<div class="title"><h1 tabindex="-1">Network</h1>
      ${network && html`<${Badge} tone=${network.enabled ? 'ok' : 'idle'}>${network.enabled ? 'enabled' : 'disabled'}<//>`}
      ${network && admin && html`<div class="head-actions">
        <${DialogButton} label=${network.enabled ? 'Change' : 'Enable'} class=${network.enabled ? 'button small' : 'button primary small'} dialog=${(close) => html`<${Enable} network=${network} act=${act} onClose=${close} />`} />
        ${network.enabled && html`<${DialogButton} label="Disable" dialog=${(close) => html`<${Confirm} title="Disable the managed network?" verb="Disable" danger onClose=${close} act=${() => act('DELETE', 'network')}>
          <p>All containers are taken out of it. Hosts keep their blocks for when it is enabled again.</p><//>`} />`}</div>`}
    </div>
    <${ProblemNote} problem=${problem} retry=${reload} />
    ${network === null ? !problem && html`<${Waiting} what="the network" />` : html`
      ${!network.enabled && network.hosts.length === 0 && html`<section class="card"><${Nothing} title="The managed network is off">
        <p>With it, containers with the label <code>${network.label}</code> reach each other across hosts, encrypted from host to host. Each host that is to take part runs <code>muster-network</code>; others do not pay for it.</p><//></section>`}
      ${(network.enabled || network.hosts.length > 0) && html`
        <${Summary} network=${network} />
        <${Refusals} hosts=${network.hosts} />
        <${Members} network=${network} admin=${admin} act=${act} />
        ${network.enabled && network.hosts.length > 1 && html`<${Paths} admin=${admin} />`}`}`}`;
}

function Summary({ network }) {
  const containers = network.hosts.reduce((sum, host) => sum + host.containers, 0);
  return html`${network.relay_problem && html`<${Note} tone="bad" icon="warn"><b>The server's relay does not listen:</b> ${network.relay_problem}<//>`}
    <section class="card" aria-label="Settings of the network"><dl class="facts card-body" style=${{ paddingTop: '16px' }}>
    <dt>Range</dt><dd><code>${network.cidr}</code> <span class="quiet">in blocks of /${network.block}</span></dd>
    <dt>Blocks</dt><dd>${network.blocks_used.toLocaleString('en')} <span class="quiet">of ${network.blocks.toLocaleString('en')} used</span><${Meter} value=${(100 * network.blocks_used) / Math.max(1, network.blocks)} /></dd>
    <dt>Containers</dt><dd>${containers}${network.next && '+'} <span class="quiet">with the label</span> <a class="chip" href=${`/containers?label=${encodeURIComponent(network.label)}`}>${network.label}</a></dd>
    <dt>Names</dt><dd>${network.names ? html`answered: <code>NAME.muster.internal</code>` : html`<span class="quiet">not answered</span>`}</dd>
    <dt>Relay</dt><dd>${network.relay_port ? html`UDP ${network.relay_port}` : html`<span class="quiet">does not listen</span>`}<span class="quiet">, packets of ${network.mtu} bytes</span></dd>
  </dl></section>`;
}

function Members({ network, admin, act }) {
  return html`<section class="card" aria-labelledby="members"><header class="card-head"><h2 id="members">Hosts</h2><span class="quiet">${network.next ? `the first ${MOST_HOSTS}` : count(network.hosts.length, 'host')}</span></header>
    ${network.hosts.length === 0 ? html`<${Nothing} title="No host takes part yet"><p>On each that is to: <code>sudo systemctl enable --now muster-network</code></p><//>` : html`
    <${SmallTable} caption="Hosts of the managed network" columns=${['Host', 'State', 'Blocks', { title: 'Containers', number: true }, 'Reaches', 'Seen at', admin && ACTS]}>${network.hosts.map((host) => {
        const [tone, words] = STATES[host.state] ?? ['idle', host.state];
        const ways = Object.entries(host.ways).filter(([, number]) => number > 0);
        return html`<tr key=${host.id}>
          <th scope="row"><a class="row-link" href=${hostLink(host.name)}><b>${host.name}</b></a></th>
          <td><${Badge} tone=${host.state === 'joined' && !host.connected ? 'warn' : tone}>${words}${host.state === 'joined' && !host.connected && ', not connected'}<//>${host.reason && html`<div class="quiet small-text">${host.reason}</div>`}${host.names_refused && html`<div class="tone-warn small-text">No names: ${host.names_refused}</div>`}</td>
          <td>${host.blocks.map((block) => html`<div key=${block}><code>${block}</code></div>`)}${host.blocks_missing > 0 && html`<div class="tone-bad">${count(host.blocks_missing, 'block')} missing</div>`}</td>
          <td class="number">${host.containers}${host.refused.length > 0 && html` <span class="tone-warn">+${host.refused.length} refused</span>`}</td>
          <td>${ways.length === 0 ? html`<span class="quiet">–</span>` : ways.map(([way, number]) => html`<div key=${way} class=${way === 'none' ? 'tone-bad' : ''}>${number} ${WAYS[way][1]}</div>`)}</td>
          <td><code>${host.endpoint ?? host.observed ?? '–'}</code>${host.relays && html` <span class="chip">relays</span>`}</td>
          ${admin && html`<td class="acts">
            ${host.new_key && html`<${DialogButton} label="Accept key" class="button small primary" dialog=${(close) => html`<${Confirm} title=${`Accept the new key of ${host.name}?`} verb="Accept" onClose=${close} act=${() => act('POST', `network/hosts/${path(host.id)}/accept`, { key: host.new_key })}>
              <p>It has come with another key than before. If nobody made its key anew, somebody else may be it.</p><dl class="facts"><dt>Before</dt><dd><code>${host.key}</code></dd><dt>New</dt><dd><code>${host.new_key}</code></dd></dl><//>`} />`}
            <${DialogButton} label="Remove" dialog=${(close) => html`<${Confirm} title=${`Take ${host.name} out of the network?`} verb="Take it out" danger onClose=${close} act=${() => act('DELETE', `network/hosts/${path(host.id)}`)}>
              <p>Its blocks go to others last. If its network process still runs, it gets another place: end it there first (<code>muster-agent network down</code>).</p><//>`} /></td>`}
        </tr>`;
      })}<//>${network.next && html`<p class="end">There are more hosts: <code>muster network</code> lists all.</p>`}`}
  </section>`;
}

function Refusals({ hosts }) {
  const refused = hosts.flatMap((host) => host.refused.map((one) => ({ ...one, host: host.name })));
  if (refused.length === 0) return null;
  return html`<section class="card" aria-labelledby="refusals"><header class="card-head"><h2 id="refusals">Could not be joined</h2><span class="quiet">${count(refused.length, 'container')}</span></header>
    <${SmallTable} caption="Labelled containers that are not in the network" columns=${['Container', 'Host', 'Why']}>${refused.map((one) => html`<tr key=${`${one.host} ${one.id}`}><th scope="row"><a class="row-link" href=${containerLink(one.host, one.id)}><b>${one.name}</b></a></th><td>${one.host}</td><td>${one.reason}</td></tr>`)}<//>
  </section>`;
}

/** Paths that are shown at most: a fleet of 1,000 hosts has a million. */
const MOST = 200;

function Paths({ admin }) {
  const [from, setFrom] = useState('');
  const { data, problem, reload } = useLoad('network/paths', { host: from, limit: MOST }, { every: 10000 });
  const [ping, setPing] = useState({});
  const ask = async (one) => {
    const key = `${one.from_id} ${one.to_id}`;
    setPing((before) => ({ ...before, [key]: '…' }));
    const words = await send('POST', 'network/ping', { from: one.from_id, to: one.to_id })
      .then((answer) => (answer.answered ? `${answer.milliseconds.toFixed(1)} ms` : 'no answer'), (error) => error.detail);
    setPing((before) => ({ ...before, [key]: words }));
  };
  const hosts = [...new Set((data?.items ?? []).map((one) => one.from))];
  return html`<section class="card" aria-labelledby="paths"><header class="card-head"><h2 id="paths">Paths</h2>
      ${(hosts.length > 1 || from) && html`<label class="select"><span>From</span><select value=${from} onChange=${(event) => setFrom(event.currentTarget.value)}><option value="">all</option>${(from && !hosts.includes(from) ? [from, ...hosts] : hosts).map((name) => html`<option key=${name} value=${name}>${name}</option>`)}</select></label>`}</header>
    <${ProblemNote} problem=${problem} retry=${reload} />
    ${data && (data.items.length === 0 ? html`<p class="waiting-note">No paths have been told yet.</p>` : html`<${SmallTable} caption="How hosts reach each other" columns=${['From', 'To', 'Way', 'By', 'Last handshake', { title: 'Received', number: true }, { title: 'Sent', number: true }, admin && 'Ping']}>${data.items.map((one) => {
        const [tone, words] = WAYS[one.way] ?? ['idle', one.way];
        const key = `${one.from_id} ${one.to_id}`;
        return html`<tr key=${key}><th scope="row">${one.from}</th><td>${one.to}</td><td><${Badge} tone=${tone}>${words}<//></td><td><code>${one.endpoint ?? '–'}</code></td>
          <td>${one.handshake === null ? html`<span class="quiet">none</span>` : `${lower(duration(one.handshake * 1000))} ago`}</td><td class="number">${traffic(one.received)}</td><td class="number">${traffic(one.sent)}</td>
          ${admin && html`<td><button type="button" class="button small" disabled=${ping[key] === '…'} onClick=${() => ask(one)}>Ping</button> <span role="status">${ping[key] ?? ''}</span></td>`}</tr>`;
      })}<//>${data.next && html`<p class="end">The first ${MOST} are shown: choose a host, or see <code>muster network paths</code>.</p>`}`)}
  </section>`;
}

function Enable({ network, act, onClose }) {
  const [values, setValues] = useState({ cidr: network.cidr, block: String(network.block), label: network.label, names: network.names, mtu: String(network.mtu), force: false });
  const has = network.blocks_used > 0;
  const set = (key) => (event) => setValues((before) => ({ ...before, [key]: event.currentTarget.type === 'checkbox' ? event.currentTarget.checked : event.currentTarget.value }));
  const moved = values.cidr.trim() !== network.cidr || Number(values.block) !== network.block;
  const body = { cidr: values.cidr.trim(), block: Number(values.block), label: values.label.trim(), names: values.names, mtu: Number(values.mtu), force: values.force };
  return html`<${Confirm} title=${network.enabled ? 'Change the managed network' : 'Enable the managed network'} verb=${network.enabled ? 'Change' : 'Enable'} onClose=${onClose} act=${() => act('POST', 'network', body)}>
    <label class="field"><span>Range</span><input value=${values.cidr} onInput=${set('cidr')} required spellcheck=${false} /><small>Choose one that none of your sites uses.</small></label>
    <div class="form-row">
      <label class="field"><span>Block of a host</span><select value=${values.block} onChange=${set('block')}>${[20, 21, 22, 23, 24, 25, 26, 27, 28, 29].map((bits) => html`<option key=${bits} value=${bits} selected=${String(bits) === values.block}>/${bits}: ${(2 ** (32 - bits)).toLocaleString('en')} addresses</option>`)}</select></label>
      <label class="field"><span>Largest packet</span><input type="number" value=${values.mtu} onInput=${set('mtu')} min="576" max="9000" required /></label>
    </div>
    <label class="field"><span>Label of containers that belong to it</span><input value=${values.label} onInput=${set('label')} required spellcheck=${false} /></label>
    <label class="check"><input type="checkbox" checked=${values.names} onChange=${set('names')} /> Answer names inside these containers</label>
    ${has && moved && html`<${Note} tone="warn">Every container in the network gets a new address, and is cut off until it has that.<//><label class="check"><input type="checkbox" checked=${values.force} onChange=${set('force')} /> Do it all the same</label>`}
    <p class="quiet small-text">Open UDP ${network.relay_port ?? 'with the number of the TCP port'} in the server's firewall.</p>
  <//>`;
}

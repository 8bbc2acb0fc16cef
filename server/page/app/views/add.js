// Adding a host: a token, the line for it, and the host when it comes.

import { html, useState, useEffect } from '../html.js';
import { useStore } from '../store.js';
import { session, isAdmin } from '../session.js';
import { get, send } from '../api.js';
import { useChanges } from '../live.js';
import { headline } from '../headline.js';
import { CopyBlock } from '../copy.js';
import { Icon } from '../icons.js';
import { Note, Nothing, ProblemNote } from '../notice.js';
import { Ago } from '../moment.js';
import { say } from '../announce.js';
import { hostLink } from '../router.js';
import { count, parseSeconds } from '../format.js';

const LIFETIMES = [['3600', '1 hour'], ['86400', '1 day'], ['604800', '1 week'], ['2592000', '30 days'], ['', 'other…']];

export function Add() {
  const admin = useStore(session, isAdmin);
  const [made, setMade] = useState(null);
  if (!admin) return html`<h1 tabindex="-1">Add a host</h1><${Nothing} title="This needs the role admin"><p>You may look, and not change. Ask an admin, or sign in as one.</p><//>`;
  return html`<h1 tabindex="-1">Add a host</h1>
    ${made === null ? html`<${Ask} onMade=${setMade} />` : html`<${Join} made=${made} onAgain=${() => setMade(null)} />`}`;
}

function Ask({ onMade }) {
  const [lifetime, setLifetime] = useState('86400');
  const [other, setOther] = useState('');
  const [uses, setUses] = useState('1');
  const [name, setName] = useState('');
  const [labels, setLabels] = useState([['', '']]);
  const [state, setState] = useState({ busy: false, problem: null });
  const label = (index, part, value) => setLabels((before) => before.map((pair, at) => (at === index ? (part === 0 ? [value, pair[1]] : [pair[0], value]) : pair)));
  const submit = async (event) => {
    event.preventDefault();
    setState({ busy: true, problem: null });
    try {
      const ttl = lifetime === '' ? parseSeconds(other) : Number(lifetime);
      if (ttl === null) throw { detail: 'lifetime: give a number with s, m, h, d or w behind it, such as 12h' };
      const body = { ttl, labels: Object.fromEntries(labels.filter(([key]) => key.trim() !== '').map(([key, value]) => [key.trim(), value.trim()])) };
      if (uses !== '') body.uses = Number(uses);
      if (name.trim() && uses === '1') body.name = name.trim();
      onMade(await send('POST', 'join-tokens', body));
    } catch (problem) {
      setState({ busy: false, problem });
    }
  };
  return html`<form class="card" onSubmit=${submit} style=${{ maxWidth: '720px' }}><header class="card-head"><h2>Who may join</h2></header><div class="card-body">
    <div class="form-row">
      <label class="field"><span>Good for</span><select value=${lifetime} onChange=${(event) => setLifetime(event.currentTarget.value)}>${LIFETIMES.map(([value, words]) => html`<option key=${value} value=${value} selected=${value === lifetime}>${words}</option>`)}</select></label>
      ${lifetime === '' && html`<label class="field"><span>How long</span><input value=${other} onInput=${(event) => setOther(event.currentTarget.value)} placeholder="12h, 90d" required /></label>`}
      <label class="field"><span>Hosts that may join with it</span><input type="number" min="1" max="1000000" value=${uses} onInput=${(event) => setUses(event.currentTarget.value)} placeholder="any number" /><small>Empty: any number.</small></label>
      ${uses === '1' && html`<label class="field"><span>Its name</span><input value=${name} onInput=${(event) => setName(event.currentTarget.value)} placeholder="as it calls itself" maxlength="64" autocapitalize="none" spellcheck=${false} /></label>`}
    </div>
    <fieldset class="plain-set"><legend>Labels for these hosts</legend>
      <div class="label-rows">${labels.map(([key, value], index) => html`<div key=${index}>
        <input aria-label=${`Key of label ${index + 1}`} value=${key} onInput=${(event) => label(index, 0, event.currentTarget.value)} placeholder="site" spellcheck=${false} autocapitalize="none" />
        <input aria-label=${`Value of label ${index + 1}`} value=${value} onInput=${(event) => label(index, 1, event.currentTarget.value)} placeholder="attic" spellcheck=${false} autocapitalize="none" />
        <button type="button" class="button round" aria-label=${`Without label ${index + 1}`} onClick=${() => setLabels((before) => before.filter((_, at) => at !== index))}><${Icon} name="close" /></button></div>`)}
      <div><button type="button" class="button small" onClick=${() => setLabels((before) => [...before, ['', '']])}><${Icon} name="plus" /> Label</button></div></div>
    </fieldset>
    <${ProblemNote} problem=${state.problem} />
    <div class="actions"><button type="submit" class="button primary" disabled=${state.busy}>${state.busy ? 'Working…' : 'Show the commands'}</button></div>
  </div></form>`;
}

const WAYS = [['install', 'On a host'], ['joined', 'Agent is there'], ['docker', 'As a container'], ['image', 'Into an image']];

/** In single quotes for a shell. */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The container's command, as docs/install.md has it. */
export function dockerRun(join, version) {
  return `docker run -d --name muster-agent --restart unless-stopped --network host --uts host \\
    --pid host --cgroupns host -v /sys/fs/cgroup:/sys/fs/cgroup:ro \\
    -v /var/run/docker.sock:/var/run/docker.sock -v muster-agent:/var/lib/muster-agent \\
    -e MUSTER_JOIN=${quoted(join)} muster-agent:${version}`;
}

/** The install line for a mounted image. */
export function intoImage(install) {
  return install.endsWith('| sh') ? `${install} -s -- --root '/mnt/card'` : install;
}

/** Whether the install command would be told that this server has no agents: so it is asked what a host would ask. */
async function nothingToInstall(made) {
  const token = made.join.slice('muster://'.length, made.join.lastIndexOf('@'));
  const answer = await fetch('/install', { headers: { Authorization: `Bearer ${token}` }, credentials: 'omit', cache: 'no-store' });
  return answer.status === 404;
}

function Join({ made, onAgain }) {
  const [chosen, setWay] = useState(null);
  const [missing, setMissing] = useState(false);
  const way = chosen ?? (missing ? 'joined' : 'install');
  useEffect(() => {
    // If it cannot be asked, the command itself says it.
    nothingToInstall(made).then(setMissing, () => {});
  }, []);
  const version = useStore(headline, (value) => value?.version ?? '0.1.0');
  return html`<div class="columns">
    <section class="card" aria-labelledby="commands"><header class="card-head"><h2 id="commands">Run this</h2><span class="quiet small-text">ends <${Ago} at=${made.expires_at} /></span></header>
      <div class="card-body">
        <div class="segments" role="group" aria-label="Where">${WAYS.map(([value, words]) => html`<button key=${value} type="button" aria-pressed=${way === value} onClick=${() => setWay(value)}>${words}</button>`)}</div>
        <div class="steps" style=${{ marginTop: '14px' }}>
          ${missing && (way === 'install' || way === 'image') && html`<${Note} tone="warn"><p>This server has no agents to install, so this command will say so and end. Build them with <code>./dist.sh</code> and give their directory to <code>muster serve --agents DIR</code>.</p><//>`}
          ${missing && way === 'joined' && html`<${Note} tone="idle"><p>This server has no agents to install: the host needs one already.</p><//>`}
          ${way === 'install' && html`<p>In root's shell on the host (elsewhere put <code>sudo</code> before <code>sh</code>). It fetches the agent from this server, checks it, makes a user and a service for it, joins, and starts it.</p><${CopyBlock} text=${made.install} what="install command" />`}
          ${way === 'joined' && html`<p>On a host that has <code>muster-agent</code>, as root or as a user of the group docker:</p><${CopyBlock} text=${made.command} what="join command" /><p>Then <code>muster-agent run</code>, or start its service.</p>`}
          ${way === 'docker' && html`<p>Load the agent's image on the host first: <code>docker load -i muster-agent-image.tar</code>, from <code>./dist.sh</code>. The second line is for vitals.</p><${CopyBlock} text=${dockerRun(made.join, version)} what="docker command" />`}
          ${way === 'image' && html`<p>Mount the root of the image at <code>/mnt/card</code> on the machine that flashes, and run as root:</p><${CopyBlock} text=${intoImage(made.install)} what="command for an image" />
            <p>Or, in an image that has the agent, write this one line into <code>/var/lib/muster-agent/join</code>. Each board that is flashed from it makes an identity of its own and joins when it first starts.</p><${CopyBlock} text=${made.join} what="join string" />
            <p><a class="button small" download="join" href=${`data:text/plain;charset=utf-8,${encodeURIComponent(`${made.join}\n`)}`}>Download as the file “join”</a></p>`}
        </div>
        <${Note} tone="warn"><p>Whoever has this may let hosts join until it ends. It is shown only now; <a href="/settings#join-tokens">settings</a> can end it.</p><//>
      </div></section>
    <${Waiter} made=${made} onAgain=${onAgain} />
  </div>`;
}

/** Hosts that have joined with the token, as they come. */
function Waiter({ made, onAgain }) {
  const [joined, setJoined] = useState([]);
  const take = (events) => {
    const own = events.filter((event) => event.action === 'host_joined' && event.attributes.token === made.id);
    if (own.length === 0) return;
    setJoined((before) => [...before, ...own.filter((event) => !before.some((one) => one.host_id === event.host_id))]);
  };
  const readPast = () => get('events', { action: 'host_joined', since: made.created_at, order: 'newest', limit: 100 }).then((page) => take(page.items), () => {});
  useChanges({ kinds: ['event'] }, (kind, event) => take([event]), readPast);
  useEffect(() => void readPast(), []);
  useEffect(() => {
    if (joined.length > 0) say(`${joined.at(-1).host} has joined`);
  }, [joined.length]);
  const left = made.uses_left === null ? null : made.uses_left - joined.length;
  const done = left !== null && left <= 0;
  return html`<section class="card" aria-labelledby="joined"><header class="card-head"><h2 id="joined">${done ? 'Done' : 'Waiting for hosts'}</h2></header>
    <div class="card-body" data-joined=${joined.length}>
      ${!done && html`<p><span class="waiting-dot" aria-hidden="true"></span>${joined.length === 0 ? 'A host appears here as soon as it has joined.' : left === null ? 'More may join.' : `${count(left, 'more may join', 'more may join')}.`}</p>`}
      ${joined.map((event) => html`<${Joined} key=${event.host_id} event=${event} />`)}
      <div class="actions"><button type="button" class="button" onClick=${onAgain}>Another token</button>${joined.length > 0 && html`<a class="button primary" href="/">To the fleet</a>`}</div>
    </div></section>`;
}

function Joined({ event }) {
  const [host, setHost] = useState(null);
  const read = () => get(`hosts/${event.host_id}`).then(setHost, () => {});
  useChanges({ kinds: ['host'] }, (kind, other) => other.id === event.host_id && setHost(other), read);
  useEffect(() => void read(), []);
  return html`<div class="joined"><${Icon} name="ok" /><div><a class="row-link" href=${hostLink(host?.name ?? event.host)}><b>${host?.name ?? event.host}</b></a> has joined
    <div class="quiet small-text">${host?.engine.state ? `engine ${host.engine.version ?? host.engine.state}, ${count(host.containers.total, 'container')}` : 'waiting for its first report'}</div></div></div>`;
}

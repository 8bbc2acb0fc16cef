// States as a picture and a word: never by colour alone.

import { html } from './html.js';
import { Icon } from './icons.js';

const HOSTS = {
  active: ['ok', 'ok'],
  reconnecting: ['warn', 'turn'],
  disconnected: ['bad', 'bad'],
  removed: ['idle', 'idle'],
};

const ENGINES = {
  ok: ['ok', 'ok', 'ok'],
  not_answering: ['bad', 'warn', 'not answering'],
  absent: ['bad', 'bad', 'absent'],
};

const CONTAINERS = {
  running: ['ok', 'ok'],
  paused: ['warn', 'pause'],
  restarting: ['bad', 'turn'],
  exited: ['idle', 'idle'],
  created: ['idle', 'idle'],
  removing: ['idle', 'turn'],
  dead: ['bad', 'bad'],
};

/** The picture of a severity. */
export function severityIcon(severity) {
  return severity === 'critical' ? 'bad' : 'warn';
}

/** A word with its picture, in a tone: `ok`, `warn`, `bad`, `idle`. */
export function Badge({ tone, icon = tone, children, title }) {
  return html`<span class=${`badge tone-${tone}`} title=${title}><${Icon} name=${icon} /><span>${children}</span></span>`;
}

/** A host's state. */
export function HostState({ host }) {
  const [tone, icon] = HOSTS[host.state] ?? ['idle', 'question'];
  const away = host.state === 'disconnected' ? 'away' : host.state;
  return html`<span class="badges">
    <${Badge} tone=${tone} icon=${icon} title=${host.state}>${away}<//>
    ${host.conflict && html`<${Badge} tone="bad" title="Another agent uses its credential: the card was copied">conflict<//>`}
    ${host.sync_error && html`<${Badge} tone="warn" title="What is known of its containers could not be proven equal to what it has">sync error<//>`}
  </span>`;
}

/** An engine's state and version. */
export function EngineState({ engine }) {
  const [tone, icon, word] = ENGINES[engine.state] ?? ['idle', 'question', 'not heard of'];
  if (engine.state === 'ok') return html`<span class="quiet" title=${engine.version}>${(engine.version ?? 'ok').split('+')[0]}</span>`;
  return html`<${Badge} tone=${tone} icon=${icon}>${word}<//>`;
}

/** What a container's state and health come to: `[tone, icon]`. */
export function containerTone(container) {
  if (container.state === 'running' && container.health === 'unhealthy') return ['bad', 'warn'];
  if (container.state === 'running' && container.health === 'starting') return ['warn', 'turn'];
  if (container.oom_killed) return ['bad', 'bad'];
  // 137 and 143 are what a requested stop leaves.
  const failed = container.state === 'exited' && ![0, 137, 143, null].includes(container.exit_code);
  if (failed) return ['warn', 'warn'];
  return CONTAINERS[container.state] ?? ['idle', 'question'];
}

/** A container's state as `docker ps` words it. */
export function ContainerState({ container, children }) {
  const [tone, icon] = containerTone(container);
  return html`<${Badge} tone=${container.stale ? 'idle' : tone} icon=${icon}>${children ?? container.state}<//>`;
}

/** Labels as small chips; those of `hide` are left out. `link` makes the address of one. */
export function Labels({ labels, link, hide = () => false }) {
  const shown = Object.entries(labels ?? {}).filter(([key]) => !hide(key));
  if (shown.length === 0) return null;
  return html`<ul class="chips" aria-label="Labels">${shown.map(([key, value]) => {
    const text = value === '' ? key : `${key}=${value}`;
    return html`<li key=${key}>${link ? html`<a class="chip" href=${link(text)}>${text}</a>` : html`<span class="chip">${text}</span>`}</li>`;
  })}</ul>`;
}

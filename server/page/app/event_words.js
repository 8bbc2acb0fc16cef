// What an event says, in a few words. Docker's own words where it has them. Pure.

/** Events by action: `[tone, icon]`. What is not here is quiet. */
const LOOKS = {
  start: ['ok', 'ok'], unpause: ['ok', 'ok'], restart: ['ok', 'turn'], create: ['idle', 'box'],
  die: ['idle', 'idle'], stop: ['idle', 'idle'], kill: ['idle', 'close'], destroy: ['idle', 'close'], pause: ['warn', 'pause'],
  oom: ['bad', 'bad'],
  host_joined: ['ok', 'plus'], host_active: ['ok', 'ok'], host_reconnecting: ['warn', 'turn'], host_disconnected: ['bad', 'bad'],
  host_conflict: ['bad', 'bad'], host_conflict_over: ['ok', 'ok'], host_removed: ['idle', 'close'], host_restored: ['ok', 'plus'],
  host_sync_error: ['warn', 'warn'], host_sync_error_over: ['ok', 'ok'], host_credential_revoked: ['warn', 'warn'],
  engine_ok: ['ok', 'ok'], engine_not_answering: ['bad', 'warn'], engine_absent: ['bad', 'bad'],
};

const CAUSES = {
  queue_full: 'the host had no room for more',
  agent_down: 'the agent was not running',
  engine_restarted: 'the engine was restarted',
  stream_lost: "the engine's stream broke off",
  server_restored: 'the server was restored from a backup',
  too_large: 'an event was too large',
};

/** `[tone, icon]` of an event. */
export function lookOf(event) {
  if (event.type === 'gap') return ['warn', 'gap'];
  if (event.action === 'die') {
    const code = event.attributes.exitCode;
    return code && !['0', '137', '143'].includes(code) ? ['warn', 'warn'] : LOOKS.die;
  }
  if (event.action.startsWith('health_status')) return event.action.endsWith('unhealthy') ? ['bad', 'warn'] : ['ok', 'ok'];
  return LOOKS[event.action] ?? ['idle', event.type === 'network' ? 'network' : 'idle'];
}

/** What happened: for the host's own events without the prefix. */
export function actionOf(event) {
  if (event.type === 'gap') return 'gap';
  return event.action.replace(/^host_/, '').replaceAll('_', ' ').replace(/^health status: /, 'health: ');
}

/** What a gap means, in a sentence. */
export function gapWords({ attributes }) {
  const { count, cause } = attributes;
  const missing = count === '1' ? '1 event is missing' : count ? `Up to ${count} events are missing` : 'An unknown number of events is missing';
  return `${missing}: ${CAUSES[cause] ?? cause ?? 'nobody knows why'}`;
}

/** What more there is to say: `[key, value]`, the telling ones of what Docker has sent. */
export function detailsOf(event) {
  const { attributes } = event;
  const told = [];
  const add = (key, value) => value !== undefined && value !== null && value !== '' && told.push([key, value]);
  if (event.action === 'die') add('exit code', attributes.exitCode);
  if (event.action === 'kill') add('signal', attributes.signal);
  if (event.action === 'rename') add('from', (attributes.oldName ?? '').replace(/^\//, ''));
  if (event.type === 'network') add('network', attributes.name);
  if (event.type === 'host') for (const [key, value] of Object.entries(attributes)) if (key !== 'token') add(key.replaceAll('_', ' '), value);
  return told;
}

/** Milliseconds by which a host's clock must differ from the server's for it to be worth a word. */
const FAR = 120000;

/** Whether the host's time of an event is far from when the server had it. A gap between both is also a host that was away. */
export function isFar(event) {
  return event.time !== null && Math.abs(Date.parse(event.time.replace(/(\.\d{3})\d+/, '$1')) - Date.parse(event.received_at)) > FAR;
}

/** A list of events, newest first, with some that are perhaps known already. At most `most` stay. */
export function withEvents(known, more, most) {
  const ids = new Set(known.map((event) => event.id));
  const fresh = more.filter((event) => !ids.has(event.id));
  if (fresh.length === 0) return known;
  return [...known, ...fresh].sort((a, b) => b.id - a.id).slice(0, most);
}

/** Whether an event belongs to what filters ask for, as the server decides it. Times are its own business. */
export function isWanted(filters, event) {
  const any = (values, test) => !values || values.length === 0 || values.some(test);
  return any(filters.host, (host) => host === event.host || host === event.host_id)
    && any(filters.container, (text) => (event.container ?? '').startsWith(text) || (event.container_id ?? '').startsWith(text))
    && any(filters.action, (action) => event.action === action || event.action.startsWith(`${action}:`))
    && any(filters.type, (type) => type === event.type)
    && (filters.label ?? []).every((label) => {
      const [key, ...rest] = label.split('=');
      return key in event.attributes && (rest.length === 0 || event.attributes[key] === rest.join('='));
    });
}

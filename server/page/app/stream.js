// The stream of changes, without I/O and clock: reading Server-Sent Events, and what a connection's fate means.

/** Milliseconds: the server says something at least every 15 seconds, so this is silence. */
export const SILENCE = 25000;

/** Milliseconds that opening may take. */
export const OPENING = 15000;

/** Milliseconds of a lost connection after which people are told. */
export const GRACE = 1500;

const FIRST_WAIT = 500;
const LONGEST_WAIT = 8000;

/** Characters of one event at most: the largest is some 16 KiB. Beyond this the other side is no Muster. */
const LONGEST = 1024 * 1024;

/** Reads Server-Sent Events from pieces of text: `read(piece)` gives those that are whole by then, `{id, event, data}`. */
export function createReader() {
  let rest = '';
  let event = '';
  let data = [];
  let id = null;
  return {
    read(piece) {
      const events = [];
      rest += piece;
      if (rest.length > LONGEST) throw new RangeError('an event of the stream has no end');
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop();
      for (const line of lines) {
        if (line === '') {
          if (data.length > 0) events.push({ id, event: event || 'message', data: data.join('\n') });
          event = '';
          data = [];
          continue;
        }
        const colon = line.indexOf(':');
        if (colon === 0) continue;
        const field = colon < 0 ? line : line.slice(0, colon);
        const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
        if (field === 'event') event = value;
        else if (field === 'data') data.push(value);
        else if (field === 'id') id = value;
      }
      return events;
    },
  };
}

/** No connection, and none wanted. */
export function closed() {
  return { phase: 'closed', lastId: null, heardAt: null, openedAt: null, failures: 0, lostAt: null, retryAt: null };
}

/**
 * What becomes of the connection. Actions, each with `now` in milliseconds:
 * `open`: a request was sent; `heard`: bytes came, `id` if they ended an event; `ended`: it broke, `random` 0 to 1,
 * `retryAfter` seconds if the server said so; `close`: it is not wanted any more.
 */
export function reduce(state, action) {
  switch (action.type) {
    case 'open':
      return { ...state, phase: 'opening', openedAt: action.now, retryAt: null };
    case 'heard':
      return { ...state, phase: 'live', heardAt: action.now, failures: 0, lostAt: null, lastId: action.id ?? state.lastId };
    case 'ended': {
      const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(state.failures, 10));
      // Half of it by chance, so that pages do not come back all at once.
      const delay = action.retryAfter ? action.retryAfter * 1000 : wait / 2 + (wait / 2) * action.random;
      const lostAt = state.lostAt ?? action.now;
      return { ...state, phase: 'waiting', failures: state.failures + 1, lostAt, retryAt: action.now + delay };
    }
    case 'close':
      return { ...closed(), lastId: state.lastId, heardAt: state.heardAt };
    default:
      return state;
  }
}

/** Whether the connection is dead although nothing has said so. */
export function isSilent(state, now) {
  if (state.phase === 'live') return now - state.heardAt > SILENCE;
  return state.phase === 'opening' && now - state.openedAt > OPENING;
}

/** Whether people are to be told that what they see is old. */
export function isLost(state, now) {
  return state.lostAt !== null && now - state.lostAt >= GRACE;
}

/**
 * The one query that serves all who watch: `[{kinds, host, background}]`. Null if nobody does. Those in the background
 * take what comes, and do not keep a view of one host from being served with that host alone.
 */
export function wanted(watchers) {
  if (watchers.length === 0) return null;
  const kinds = [...new Set(watchers.flatMap((watcher) => watcher.kinds))].sort();
  const views = watchers.filter((watcher) => !watcher.background);
  const hosts = [...new Set(views.map((watcher) => watcher.host ?? null))];
  return hosts.length === 1 && hosts[0] !== null ? { kind: kinds, host: hosts[0] } : { kind: kinds };
}

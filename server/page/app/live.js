// Keeps one stream of changes open for all views, and says how it does.

import { useEffect, useRef } from './html.js';
import { createStore } from './store.js';
import { queryString } from './api.js';
import { session } from './session.js';
import { askForVersion } from './files.js';
import { createReader, closed, reduce, isSilent, wanted } from './stream.js';

/** How the connection does: see `reduce` in stream.js. */
export const connection = createStore(closed());

const watchers = new Set();
let openQuery = null;
let giveUp = null;
let changeTimer = null;

/** Nobody looks: the connection is given back, for a browser has few of them for all of its tabs. */
let unseen = false;
let unseenTimer = null;

/** Milliseconds for which a tab may be hidden before that. */
const UNSEEN = 10000;

/**
 * Calls `onChange(kind, object)` for each change of these kinds, and `onReset()` when lists have to be read again.
 * With `host`, an id, only what is of that host has to come; in the
 * `background` it may be that what is of other hosts does not.
 */
export function useChanges({ kinds, host, background }, onChange, onReset) {
  const handlers = useRef({});
  handlers.current = { onChange, onReset };
  const key = kinds.join(' ');
  useEffect(() => {
    const watcher = { kinds: key.split(' '), host, background, handlers };
    watchers.add(watcher);
    rearrange();
    return () => {
      watchers.delete(watcher);
      rearrange();
    };
  }, [key, host, background]);
}

/** A view that goes and one that comes change the query twice: only the outcome counts. */
function rearrange() {
  clearTimeout(changeTimer);
  changeTimer = setTimeout(() => {
    const query = session.get().state === 'in' && !unseen ? wanted([...watchers]) : null;
    const text = query && queryString(query);
    if (text === openQuery) return;
    openQuery = text;
    giveUp?.abort();
    giveUp = null;
    if (text === null) step({ type: 'close' });
    else open();
  }, 0);
}

session.watch(rearrange);

function step(action) {
  connection.set(reduce(connection.get(), { now: Date.now(), random: Math.random(), ...action }));
}

async function open() {
  const mine = new AbortController();
  giveUp = mine;
  step({ type: 'open' });
  let retryAfter = null;
  try {
    const headers = { Accept: 'text/event-stream' };
    if (connection.get().lastId) headers['Last-Event-ID'] = connection.get().lastId;
    const answer = await fetch(`/api/v1/stream${openQuery}`, { headers, signal: mine.signal, cache: 'no-store', credentials: 'same-origin' });
    if (answer.status === 401) return session.set({ state: 'out', expired: true });
    if (!answer.ok) {
      retryAfter = Number(answer.headers.get('Retry-After')) || null;
      throw new Error(`the stream answered with ${answer.status}`);
    }
    // It was away: perhaps to be upgraded.
    if (connection.get().failures > 0) askForVersion();
    step({ type: 'heard' });
    await follow(answer.body.pipeThrough(new TextDecoderStream()).getReader(), mine);
  } catch (error) {
    // Whatever it was, the banner and the next attempt say it.
    if (!mine.signal.aborted) console.warn('stream:', error.message);
  } finally {
    if (giveUp === mine) {
      giveUp = null;
      step({ type: 'ended', retryAfter });
    }
  }
}

async function follow(body, mine) {
  const reader = createReader();
  for (;;) {
    const { value, done } = await body.read();
    if (done || mine.signal.aborted) return;
    const events = reader.read(value);
    // Before they are handed on: whoever looks at the connection then sees it alive.
    step({ type: 'heard', id: events.at(-1)?.id });
    for (const event of events) tell(event);
  }
}

function tell({ event, data }) {
  let object;
  try {
    object = JSON.parse(data);
  } catch {
    console.warn('stream: not JSON:', event);
    return;
  }
  for (const { kinds, handlers } of [...watchers]) {
    if (event === 'reset') handlers.current.onReset?.(object);
    else if (kinds.includes(event)) handlers.current.onChange?.(event, object);
  }
}

/** Ends a connection that is dead and opens one that is due. */
function look() {
  const state = connection.get();
  const now = Date.now();
  if (isSilent(state, now) && giveUp) {
    const dead = giveUp;
    giveUp = null;
    dead.abort();
    step({ type: 'ended' });
  } else if (state.phase === 'waiting' && now >= state.retryAt && openQuery !== null) {
    open();
  }
}

/** Tries at once, for people who do not want to wait. */
export function retryNow() {
  if (connection.get().phase === 'waiting' && openQuery !== null) open();
}

setInterval(look, 250);
window.addEventListener('online', retryNow);
window.addEventListener('offline', () => giveUp?.abort() ?? look());
document.addEventListener('visibilitychange', () => {
  clearTimeout(unseenTimer);
  if (document.hidden) {
    unseenTimer = setTimeout(() => {
      unseen = true;
      rearrange();
    }, UNSEEN);
    return;
  }
  unseen = false;
  rearrange();
  // A machine that slept has dead connections, and timers that did not run.
  look();
});

// The alerts that fire now, kept by the stream.

import { ordered, withAlert, folded } from './alert_order.js';
import { createStore } from './store.js';
import { useEffect } from './html.js';
import { get, isGivenUp } from './api.js';
import { useChanges } from './live.js';

/** Alerts that are read at most. More are told by their number. */
const MOST = 200;

/**
 * `{items, folded, more, problem}`; `items` is null before the first answer. `folded` counts those that are a part of
 * another: see `folded` in alert_order.js. `more`: there are more than were read.
 */
export const firing = createStore({ items: null, folded: 0, more: false, problem: null });

/** All of them, as the server has them. */
let all = null;

function put(alerts, rest) {
  all = alerts;
  firing.set((before) => ({ ...before, ...rest, ...folded(all) }));
}

let timer = null;

async function read() {
  timer = null;
  try {
    const page = await get('alerts', { state: 'firing', limit: MOST });
    put(ordered(page.items), { more: page.next !== null, problem: null });
  } catch (problem) {
    if (!isGivenUp(problem)) firing.set((before) => ({ ...before, problem }));
  }
}

/** Reads them soon. */
export function refreshFiring() {
  timer ??= setTimeout(read, 100);
}

/** Keeps them fresh while a component that calls this is there. */
export function useFiring() {
  useChanges(
    { kinds: ['alert'], background: true },
    (kind, alert) => all && put(withAlert(all, alert)),
    refreshFiring,
  );
  useEffect(() => {
    read();
    // A view of one host is not told of the alerts of others.
    const idle = setInterval(() => !document.hidden && refreshFiring(), 15000);
    return () => clearInterval(idle);
  }, []);
}

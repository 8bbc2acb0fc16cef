// The alerts that fire now, kept by the stream.

import { ordered, withAlert } from './alert_order.js';
import { createStore } from './store.js';
import { useEffect } from './html.js';
import { get, isGivenUp } from './api.js';
import { useChanges } from './live.js';

/** Alerts that are read at most. More are told by their number. */
const MOST = 200;

/** `{items, more, problem}`; `items` is null before the first answer. */
export const firing = createStore({ items: null, more: false, problem: null });

let timer = null;

async function read() {
  timer = null;
  try {
    const page = await get('alerts', { state: 'firing', limit: MOST });
    firing.set({ items: ordered(page.items), more: page.next !== null, problem: null });
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
    (kind, alert) => firing.set((before) => (before.items ? { ...before, items: withAlert(before.items, alert) } : before)),
    refreshFiring,
  );
  useEffect(() => {
    read();
    // A view of one host is not told of the alerts of others.
    const idle = setInterval(() => !document.hidden && refreshFiring(), 15000);
    return () => clearInterval(idle);
  }, []);
}

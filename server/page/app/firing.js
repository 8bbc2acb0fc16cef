// The alerts that fire now, kept by the stream.

import { createStore } from './store.js';
import { useEffect } from './html.js';
import { get, isGivenUp } from './api.js';
import { useChanges } from './live.js';

/** Alerts that are read at most. More are told by their number. */
const MOST = 200;

/** `{items, more, problem}`; `items` is null before the first answer. */
export const firing = createStore({ items: null, more: false, problem: null });

/** The list after an alert began, changed or ended: the newest of the worst first. */
export function withAlert(items, alert) {
  const others = items.filter((one) => one.id !== alert.id);
  return alert.until ? others : ordered([alert, ...others]);
}

/** Critical ones first, then the newest. What is silenced comes last. */
export function ordered(items) {
  const weight = (alert) => (alert.silenced ? 2 : 0) + (alert.severity === 'critical' ? 0 : 1);
  return [...items].sort((a, b) => weight(a) - weight(b) || Date.parse(b.since) - Date.parse(a.since) || b.id - a.id);
}

/** Alerts of one rule together: `[{rule, severity, alerts}]` in the order of their first. */
export function byRule(items) {
  const groups = new Map();
  for (const alert of items) {
    const key = `${alert.rule} ${alert.silenced}`;
    if (!groups.has(key)) groups.set(key, { key, rule: alert.rule, severity: alert.severity, silenced: alert.silenced, alerts: [] });
    groups.get(key).alerts.push(alert);
  }
  return [...groups.values()];
}

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

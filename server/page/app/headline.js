// The counts of the whole fleet, kept fresh for every view.

import { createStore } from './store.js';
import { useEffect } from './html.js';
import { get } from './api.js';
import { useChanges } from './live.js';
import { setServerTime } from './moment.js';

/** What `GET /api/v1/fleet` answered last; null before. */
export const headline = createStore(null);

/** Milliseconds between two readings, if something changes and if nothing does. */
const BUSY = 1000;
const IDLE = 10000;

let timer = null;
let readAt = 0;
let reading = false;

/** Reads the counts soon. */
export function refreshHeadline() {
  timer ??= setTimeout(read, Math.max(50, readAt + BUSY - Date.now()));
}

async function read() {
  timer = null;
  if (reading) return;
  reading = true;
  readAt = Date.now();
  try {
    const fleet = await get('fleet');
    setServerTime(fleet.time);
    headline.set(fleet);
  } catch {
    // The stream's banner says it when the server is away; the old counts stay.
  } finally {
    reading = false;
  }
}

/** Keeps the counts fresh while a component that calls this is there. */
export function useHeadline() {
  useChanges({ kinds: ['host', 'alert'], background: true }, refreshHeadline, refreshHeadline);
  useEffect(() => {
    read();
    const idle = setInterval(() => !document.hidden && refreshHeadline(), IDLE);
    return () => clearInterval(idle);
  }, []);
}

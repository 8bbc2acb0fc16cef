// Times that grow older while one looks at them. The server's clock counts: this machine's may be wrong.

import { html, useEffect } from './html.js';
import { createStore, useStore } from './store.js';
import { ago, absolute, age, lower, time } from './format.js';

let offset = 0;
const clock = createStore(Date.now());

/** Takes the server's time, as it was just answered. */
export function setServerTime(text) {
  const at = time(text);
  // Some delay is no difference between clocks.
  if (at !== null) offset = Math.abs(at - Date.now()) < 3000 ? 0 : at - Date.now();
}

/** Milliseconds since 1970 by the server's clock. */
export function serverNow() {
  return Date.now() + offset;
}

let users = 0;
let timer = null;

/** The server's time, each second anew. */
export function useNow() {
  useEffect(() => {
    users += 1;
    timer ??= setInterval(() => !document.hidden && clock.set(Date.now()), 1000);
    return () => {
      users -= 1;
      if (users > 0) return;
      clearInterval(timer);
      timer = null;
    };
  }, []);
  useStore(clock);
  return serverNow();
}

/** `3 minutes ago`, with the absolute time in its title. It may stand within a sentence. */
export function Ago({ at, never = '–' }) {
  const now = useNow();
  if (time(at) === null) return html`<span class="quiet">${never}</span>`;
  return html`<time datetime=${at} title=${absolute(at)}>${lower(ago(at, now))}</time>`;
}

/** `40s`, where there is little room. */
export function Age({ at }) {
  const now = useNow();
  if (time(at) === null) return html`<span class="quiet">–</span>`;
  return html`<time datetime=${at} title=${absolute(at)}>${age(now - time(at))}</time>`;
}

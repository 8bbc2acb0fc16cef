// What screen readers are told without being asked: seldom, and politely.

import { html } from './html.js';
import { createStore, useStore } from './store.js';

const words = createStore({ text: '', count: 0 });

/** Says it once, when there is a pause. */
export function say(text) {
  words.set(({ count }) => ({ text, count: count + 1 }));
}

/** Where it is said from. One for the whole page. */
export function Announcer() {
  const { text, count } = useStore(words);
  // The same words again are news only if they are another node.
  return html`<div class="unseen" role="status" aria-live="polite"><span key=${count}>${text}</span></div>`;
}

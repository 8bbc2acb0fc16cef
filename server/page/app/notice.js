// What stands where there is nothing else to show: waiting, nothing, or a problem.

import { html } from './html.js';
import { Icon } from './icons.js';

/** A problem of the server's, in its own words. */
export function ProblemNote({ problem, retry }) {
  if (!problem) return null;
  return html`<div class="note tone-bad" role="alert"><${Icon} name="warn" /><p>${problem.detail ?? String(problem)}</p>
    ${retry && html`<button type="button" class="button small" onClick=${retry}>Try again</button>`}</div>`;
}

/** Something to know, in a tone. */
export function Note({ tone = 'idle', icon = tone, children }) {
  return html`<div class=${`note tone-${tone}`}><${Icon} name=${icon} /><div>${children}</div></div>`;
}

/** Nothing is there, and what to do about it. */
export function Nothing({ title, children }) {
  return html`<div class="nothing"><p class="nothing-title">${title}</p>${children && html`<div>${children}</div>`}</div>`;
}

/** It is being read. */
export function Waiting({ what = 'this' }) {
  return html`<p class="waiting-note" aria-busy="true">Reading ${what}…</p>`;
}

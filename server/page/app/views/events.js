import { html } from '../html.js'; export function Events() { return html`<h1>x</h1>`; }

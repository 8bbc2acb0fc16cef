import { html } from '../html.js'; export function Host() { return html`<h1>x</h1>`; }

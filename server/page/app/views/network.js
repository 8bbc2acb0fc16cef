import { html } from '../html.js'; export function Network() { return html`<h1>x</h1>`; }

import { html } from '../html.js'; export function Alerts() { return html`<h1>x</h1>`; }

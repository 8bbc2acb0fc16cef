import { html } from '../html.js'; export function Settings() { return html`<h1>x</h1>`; }

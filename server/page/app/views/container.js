import { html } from '../html.js'; export function Container() { return html`<h1>x</h1>`; }

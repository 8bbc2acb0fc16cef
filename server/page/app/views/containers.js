import { html } from '../html.js'; export function Containers() { return html`<h1>x</h1>`; }

import { html } from '../html.js'; export function Add() { return html`<h1>x</h1>`; }

// Pictures of 16 by 16. They stand beside words and are hidden from screen readers.

import { html } from './html.js';

const line = (d) => html`<path d=${d} fill="none" stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round" />`;

const PICTURES = {
  ok: html`<circle cx="8" cy="8" r="7" fill="currentColor" /><path d="M4.8 8.3l2.2 2.2 4.2-4.6" fill="none" stroke="var(--on-tone)" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round" />`,
  warn: html`<path d="M8 1.2 15.4 14.4H.6z" fill="currentColor" /><path d="M8 6v4M8 12.2v.1" stroke="var(--on-tone)" stroke-width="1.8" stroke-linecap="round" />`,
  bad: html`<path d="M5.1.8h5.8l4.3 4.3v5.8l-4.3 4.3H5.1L.8 10.9V5.1z" fill="currentColor" /><path d="M5.4 5.4l5.2 5.2m0-5.2-5.2 5.2" stroke="var(--on-tone)" stroke-width="1.8" stroke-linecap="round" />`,
  idle: html`<circle cx="8" cy="8" r="6.1" fill="none" stroke="currentColor" stroke-width="1.7" /><path d="M5.2 8h5.6" stroke="currentColor" stroke-width="1.7" stroke-linecap="round" />`,
  pause: html`<circle cx="8" cy="8" r="7" fill="currentColor" /><path d="M6.2 5.3v5.4m3.6-5.4v5.4" stroke="var(--on-tone)" stroke-width="1.7" stroke-linecap="round" />`,
  turn: html`<circle cx="8" cy="8" r="7" fill="currentColor" /><path d="M11.2 8.8a3.3 3.3 0 1 1-.7-2.9M10.8 3.9v2.2H8.6" fill="none" stroke="var(--on-tone)" stroke-width="1.5" stroke-linecap="round" stroke-linejoin="round" />`,
  question: html`<circle cx="8" cy="8" r="7" fill="currentColor" /><path d="M6.1 6.1a1.9 1.9 0 1 1 2.7 1.8c-.6.3-.8.6-.8 1.2M8 11.5v.1" fill="none" stroke="var(--on-tone)" stroke-width="1.6" stroke-linecap="round" />`,
  fleet: line('M2 3h12v3.6H2zM2 9.4h12V13H2zM4.6 4.8h.1M4.6 11.2h.1'),
  box: line('M8 1.5 14 4.8v6.4L8 14.5 2 11.2V4.8zM2.2 4.9 8 8l5.8-3.1M8 8v6.3'),
  events: line('M1.5 8h3l2-5 3 10 2-5h3'),
  bell: line('M3.5 11.5c1-1 1-2.5 1-4.5a3.5 3.5 0 0 1 7 0c0 2 0 3.5 1 4.5zM6.7 13.7a1.5 1.5 0 0 0 2.6 0'),
  network: line('M8 5.5v3M8 8.5H3.5v2M8 8.5h4.5v2M6 2h4v3.5H6zM1.5 10.5h4V14h-4zM10.5 10.5h4V14h-4z'),
  gear: line('M2 4.5h6.5M12.5 4.5H14M2 11.5h1.5M7.5 11.5H14M8.5 4.5a2 2 0 1 0 4 0 2 2 0 0 0-4 0M3.5 11.5a2 2 0 1 0 4 0 2 2 0 0 0-4 0'),
  plus: line('M8 2.5v11M2.5 8h11'),
  sun: line('M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6M8 1v1.3M8 13.7V15M1 8h1.3M13.7 8H15M3.050 3.050l.9.9M12.050 12.050l.9.9M12.950 3.050l-.9.9M3.950 12.050l-.9.9'),
  moon: line('M13.5 9.5A6 6 0 0 1 6.5 2.5a6 6 0 1 0 7 7z'),
  screen: line('M2 2.5h12v8.5H2zM5.5 13.8h5M8 11v2.7'),
  copy: line('M5.5 5.5h8v8h-8zM3.3 10.5h-.8v-8h8v.8'),
  done: line('M2.5 8.5l3.5 3.5 7.5-8'),
  search: line('M7 2.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9M10.3 10.3l3.4 3.4'),
  close: line('M3.5 3.5l9 9m0-9-9 9'),
  next: line('M6 3l5 5-5 5'),
  gap: line('M1.5 8h3M11.5 8h3M6.5 4.5l-1.5 7M11 4.5l-1.5 7'),
};

/** A picture by its name. */
export function Icon({ name, label }) {
  return html`<svg class=${`icon icon-${name}`} viewBox="0 0 16 16" width="16" height="16" role=${label ? 'img' : undefined} aria-label=${label} aria-hidden=${label ? undefined : 'true'} focusable="false">${PICTURES[name]}</svg>`;
}

// Which view an address means, and going from one to the other without loading the page again.

import { createStore } from './store.js';

/** Views by the form of their path; `:name` stands for one part. */
export const ROUTES = [
  ['/', 'fleet'],
  ['/hosts', 'fleet'],
  ['/hosts/:host', 'host'],
  ['/containers', 'containers'],
  ['/containers/:host/:container', 'container'],
  ['/events', 'events'],
  ['/network', 'network'],
  ['/alerts', 'alerts'],
  ['/add', 'add'],
  ['/settings', 'settings'],
  ['/sign-in', 'sign_in'],
];

/** The view of a path and what varies in it: `{view, parameters}`; the view is null if there is none. */
export function match(path) {
  const parts = path.split('/');
  // A slash at the end means the same.
  if (parts.length > 2 && parts.at(-1) === '') parts.pop();
  for (const [form, view] of ROUTES) {
    const parameters = fits(form.split('/'), parts);
    if (parameters) return { view, parameters };
  }
  return { view: null, parameters: {} };
}

function fits(form, parts) {
  if (form.length !== parts.length) return null;
  const parameters = {};
  for (const [index, part] of form.entries()) {
    if (!part.startsWith(':')) {
      if (part !== parts[index]) return null;
      continue;
    }
    try {
      parameters[part.slice(1)] = decodeURIComponent(parts[index]);
    } catch {
      return null;
    }
    if (parts[index] === '') return null;
  }
  return parameters;
}

/** The address of a host's view. */
export function hostLink(host) {
  return `/hosts/${encodeURIComponent(host)}`;
}

/** The address of a container's view. */
export function containerLink(host, container) {
  return `/containers/${encodeURIComponent(host)}/${encodeURIComponent(container)}`;
}

const here = () => ({ path: location.pathname, search: location.search, hash: location.hash, ...match(location.pathname) });

/** Where the page is: `{path, search, hash, view, parameters}`. */
export const route = createStore(here());

/** Goes to an address of the page. `replace` leaves no step to go back to. */
export function navigate(address, { replace = false } = {}) {
  const before = location.pathname;
  if (replace) history.replaceState(null, '', address);
  else history.pushState(null, '', address);
  route.set(here());
  if (location.pathname !== before) window.scrollTo(0, 0);
}

/** Follows links within the page, and the browser's back and forward. */
export function startRouter() {
  window.addEventListener('popstate', () => route.set(here()));
  document.addEventListener('click', (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target.closest?.('a[href]');
    if (!link || link.target || link.hasAttribute('download') || link.origin !== location.origin) return;
    if (match(link.pathname).view === null || link.getAttribute('href').startsWith('#')) return;
    event.preventDefault();
    navigate(link.pathname + link.search + link.hash);
  });
}

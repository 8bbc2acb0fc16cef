// Going from one view to the other without loading the page again.

import { createStore } from './store.js';
import { match } from './routes.js';
import { isOutdated } from './files.js';

export { hostLink, containerLink } from './routes.js';

const here = () => ({ path: location.pathname, search: location.search, hash: location.hash, ...match(location.pathname) });

/** Where the page is: `{path, search, hash, view, parameters}`. */
export const route = createStore(here());

/** Goes to an address of the page. `replace` leaves no step to go back to. */
export function navigate(address, { replace = false } = {}) {
  const before = location.pathname;
  // The server was upgraded: what comes next is its own page.
  if (isOutdated() && new URL(address, location).pathname !== before) return location.assign(address);
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

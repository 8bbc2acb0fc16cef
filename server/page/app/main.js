// Begins: who is it, which view, and what to say if neither is known.

import { html, render, useEffect, useRef } from './html.js';
import { useStore } from './store.js';
import { route, startRouter } from './router.js';
import { session, loadSession } from './session.js';
import { Shell } from './shell.js';
import { Nothing, Waiting } from './notice.js';
import { Fleet } from './views/fleet.js';
import { Host } from './views/host.js';
import { Containers } from './views/containers.js';
import { Container } from './views/container.js';
import { Events } from './views/events.js';
import { Network } from './views/network.js';
import { Alerts } from './views/alerts.js';
import { Add } from './views/add.js';
import { Settings } from './views/settings.js';
import { SignIn } from './views/sign_in.js';

const VIEWS = { fleet: Fleet, host: Host, containers: Containers, container: Container, events: Events, network: Network, alerts: Alerts, add: Add, settings: Settings };

const TITLES = { fleet: 'Fleet', containers: 'Containers', events: 'Events', network: 'Network', alerts: 'Alerts', add: 'Add a host', settings: 'Settings', sign_in: 'Sign in' };

function Page() {
  const { state, detail } = useStore(session);
  const { view, parameters, path } = useStore(route);
  const before = useRef(path);
  useEffect(() => {
    const name = parameters.container ?? parameters.host ?? TITLES[view] ?? 'Nothing here';
    document.title = `${name} – Muster`;
    // Who uses a screen reader learns that another view is there.
    if (before.current !== path) document.querySelector('main h1')?.focus({ preventScroll: true });
    before.current = path;
  }, [path, state]);
  if (state === 'unknown') return html`<main class="alone"><${Waiting} what="the fleet" /></main>`;
  if (state === 'unreachable') {
    return html`<main class="alone"><${Nothing} title="The server cannot be reached"><p>${detail}</p><button type="button" class="button" onClick=${loadSession}>Try again</button><//></main>`;
  }
  if (state === 'out' || view === 'sign_in') return html`<${SignIn} />`;
  const View = VIEWS[view];
  return html`<${Shell}>${View
    ? html`<${View} key=${`${view} ${parameters.host ?? ''} ${parameters.container ?? ''}`} ...${parameters} />`
    : html`<${Nothing} title="There is nothing at this address"><p><a href="/">To the fleet</a></p><//>`}<//>`;
}

startRouter();
render(html`<${Page} />`, document.getElementById('page'));
// A sign-in link is about somebody new, whoever is signed in.
if (route.get().view === 'sign_in' && route.get().hash) session.set({ state: 'out' });
else loadSession();

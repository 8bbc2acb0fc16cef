// Begins: who is it, which view, and what to say if neither is known.

import { html, render, useState, useEffect, useRef } from './html.js';
import { useStore } from './store.js';
import { route, startRouter } from './router.js';
import { session, loadSession } from './session.js';
import { Shell } from './shell.js';
import { Nothing, ProblemNote, Waiting } from './notice.js';
import { SignIn } from './views/sign_in.js';
import { askForVersion } from './files.js';

/** Views are loaded when they are first wanted. */
const VIEWS = {
  fleet: () => import('./views/fleet.js').then((module) => module.Fleet),
  host: () => import('./views/host.js').then((module) => module.Host),
  containers: () => import('./views/containers.js').then((module) => module.Containers),
  container: () => import('./views/container.js').then((module) => module.Container),
  events: () => import('./views/events.js').then((module) => module.Events),
  network: () => import('./views/network.js').then((module) => module.Network),
  alerts: () => import('./views/alerts.js').then((module) => module.Alerts),
  add: () => import('./views/add.js').then((module) => module.Add),
  settings: () => import('./views/settings.js').then((module) => module.Settings),
};

const loaded = new Map();

/** The component of a view: `{View, problem}`, both null while it is being loaded. */
function useView(name) {
  const [, draw] = useState(0);
  const [problem, setProblem] = useState(null);
  useEffect(() => {
    if (!name || loaded.has(name)) return;
    VIEWS[name]().then((View) => {
      loaded.set(name, View);
      setProblem(null);
      draw((n) => n + 1);
    }, async () => {
      // What it would be is of another version by now: the whole page is.
      if (await askForVersion()) location.reload();
      else setProblem({ detail: 'this part of the page could not be loaded: load the page again' });
    });
  }, [name]);
  return { View: loaded.get(name) ?? null, problem };
}

const TITLES = { fleet: 'Fleet', containers: 'Containers', events: 'Events', network: 'Network', alerts: 'Alerts', add: 'Add a host', settings: 'Settings', sign_in: 'Sign in' };

function Page() {
  const { state, detail } = useStore(session);
  const { view, parameters, path } = useStore(route);
  const before = useRef(path);
  const { View, problem } = useView(state === 'in' && view in VIEWS ? view : null);
  useEffect(() => {
    const name = parameters.container ?? parameters.host ?? TITLES[view] ?? 'Nothing here';
    document.title = `${name} – Muster`;
    // Who uses a screen reader learns that another view is there.
    if (before.current !== path && View) document.querySelector('main h1')?.focus({ preventScroll: true });
    if (View) before.current = path;
  }, [path, state, View]);
  if (state === 'unknown') return html`<main class="alone"><${Waiting} what="the fleet" /></main>`;
  if (state === 'unreachable') {
    return html`<main class="alone"><${Nothing} title="The server cannot be reached"><p>${detail}</p><button type="button" class="button" onClick=${loadSession}>Try again</button><//></main>`;
  }
  if (state === 'out' || view === 'sign_in') return html`<${SignIn} />`;
  if (view in VIEWS && !View) return html`<${Shell}>${problem ? html`<${ProblemNote} problem=${problem} retry=${() => location.reload()} />` : html`<${Waiting} what="this view" />`}<//>`;
  return html`<${Shell}>${View
    ? html`<${View} key=${`${view} ${parameters.host ?? ''} ${parameters.container ?? ''}`} ...${parameters} />`
    : html`<${Nothing} title="There is nothing at this address"><p><a href="/">To the fleet</a></p><//>`}<//>`;
}

startRouter();
render(html`<${Page} />`, document.getElementById('page'));
loadSession();

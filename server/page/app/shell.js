// What is around every view: names of views, how the connection does, shortcuts.

import { html, useState, useEffect } from './html.js';
import { useStore } from './store.js';
import { route, navigate } from './router.js';
import { session, isAdmin } from './session.js';
import { connection, retryNow } from './live.js';
import { isLost } from './stream.js';
import { headline, useHeadline } from './headline.js';
import { firing as alerts, useFiring } from './firing.js';
import { needing } from './alert_order.js';
import { theme, chooseTheme } from './theme_choice.js';
import { Icon } from './icons.js';
import { Announcer, say } from './announce.js';
import { Dialog } from './dialog.js';
import { useNow } from './moment.js';
import { duration, lower } from './format.js';
import { file } from './files.js';

const VIEWS = [
  ['fleet', '/', 'Fleet', 'fleet', ['fleet', 'host']],
  ['containers', '/containers', 'Containers', 'box', ['containers', 'container']],
  ['events', '/events', 'Events', 'events', ['events']],
  ['alerts', '/alerts', 'Alerts', 'bell', ['alerts']],
  ['network', '/network', 'Network', 'network', ['network']],
];

/** Keys that go to a view, after `g`. */
const GO = { f: '/', c: '/containers', e: '/events', a: '/alerts', n: '/network', h: '/add', s: '/settings' };

/** The frame of every view for those who are signed in. */
export function Shell({ children }) {
  useHeadline();
  useFiring();
  const [help, setHelp] = useState(false);
  useShortcuts(() => setHelp(true));
  const { view } = useStore(route);
  const told = useStore(headline, (value) => value?.alerts?.firing ?? 0);
  const firing = needing(useStore(alerts), told);
  const admin = useStore(session, isAdmin);
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <header class="top">
      <a class="brand" href="/" aria-label="Muster: the fleet"><img src=${file('icon.svg')} alt="" width="26" height="26" /><span>Muster</span></a>
      <nav class="views" aria-label="Views">
        ${VIEWS.map(([name, address, title, icon, members]) => html`
          <a key=${name} href=${address} aria-current=${members.includes(view) ? 'page' : undefined}>
            <${Icon} name=${icon} /><span>${title}</span>
            ${name === 'alerts' && firing > 0 && html`<span class="count" title=${`${firing} firing`}>${firing > 999 ? '999+' : firing}<span class="unseen"> firing</span></span>`}
          </a>`)}
      </nav>
      <div class="tools">
        <${Live} />
        ${admin && html`<a class="button primary add" href="/add"><${Icon} name="plus" /><span>Add a host</span></a>`}
        <${ThemeSwitch} />
        <a class="button round" href="/settings" aria-label="Settings" aria-current=${view === 'settings' ? 'page' : undefined}><${Icon} name="gear" /></a>
      </div>
    </header>
    <${LostBanner} />
    <main id="main" tabindex="-1">${children}</main>
    <${Announcer} />
    ${help && html`<${Shortcuts} onClose=${() => setHelp(false)} />`}`;
}

function skip(event) {
  event.preventDefault();
  document.getElementById('main').focus();
}

const NEXT = { system: 'light', light: 'dark', dark: 'system' };

/** Goes from the system's choice to light, to dark, and back. */
export function ThemeSwitch() {
  const { chosen } = useStore(theme);
  const icon = { system: 'screen', light: 'sun', dark: 'moon' }[chosen];
  const label = `Theme: ${chosen}. Change to ${NEXT[chosen]}`;
  return html`<button type="button" class="button round" aria-label=${label} title=${label} onClick=${() => chooseTheme(NEXT[chosen])}><${Icon} name=${icon} /></button>`;
}

function useLost() {
  const now = useNow() && Date.now();
  const state = useStore(connection);
  return { lost: isLost(state, now), state, now };
}

function Live() {
  const { lost, state } = useLost();
  const [look, words, title] = lost
    ? ['lost', 'Not live', 'The connection to the server is lost']
    : state.phase === 'live' || state.heardAt !== null
      ? ['live', 'Live', 'What you see changes as it happens']
      : ['opening', 'Connecting', 'Connecting to the server'];
  return html`<span class=${`live live-${look}`} title=${title}><i aria-hidden="true"></i><span>${words}</span></span>`;
}

function LostBanner() {
  const { lost, state, now } = useLost();
  useEffect(() => {
    if (lost) say('Connection lost. What you see is old.');
    else if (state.phase === 'live' && LostBanner.was) say('Connected again.');
    LostBanner.was = lost;
  }, [lost]);
  if (!lost) return null;
  const heard = state.heardAt ?? state.lostAt;
  const as = new Date(heard).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
  return html`<div class="banner" role="alert"><${Icon} name="warn" />
    <p><strong>Connection lost</strong> – data as of <time>${as}</time>, ${lower(duration(now - heard))} ago. It comes back by itself.</p>
    <button type="button" class="button small" onClick=${retryNow} disabled=${state.phase !== 'waiting'}>${state.phase === 'opening' ? 'Trying…' : 'Try now'}</button>
  </div>`;
}

/** Keys act only where nobody types. */
function useShortcuts(onHelp) {
  useEffect(() => {
    let going = false;
    const press = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
      const typing = event.target.closest?.('input, textarea, select, [contenteditable]');
      if (typing) {
        if (event.key === 'Escape') event.target.blur();
        return;
      }
      if (going && GO[event.key]) {
        event.preventDefault();
        navigate(GO[event.key]);
      } else if (event.key === '/') {
        const field = document.querySelector('[data-filter]');
        if (field) event.preventDefault();
        field?.focus();
        field?.select();
      } else if (event.key === '?') {
        event.preventDefault();
        onHelp();
      }
      going = event.key === 'g';
    };
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  }, []);
}

const KEYS = [
  [['/'], 'To the filter'],
  [['Esc'], 'Out of the filter'],
  [['g', 'f'], 'Fleet'],
  [['g', 'c'], 'Containers'],
  [['g', 'e'], 'Events'],
  [['g', 'a'], 'Alerts'],
  [['g', 'n'], 'Network'],
  [['g', 'h'], 'Add a host'],
  [['g', 's'], 'Settings'],
  [['?'], 'These keys'],
];

function Shortcuts({ onClose }) {
  return html`<${Dialog} title="Keys" onClose=${onClose}>
    <dl class="keys">${KEYS.map(([keys, what]) => html`<div key=${what}><dt>${keys.map((key) => html`<kbd>${key}</kbd> `)}</dt><dd>${what}</dd></div>`)}</dl>
    <div class="actions"><button type="button" class="button" onClick=${onClose}>Close</button></div>
  <//>`;
}

// Who is signed in, users, tokens, and how the page looks.

import { SmallTable, ACTS } from '../small_table.js';
import { html, useState } from '../html.js';
import { useStore } from '../store.js';
import { session, signOut, isAdmin } from '../session.js';
import { send, path } from '../api.js';
import { useLoad } from '../load.js';
import { headline } from '../headline.js';
import { theme, chooseTheme } from '../theme_choice.js';
import { Confirm, Dialog, DialogButton } from '../dialog.js';
import { CopyBlock } from '../copy.js';
import { Labels } from '../badges.js';
import { Ago } from '../moment.js';
import { ProblemNote } from '../notice.js';

export function Settings() {
  const admin = useStore(session, isAdmin);
  return html`<h1 tabindex="-1">Settings</h1>
    <div class="columns"><${You} /><${Looks} /></div>
    ${admin && html`<${Users} />`}
    <${JoinTokens} admin=${admin} />
    <${ApiTokens} admin=${admin} />`;
}

function You() {
  const { name, role, expires_at: expires } = useStore(session);
  const [problem, setProblem] = useState(null);
  return html`<section class="card" aria-labelledby="you"><header class="card-head"><h2 id="you">You</h2></header><div class="card-body">
    <dl class="facts"><dt>Signed in as</dt><dd>${name}</dd><dt>Role</dt><dd>${role}<span class="quiet">${role === 'viewer' ? ', may look and not change' : ', may change things'}</span></dd>${expires && html`<dt>Session ends</dt><dd><${Ago} at=${expires} /><span class="quiet"> unless it is used</span></dd>`}</dl>
    <${ProblemNote} problem=${problem} />
    <div class="actions"><button type="button" class="button" onClick=${() => signOut().catch(setProblem)}>Sign out</button></div></div></section>`;
}

function Looks() {
  const { chosen } = useStore(theme);
  const version = useStore(headline, (value) => value?.version);
  return html`<section class="card" aria-labelledby="looks"><header class="card-head"><h2 id="looks">This browser</h2></header><div class="card-body">
    <div class="field"><span id="theme">Theme</span><div class="segments" role="group" aria-labelledby="theme">${[['system', 'As the system'], ['light', 'Light'], ['dark', 'Dark']].map(([value, words]) => html`<button key=${value} type="button" aria-pressed=${chosen === value} onClick=${() => chooseTheme(value)}>${words}</button>`)}</div></div>
    <p class="quiet small-text">Press <kbd>?</kbd> for keys.${version && ` Muster ${version}.`}</p></div></section>`;
}

/** Of a list, what one answer can have. */
const MOST = 500;

/** A card with a table of things that can be removed; `everything` is the command that lists them if there are more. */
function List({ id, title, load, columns, row, keyOf, actions, empty, everything, newestFirst }) {
  const { data, problem, reload } = load;
  const items = [...(data?.items ?? [])];
  if (newestFirst) items.sort((a, b) => b.created_at.localeCompare(a.created_at));
  return html`<section class="card" aria-labelledby=${id}><header class="card-head"><h2 id=${id}>${title}</h2><span>${actions}</span></header>
    <${ProblemNote} problem=${problem} retry=${reload} />
    ${data !== null && (items.length === 0 ? html`<p class="card-body quiet">${empty}</p>` : html`<${SmallTable} caption=${title} columns=${columns.map((name) => name || ACTS)}>${items.map((one) => html`<tr key=${keyOf(one)}>${row(one)}</tr>`)}<//>${data.next && html`<p class="end">There are more than these ${MOST}: <code>${everything}</code> lists all.</p>`}`)}
  </section>`;
}

/** A button that removes something, after a question. */
function Remove({ title, where, onDone, verb = 'Remove', children }) {
  return html`<${DialogButton} label=${verb} dialog=${(close) => html`<${Confirm} title=${title} verb=${verb} danger onClose=${close} act=${async () => {
    await send('DELETE', where);
    onDone();
  }}><p>${children}</p><//>`} />`;
}

function Users() {
  const load = useLoad('users', { limit: MOST });
  const { name: own } = useStore(session);
  return html`<${List} id="users" title="Users" everything="muster user ls" load=${load} empty="Nobody has a password yet." keyOf=${(one) => one.name} columns=${['Name', 'Role', 'Password set', 'Signed in', '']}
    actions=${html`<${DialogButton} label="Sign-in link" dialog=${(close) => html`<${Link} onClose=${close} />`} /> <${DialogButton} label="Add a user" dialog=${(close) => html`<${NewUser} onClose=${close} onDone=${load.reload} />`} />`}
    row=${(one) => html`<th scope="row"><b>${one.name}</b>${one.name === own && html` <span class="chip">you</span>`}</th><td>${one.role}</td><td><${Ago} at=${one.password_set_at} /></td><td>${one.sessions === 0 ? html`<span class="quiet">nowhere</span>` : `${one.sessions} ${one.sessions === 1 ? 'browser' : 'browsers'}`}</td>
      <td class="acts"><${DialogButton} label="Change" dialog=${(close) => html`<${ChangeUser} user=${one} onClose=${close} onDone=${load.reload} />`} />
      <${Remove} title=${`Remove ${one.name}?`} where=${`users/${path(one.name)}`} onDone=${load.reload}>Its sessions end at once.<//></td>`} />`;
}

const Role = ({ value, onChange }) => html`<label class="field"><span>Role</span><select value=${value} onChange=${(event) => onChange(event.currentTarget.value)}><option value="viewer" selected=${value === 'viewer'}>viewer: may look</option><option value="admin" selected=${value === 'admin'}>admin: may change</option></select></label>`;

const Password = ({ value, onChange, required, hint }) => html`<label class="field"><span>Password</span><input type="password" value=${value} onInput=${(event) => onChange(event.currentTarget.value)} required=${required} minlength="10" maxlength="1024" autocomplete="new-password" /><small>${hint ?? 'At least 10 characters.'}</small></label>`;

function NewUser({ onClose, onDone }) {
  const [name, setName] = useState('');
  const [role, setRole] = useState('viewer');
  const [password, setPassword] = useState('');
  return html`<${Confirm} title="Add a user" verb="Add" onClose=${onClose} act=${async () => {
    await send('POST', 'users', { name: name.trim(), role, password });
    onDone();
  }}><label class="field"><span>Name</span><input value=${name} onInput=${(event) => setName(event.currentTarget.value)} required maxlength="64" autocomplete="off" autocapitalize="none" spellcheck=${false} /></label>
    <${Role} value=${role} onChange=${setRole} /><${Password} value=${password} onChange=${setPassword} required /><//>`;
}

function ChangeUser({ user, onClose, onDone }) {
  const [role, setRole] = useState(user.role);
  const [password, setPassword] = useState('');
  const change = async () => {
    const body = {};
    if (role !== user.role) body.role = role;
    if (password !== '') body.password = password;
    if (Object.keys(body).length > 0) await send('PATCH', `users/${path(user.name)}`, body);
    onDone();
  };
  return html`<${Confirm} title=${`Change ${user.name}`} verb="Change" onClose=${onClose} act=${change}>
    <${Role} value=${role} onChange=${setRole} /><${Password} value=${password} onChange=${setPassword} hint="Empty: it stays. At least 10 characters." /><p class="quiet small-text">Its sessions end.</p><//>`;
}

function Link({ onClose }) {
  const [role, setRole] = useState('viewer');
  const [made, setMade] = useState(null);
  const [problem, setProblem] = useState(null);
  const make = (event) => {
    event.preventDefault();
    send('POST', 'sign-in-links', { role }).then(setMade, setProblem);
  };
  return html`<${Dialog} title="Sign-in link" onClose=${onClose}>${made === null
    ? html`<form onSubmit=${make}><p>Whoever opens it first is signed in. It works once, for ten minutes.</p><${Role} value=${role} onChange=${setRole} /><${ProblemNote} problem=${problem} />
        <div class="actions"><button type="button" class="button" onClick=${onClose}>Cancel</button><button type="submit" class="button primary">Make it</button></div></form>`
    : html`<${CopyBlock} text=${made.url} what="sign-in link" /><p class="quiet small-text">It is shown only now, and ends <${Ago} at=${made.expires_at} />.</p><div class="actions"><button type="button" class="button" onClick=${onClose}>Close</button></div>`}<//>`;
}

function JoinTokens({ admin }) {
  const load = useLoad('join-tokens', { limit: MOST }, { every: 30000 });
  return html`<${List} id="join-tokens" title="Join tokens" everything="muster token ls" newestFirst load=${load} empty="None: no host can join." keyOf=${(one) => one.id} columns=${['Id', 'Ends', 'Hosts', 'Labels', ...(admin ? [''] : [])]}
    actions=${admin && html`<a class="button small" href="/add">Add a host</a>`}
    row=${(one) => html`<th scope="row"><code>${one.id}</code>${one.name && html` for ${one.name}`}</th><td><${Ago} at=${one.expires_at} /></td><td>${one.used} joined<span class="quiet">, ${one.uses_left === null ? 'any number' : one.uses_left} left</span></td><td><${Labels} labels=${one.labels} /></td>
      ${admin && html`<td class="acts"><${Remove} verb="Revoke" title="Revoke this join token?" where=${`join-tokens/${path(one.id)}`} onDone=${load.reload}>No host can join with it any more. Those that have stay.<//></td>`}`} />`;
}

function ApiTokens({ admin }) {
  const load = useLoad('tokens', { limit: MOST });
  return html`<${List} id="tokens" title="API tokens" everything="muster token ls" newestFirst load=${load} empty="None." keyOf=${(one) => one.id} columns=${['Name', 'Role', 'Made', ...(admin ? [''] : [])]}
    actions=${admin && html`<${DialogButton} label="Make a token" dialog=${(close) => html`<${NewToken} onClose=${close} onDone=${load.reload} />`} />`}
    row=${(one) => html`<th scope="row"><b>${one.name || one.id}</b></th><td>${one.role}</td><td><${Ago} at=${one.created_at} /></td>
      ${admin && html`<td class="acts"><${Remove} verb="Revoke" title=${`Revoke ${one.name || one.id}?`} where=${`tokens/${path(one.id)}`} onDone=${load.reload}>Programs that use it are refused at once.<//></td>`}`} />`;
}

function NewToken({ onClose, onDone }) {
  const [name, setName] = useState('');
  const [role, setRole] = useState('viewer');
  const [made, setMade] = useState(null);
  const [problem, setProblem] = useState(null);
  const make = (event) => {
    event.preventDefault();
    send('POST', 'tokens', { name: name.trim(), role }).then((token) => {
      setMade(token);
      onDone();
    }, setProblem);
  };
  return html`<${Dialog} title="API token" onClose=${onClose}>${made === null
    ? html`<form onSubmit=${make}><label class="field"><span>What it is for</span><input value=${name} onInput=${(event) => setName(event.currentTarget.value)} required maxlength="64" /></label><${Role} value=${role} onChange=${setRole} /><${ProblemNote} problem=${problem} />
        <div class="actions"><button type="button" class="button" onClick=${onClose}>Cancel</button><button type="submit" class="button primary">Make it</button></div></form>`
    : html`<${CopyBlock} text=${made.token} what="token" /><p class="quiet small-text">It is shown only now. Programs send it as <code>Authorization: Bearer</code>.</p><div class="actions"><button type="button" class="button" onClick=${onClose}>Close</button></div>`}<//>`;
}

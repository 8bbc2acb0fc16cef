// Where alerts are sent, and which rules there are.

import { html, useState } from './html.js';
import { send, path } from './api.js';
import { useLoad } from './load.js';
import { Badge } from './badges.js';
import { Confirm, DialogButton } from './dialog.js';
import { Ago } from './moment.js';
import { ProblemNote } from './notice.js';
import { SmallTable, ACTS } from './small_table.js';
import { RULE_NAMES } from './alert_rows.js';
import { seconds, parseSeconds } from './format.js';

/** Where they are sent. Only admins change that; how it does is for everybody. */
export function AlertTargets({ admin }) {
  const { data, problem, reload } = useLoad('alerts/targets', undefined, { every: 30000 });
  const [tests, setTests] = useState({});
  const items = data?.items ?? [];
  const test = async (to) => {
    setTests((before) => ({ ...before, [to]: 'Sending…' }));
    const words = await send('POST', 'alerts/test', { to }).then((answer) => {
      const one = (answer.items ?? answer).find?.((each) => each.to === to);
      return one?.delivered ? 'It was taken.' : one?.problem ?? 'Nothing came back.';
    }, (error) => error.detail);
    setTests((before) => ({ ...before, [to]: words }));
    reload();
  };
  return html`<section class="card" aria-labelledby="targets"><header class="card-head"><h2 id="targets">Where they are sent</h2>
      ${admin && html`<span><${DialogButton} label="Add a target" dialog=${(close) => html`<${Target} onClose=${close} onDone=${reload} />`} /></span>`}</header>
    <${ProblemNote} problem=${problem} retry=${reload} />
    ${data !== null && (items.length === 0 ? html`<p class="card-body quiet">Nowhere: they are only shown here.</p>` : html`<${SmallTable} caption="Targets of alerts" columns=${['Name', 'Where', 'How it does', { title: 'Delivered', number: true }, admin && ACTS]}>${items.map((one) => html`<tr key=${one.name}>
        <th scope="row"><b>${one.name}</b> <span class="chip">${one.kind}</span></th>
        <td>${one.address}${one.to.length > 0 && html` <span class="quiet">${one.to.join(', ')}</span>`}${one.plain && !one.local && html` <span class="tag tone-warn">not encrypted</span>`}</td>
        <td>${one.problem ? html`<${Badge} tone="bad">failing<//> <span class="quiet small-text">${one.problem}</span>` : one.waiting > 0 ? html`<${Badge} tone="warn">${one.waiting} waiting<//>` : one.last_delivered ? html`<${Badge} tone="ok">ok<//>` : html`<${Badge} tone="idle">nothing sent yet<//>`}${tests[one.name] && html`<div class="small-text" role="status">Test: ${tests[one.name]}</div>`}</td>
        <td class="number">${one.delivered}${one.last_delivered && html` <span class="quiet small-text"><${Ago} at=${one.last_delivered} /></span>`}${one.dropped > 0 && html` <span class="tone-warn">${one.dropped} given up</span>`}</td>
        ${admin && html`<td class="acts"><button type="button" class="button small" onClick=${() => test(one.name)}>Test</button>
          <${DialogButton} label="Remove" dialog=${(close) => html`<${Confirm} title=${`Remove ${one.name}?`} verb="Remove" danger onClose=${close} act=${async () => {
            await send('DELETE', `alerts/targets/${path(one.name)}`);
            reload();
          }}><p>What still waits for it is not sent.</p><//>`} /></td>`}</tr>`)}<//>`)}
  </section>`;
}

/** The fields of each kind: `[key, label, hint, secret, required]`. */
const FIELDS = {
  webhook: [['url', 'URL', 'https://example.net/hook', false, true], ['secret', 'Secret to sign with', 'may be empty', true, false]],
  ntfy: [['topic', 'Topic', '', false, true], ['url', 'Server', 'https://ntfy.sh', false, false], ['token', 'Access token', 'may be empty', true, false]],
  email: [['server', 'SMTP server', 'mail.example.net:587', false, true], ['from', 'From', 'muster@example.net', false, true], ['to', 'To', 'ops@example.net, …', false, true], ['user', 'User', 'may be empty', false, false], ['password', 'Password', '', true, false]],
};

function Target({ onClose, onDone }) {
  const [kind, setKind] = useState('webhook');
  const [name, setName] = useState('');
  const [tls, setTls] = useState('starttls');
  const [values, setValues] = useState({});
  const make = async () => {
    const body = { name: name.trim(), kind };
    for (const [key] of FIELDS[kind]) {
      const value = (values[key] ?? '').trim();
      if (value !== '') body[key] = key === 'to' ? value.split(',').map((one) => one.trim()).filter(Boolean) : value;
    }
    if (kind === 'email') body.tls = tls;
    await send('POST', 'alerts/targets', body);
    onDone();
  };
  return html`<${Confirm} title="Add a target" verb="Add" onClose=${onClose} act=${make}>
    <div class="form-row">
      <label class="field"><span>Kind</span><select value=${kind} onChange=${(event) => setKind(event.currentTarget.value)}><option value="webhook">Webhook</option><option value="ntfy">ntfy</option><option value="email">E-mail</option></select></label>
      <label class="field"><span>Name</span><input value=${name} onInput=${(event) => setName(event.currentTarget.value)} required maxlength="32" placeholder="ops" autocapitalize="none" spellcheck=${false} /></label>
    </div>
    ${FIELDS[kind].map(([key, label, hint, secret, required]) => html`<label key=${`${kind} ${key}`} class="field"><span>${label}</span>
      <input type=${secret ? 'password' : 'text'} autocomplete="off" value=${values[key] ?? ''} onInput=${(event) => setValues((before) => ({ ...before, [key]: event.currentTarget.value }))} placeholder=${hint} required=${required} spellcheck=${false} autocapitalize="none" /></label>`)}
    ${kind === 'email' && html`<label class="field"><span>Encryption</span><select value=${tls} onChange=${(event) => setTls(event.currentTarget.value)}><option value="starttls">STARTTLS</option><option value="tls">TLS from the start</option><option value="none">none: a server on the same machine only</option></select></label>`}
    <p class="quiet small-text">Another target with that name is replaced.</p>
  <//>`;
}

/** What of a rule can be set: `[key, words]`. Those with `_s` are spans. */
const KNOBS = {
  host_away: [], conflict: [], crashed: [], oom: [], undervoltage: [],
  unhealthy: [['for_s', 'for']],
  restart_loop: [['times', 'ends'], ['within_s', 'within']],
  disk: [['at', 'at, %'], ['clear_at', 'over at, %']],
  hot: [['at', 'at, °C'], ['clear_at', 'over at, °C']],
};

/** Which rules there are, and when nothing is sent. */
export function AlertRules({ admin }) {
  const { data, problem, reload, change } = useLoad('alerts/settings');
  if (data === null) return problem && html`<${ProblemNote} problem=${problem} retry=${reload} />`;
  const rules = RULE_NAMES.filter(([rule]) => rule in KNOBS);
  const off = rules.filter(([rule]) => data.rules[rule]?.enabled === false);
  return html`<section class="card" aria-labelledby="rules"><header class="card-head"><h2 id="rules">Rules</h2>
      ${admin && html`<span><${DialogButton} label="Change" dialog=${(close) => html`<${Settings} settings=${data} rules=${rules} onClose=${close} onDone=${(after) => {
        change((before) => after ?? before);
        reload();
      }} />`} /></span>`}</header>
    <dl class="facts card-body">
      <dt>On</dt><dd>${rules.filter((one) => !off.includes(one)).map(([, name]) => name).join(', ')}</dd>
      ${off.length > 0 && html`<dt>Off</dt><dd class="tone-warn">${off.map(([, name]) => name).join(', ')}</dd>`}
      <dt>Quiet hours</dt><dd>${data.quiet ? `${data.quiet.from} to ${data.quiet.to} (UTC${data.quiet.zone})` : html`<span class="quiet">none</span>`}</dd>
    </dl></section>`;
}

function Settings({ settings, rules, onClose, onDone }) {
  const [draft, setDraft] = useState(() => Object.fromEntries(rules.map(([rule]) => {
    const set = settings.rules[rule] ?? {};
    const shown = (key) => (set[key] === undefined || set[key] === null ? '' : key.endsWith('_s') ? seconds(set[key]) : String(set[key]));
    return [rule, { enabled: set.enabled !== false, ...Object.fromEntries(KNOBS[rule].map(([key]) => [key, shown(key)])) }];
  })));
  const [quiet, setQuiet] = useState(settings.quiet ?? { from: '', to: '', zone: zoneHere(), ended: 'summarise' });
  const put = (rule, key, value) => setDraft((before) => ({ ...before, [rule]: { ...before[rule], [key]: value } }));
  const save = async () => {
    const after = { ...settings, rules: { ...settings.rules } };
    for (const [rule] of rules) {
      const { enabled, ...knobs } = draft[rule];
      // What this form does not know stays as it is.
      const set = { ...settings.rules[rule], enabled };
      for (const [key, text] of Object.entries(knobs)) {
        if (text.trim() === '') delete set[key];
        else if (key.endsWith('_s')) set[key] = parseSeconds(text) ?? text;
        else set[key] = Number(text);
      }
      after.rules[rule] = set;
    }
    after.quiet = quiet.from && quiet.to ? quiet : null;
    onDone(await send('PUT', 'alerts/settings', after));
  };
  return html`<${Confirm} title="Rules" verb="Save" onClose=${onClose} act=${save}>
    <p class="quiet small-text">What is left empty is as it is by default.</p>
    ${rules.map(([rule, name]) => html`<div key=${rule} class="rule"><label class="check"><input type="checkbox" checked=${draft[rule].enabled} onChange=${(event) => put(rule, 'enabled', event.currentTarget.checked)} /> ${name}</label>
      ${KNOBS[rule].map(([key, words]) => html`<label key=${key} class="knob"><span>${words}</span><input value=${draft[rule][key]} disabled=${!draft[rule].enabled} onInput=${(event) => put(rule, key, event.currentTarget.value)} size="5" aria-label=${`${name}: ${words}`} /></label>`)}</div>`)}
    <h3>Quiet hours</h3>
    <div class="form-row">${[['from', 'From', '22:00'], ['to', 'To', '07:00'], ['zone', 'Zone', '+01:00']].map(([key, label, hint]) => html`<label key=${key} class="field"><span>${label}</span><input value=${quiet[key]} onInput=${(event) => setQuiet((before) => ({ ...before, [key]: event.currentTarget.value.trim() }))} placeholder=${hint} size="6" /></label>`)}</div>
  <//>`;
}

/** This browser's offset from UTC, as `+01:00`. */
function zoneHere() {
  const minutes = -new Date().getTimezoneOffset();
  const two = (number) => String(number).padStart(2, '0');
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
}

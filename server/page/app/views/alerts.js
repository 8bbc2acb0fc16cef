// Alerts: what fires, what has ended, what is silenced, and where they are sent.

import { html, useState } from '../html.js';
import { useStore } from '../store.js';
import { session, isAdmin } from '../session.js';
import { send, path, get } from '../api.js';
import { useLoad } from '../load.js';
import { useChanges } from '../live.js';
import { refreshFiring } from '../firing.js';
import { ordered, byRule, folded } from '../alert_order.js';
import { useFilters, Choices, Given, ClearFilters, toggle } from '../filter_bar.js';
import { AlertRow, AlertGroup, RULE_NAMES, ruleName } from '../alert_rows.js';
import { Confirm, DialogButton } from '../dialog.js';
import { Ago } from '../moment.js';
import { SmallTable, ACTS } from '../small_table.js';
import { Nothing, ProblemNote, Waiting } from '../notice.js';
import { AlertTargets, AlertRules } from '../alert_settings.js';

const SHAPE = { state: 'firing', rule: [], host: '' };
const STATES = [['firing', 'Firing'], ['ended', 'Ended']];

/** Alerts of one reading. */
const PAGE = 100;

export function Alerts() {
  const admin = useStore(session, isAdmin);
  const [filters, change] = useFilters(SHAPE);
  const silences = useLoad('alerts/silences', undefined, { every: 30000 });
  const silenced = () => {
    silences.reload();
    refreshFiring();
  };
  return html`<h1 tabindex="-1">Alerts</h1>
    <${List} key=${JSON.stringify(filters)} filters=${filters} change=${change} admin=${admin} onSilenced=${silenced} />
    <${Silences} silences=${silences} admin=${admin} onChange=${silenced} />
    <${AlertTargets} admin=${admin} />
    <${AlertRules} admin=${admin} />`;
}

function List({ filters, change, admin, onSilenced }) {
  const { state, rule, host } = filters;
  const where = { state, host, rule, limit: PAGE };
  const { data, problem, reload, change: put } = useLoad('alerts', where, { every: 30000 });
  useChanges({ kinds: ['alert'], background: true }, reload, reload);
  const more = async () => {
    const page = await get('alerts', { ...where, before: data.items.at(-1).id });
    put((before) => ({ items: [...before.items, ...page.items], next: page.next }));
  };
  const acts = admin && state === 'firing' ? (alert) => html`<${SilenceButton} alert=${alert} onDone=${() => {
    onSilenced();
    reload();
  }} />` : undefined;
  const items = data && (state === 'firing' ? folded(ordered(data.items)).items : data.items);
  return html`<section class="card attention" aria-label="Alerts">
    <div class="filters" role="search" aria-label="Alerts">
      <${Choices} label="Which" choices=${STATES} chosen=${[state]} onToggle=${(one) => change({ state: one })} />
      <label class="select"><span class="unseen">Rule</span><select value="" onChange=${(event) => event.currentTarget.value && change(toggle(filters, 'rule', event.currentTarget.value))}>
        <option value="">Rule…</option>${RULE_NAMES.filter(([one]) => !rule.includes(one)).map(([one, name]) => html`<option key=${one} value=${one}>${name}</option>`)}</select></label>
      ${rule.map((one) => html`<${Given} key=${one} values=${[ruleName(one)]} onRemove=${() => change(toggle(filters, 'rule', one))} />`)}
      ${host && html`<${Given} values=${[host]} prefix="host " onRemove=${() => change({ host: '' })} />`}
      <${ClearFilters} shape=${SHAPE} filters=${filters} onChange=${change} except=${['state']} />
    </div>
    <${ProblemNote} problem=${problem} retry=${reload} />
    ${items === null ? !problem && html`<${Waiting} what="alerts" />`
      : items.length === 0 ? html`<${Nothing} title=${state === 'firing' ? 'Nothing needs attention' : 'No alert has ended'} />`
      : html`<ul class="alert-rows">${state === 'firing' ? byRule(items).map((group) => (group.alerts.length > 5
          ? html`<${AlertGroup} key=${group.key} group=${group} acts=${acts} />`
          : group.alerts.map((alert) => html`<${AlertRow} key=${alert.id} alert=${alert}><${Deliveries} alert=${alert} />${acts?.(alert)}<//>`)))
        : items.map((alert) => html`<${AlertRow} key=${alert.id} alert=${alert}><${Deliveries} alert=${alert} /><//>`)}</ul>
        ${data.next && html`<button type="button" class="button plain" onClick=${() => more().catch(reload)}>Older alerts</button>`}`}
  </section>`;
}

/** What became of its notices, where that is worth a word. */
function Deliveries({ alert }) {
  const open = (alert.delivered ?? []).filter((one) => one.state !== 'delivered');
  if (open.length === 0) return null;
  return html`<span class="small-text">${open.map((one) => html`<span key=${one.to} class=${one.state === 'failed' ? 'tone-bad' : 'quiet'}>${one.to}: ${one.state === 'failed' ? 'not delivered' : 'waiting'} </span>`)}</span>`;
}

const FOR = [['3600', '1 hour'], ['14400', '4 hours'], ['86400', '1 day'], ['604800', '1 week']];

function SilenceButton({ alert, onDone }) {
  if (alert.silenced) return null;
  return html`<${DialogButton} label="Silence" dialog=${(close) => html`<${Silence} alert=${alert} onClose=${close} onDone=${onDone} />`} />`;
}

/** Asks for a silence: about an alert, or from nothing. */
function Silence({ alert, onClose, onDone }) {
  const choices = alert ? [
    alert.container && ['container', `${alert.container} on ${alert.host}`],
    ['host', `everything on ${alert.host}`],
    ['rule', `“${ruleName(alert.rule)}” on ${alert.host}`],
  ].filter(Boolean) : [];
  const [what, setWhat] = useState(choices[0]?.[0] ?? 'own');
  const [span, setSpan] = useState(FOR[0][0]);
  const [own, setOwn] = useState({ host: '', container: '', label: '', rule: '' });
  const [why, setWhy] = useState('');
  const body = () => {
    const about = {
      container: { host: alert?.host, container: alert?.container },
      host: { host: alert?.host },
      rule: { host: alert?.host, rule: alert?.rule },
      own: Object.fromEntries(Object.entries(own).filter(([, value]) => value.trim() !== '').map(([key, value]) => [key, value.trim()])),
    }[what];
    return { ...about, for_s: Number(span), why: why.trim() };
  };
  const field = (key, label, hint) => html`<label class="field"><span>${label}</span><input value=${own[key]} onInput=${(event) => setOwn((before) => ({ ...before, [key]: event.currentTarget.value }))} placeholder=${hint} spellcheck=${false} autocapitalize="none" /></label>`;
  return html`<${Confirm} title="Silence" verb="Silence" onClose=${onClose} act=${async () => {
    await send('POST', 'alerts/silences', body());
    onDone();
  }}>
    ${choices.length > 0 ? html`<fieldset class="plain-set"><legend>What</legend>${choices.map(([value, words]) => html`<label key=${value} class="check"><input type="radio" name="what" checked=${what === value} onChange=${() => setWhat(value)} /> ${words}</label>`)}</fieldset>`
      : html`<p class="quiet">Alerts for which all that is given holds are not sent.</p><div class="form-row">${field('host', 'Host', 'name')}${field('container', 'Container', 'name')}${field('label', 'Label', 'key=value')}
        <label class="field"><span>Rule</span><select value=${own.rule} onChange=${(event) => setOwn((before) => ({ ...before, rule: event.currentTarget.value }))}><option value="">any</option>${RULE_NAMES.map(([one, name]) => html`<option key=${one} value=${one}>${name}</option>`)}</select></label></div>`}
    <div class="form-row"><label class="field"><span>For</span><select value=${span} onChange=${(event) => setSpan(event.currentTarget.value)}>${FOR.map(([value, words]) => html`<option key=${value} value=${value}>${words}</option>`)}</select></label>
    <label class="field"><span>Why</span><input value=${why} onInput=${(event) => setWhy(event.currentTarget.value)} maxlength="200" /></label></div>
  <//>`;
}

function Silences({ silences, admin, onChange }) {
  const { data, problem, reload } = silences;
  const items = data?.items ?? [];
  if (!admin && items.length === 0) return null;
  return html`<section class="card" aria-labelledby="silences"><header class="card-head"><h2 id="silences">Silences</h2>
      ${admin && html`<span><${DialogButton} label="Silence something" dialog=${(close) => html`<${Silence} onClose=${close} onDone=${onChange} />`} /></span>`}</header>
    <${ProblemNote} problem=${problem} retry=${reload} />
    ${items.length === 0 ? html`<p class="card-body quiet">Nothing is silenced.</p>` : html`<${SmallTable} caption="Silences" columns=${['What', 'Ends', 'Why', 'By', admin && ACTS]}>${items.map((one) => html`<tr key=${one.id}>
        <th scope="row">${[one.rule && ruleName(one.rule), one.container, one.label, one.host && `on ${one.host}`].filter(Boolean).join(' ')}</th>
        <td><${Ago} at=${one.until} /></td><td>${one.why || html`<span class="quiet">–</span>`}</td><td>${one.by}</td>
        ${admin && html`<td class="acts"><button type="button" class="button small" onClick=${() => send('DELETE', `alerts/silences/${path(one.id)}`).then(onChange, reload)}>End it</button></td>`}</tr>`)}<//>`}
  </section>`;
}

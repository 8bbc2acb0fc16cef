// Alerts as rows: what, where, since when.

import { html } from './html.js';
import { Icon } from './icons.js';
import { Ago } from './moment.js';
import { severityIcon } from './badges.js';
import { hostLink, containerLink } from './router.js';
import { count, duration, lower, time } from './format.js';
import { subject, endWords, said } from './alert_order.js';

/** What a rule is called, and what many of it are. */
const RULES = {
  host_away: ['Host away', 'hosts are away'],
  crashed: ['Crashed', 'containers crashed'],
  oom: ['Out of memory', 'containers ran out of memory'],
  restart_loop: ['Restart loop', 'containers are in a restart loop'],
  unhealthy: ['Unhealthy', 'containers are unhealthy'],
  disk: ['Disk nearly full', 'disks are nearly full'],
  hot: ['Hot', 'hosts are hot'],
  undervoltage: ['Under-voltage', 'hosts have too low a voltage'],
  conflict: ['Conflict', 'hosts are in conflict'],
};

/** All rules, `[word, title]`. */
export const RULE_NAMES = Object.entries(RULES).map(([rule, [title]]) => [rule, title]);

/** A rule's title. */
export function ruleName(rule) {
  return RULES[rule]?.[0] ?? rule;
}

/** Where to look at what an alert is about. */
export function alertLink(alert) {
  return alert.container ? containerLink(alert.host, alert.container_id ?? alert.container) : hostLink(alert.host);
}

/** One alert. `children` are what one can do about it. */
export function AlertRow({ alert, children }) {
  const { text, at } = said(alert);
  const over = alert.until !== null && alert.until !== undefined;
  const tone = over || alert.silenced ? 'idle' : alert.severity === 'critical' ? 'bad' : 'warn';
  const span = over ? duration(time(alert.until) - time(alert.since)) : null;
  return html`<li class=${`alert-row ${over ? 'over' : ''}`}>
    <span class=${`tone-${tone} alert-icon`}><${Icon} name=${over ? 'done' : severityIcon(alert.severity)} label=${over ? 'over' : alert.severity} /></span>
    <span class="alert-what"><span class="alert-rule">${ruleName(alert.rule)}</span>${alert.silenced && html` <span class="chip">silenced</span>`}
      <a class="row-link" href=${alertLink(alert)}>${text}${at && html` <${Ago} at=${at} />`}</a>${endWords(alert) && html`<span class="quiet">, ${endWords(alert)}</span>`}</span>
    <span class="alert-since"><${Ago} at=${over ? alert.until : alert.since} />${over && html`<span class="quiet"> after ${lower(span)}</span>`}</span>
    ${children && html`<span class="alert-acts">${children}</span>`}
  </li>`;
}

/** Many alerts of one rule: a row that opens. */
export function AlertGroup({ group, acts }) {
  const tone = group.silenced ? 'idle' : group.severity === 'critical' ? 'bad' : 'warn';
  const newest = group.alerts[0];
  return html`<li><details class="alert-group"><summary class="alert-row">
      <span class=${`tone-${tone} alert-icon`}><${Icon} name=${severityIcon(group.severity)} label=${group.severity} /></span>
      <span class="alert-what"><span class="alert-rule">${ruleName(group.rule)}</span><b>${group.alerts.length} ${RULES[group.rule]?.[1] ?? count(group.alerts.length, 'alert')}</b>
        <span class="quiet alert-names">${group.alerts.slice(0, 4).map(subject).join(', ')}${group.alerts.length > 4 && ' …'}</span></span>
      <span class="alert-since"><span class="quiet">newest </span><${Ago} at=${newest.since} /></span>
    </summary>
    <ul class="alert-rows">${group.alerts.map((alert) => html`<${AlertRow} key=${alert.id} alert=${alert}>${acts?.(alert)}<//>`)}</ul></details></li>`;
}

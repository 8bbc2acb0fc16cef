// Alerts in order and in groups. Pure.

/** The list after an alert began, changed or ended: the newest of the worst first. */
export function withAlert(items, alert) {
  const others = items.filter((one) => one.id !== alert.id);
  return alert.until ? others : ordered([alert, ...others]);
}

/** Critical ones first, then the newest. What is silenced comes last. */
export function ordered(items) {
  const weight = (alert) => (alert.silenced ? 2 : 0) + (alert.severity === 'critical' ? 0 : 1);
  return [...items].sort((a, b) => weight(a) - weight(b) || Date.parse(b.since) - Date.parse(a.since) || b.id - a.id);
}

/** What a container does again and again when it loops: no trouble of its own then. */
const OF_LOOPS = ['crashed', 'oom'];

const container = (alert) => `${alert.host_id} ${alert.container_id ?? alert.container}`;

/**
 * Alerts that fire, of which how a container ends is a part of that it loops: `{items, folded}`. A loop has those in its
 * `ends`; `folded` counts them. A loop that is silenced hides no end that is not.
 */
export function folded(alerts) {
  const loops = new Map(alerts.filter((alert) => alert.rule === 'restart_loop' && !alert.until).map((loop) => [container(loop), loop]));
  const ends = new Map();
  const items = alerts.filter((alert) => {
    const loop = OF_LOOPS.includes(alert.rule) && !alert.until ? loops.get(container(alert)) : undefined;
    if (!loop || (loop.silenced && !alert.silenced)) return true;
    ends.set(loop.id, [...(ends.get(loop.id) ?? []), alert]);
    return false;
  });
  const whole = items.map((alert) => (ends.has(alert.id) ? { ...alert, ends: ends.get(alert.id) } : alert));
  return { items: whole, folded: alerts.length - items.length };
}

/** How a container ends that loops, in a few words; empty if that is not known. */
export function endWords({ ends = [] }) {
  const words = ends.map((end) => (end.rule === 'oom' ? 'out of memory' : end.attributes?.exit_code ? `exit code ${end.attributes.exit_code}` : '')).filter(Boolean);
  return [...new Set(words)].join(', ');
}

/** How many things need attention: `items` are folded and perhaps not all of them, `told` is how many the server has. */
export function needing({ items, folded: hidden, more }, told) {
  if (items === null) return told;
  const own = items.filter((alert) => !alert.silenced).length;
  return more ? Math.max(told - hidden, own) : own;
}

/** What an alert is about, as other views name it: `HOST/CONTAINER`, or the host alone. */
export function subject({ host, container: name, container_id: id }) {
  const what = name ?? id?.slice(0, 12);
  return what ? `${host}/${what}` : host;
}

/** What an alert says: `{text, at}`. The time at its end, if there is one, is told as an age by whoever shows it. */
export function said({ text, attributes }) {
  const last = attributes?.last_seen;
  return last && text.endsWith(` at ${last}`) ? { text: text.slice(0, -` at ${last}`.length), at: last } : { text, at: null };
}

/** Alerts of one rule together: `[{rule, severity, alerts}]` in the order of their first. */
export function byRule(items) {
  const groups = new Map();
  for (const alert of items) {
    const key = `${alert.rule} ${alert.silenced}`;
    if (!groups.has(key)) groups.set(key, { key, rule: alert.rule, severity: alert.severity, silenced: alert.silenced, alerts: [] });
    groups.get(key).alerts.push(alert);
  }
  return [...groups.values()];
}

/** More alerts of one rule than this are one row. */
const TOGETHER = 3;

/** Rows for alerts, many of one rule as one: `{rows, hidden}` with at most `most` rows. */
export function groupedForFleet(alerts, most) {
  const rows = byRule(alerts).flatMap((group) => (group.alerts.length > TOGETHER ? [group] : group.alerts));
  return { rows: rows.slice(0, most), hidden: Math.max(0, rows.length - most) };
}

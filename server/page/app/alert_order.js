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

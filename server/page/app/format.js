// Times and amounts as Docker's command line words them. Pure: times are given in milliseconds since 1970.

const MINUTE = 60;
const HOUR = 60 * MINUTE;

/** A span in words, such as `About a minute` or `3 weeks`. A negative one, between clocks that differ, is short. */
export function duration(ms) {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  const hours = Math.floor((seconds + HOUR / 2) / HOUR);
  if (seconds === 0) return 'Less than a second';
  if (seconds === 1) return '1 second';
  if (seconds < MINUTE) return `${seconds} seconds`;
  if (seconds < 2 * MINUTE) return 'About a minute';
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} minutes`;
  if (hours <= 1) return 'About an hour';
  if (hours < 48) return `${hours} hours`;
  if (hours < 336) return `${Math.floor(hours / 24)} days`;
  if (hours < 1440) return `${Math.floor(hours / 24 / 7)} weeks`;
  if (hours < 17520) return `${Math.floor(hours / 24 / 30)} months`;
  return `${Math.floor(hours / 24 / 365)} years`;
}

/** A span in its largest unit, such as `40s` or `3h`. */
export function age(ms) {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172800) return `${Math.floor(seconds / HOUR)}h`;
  return `${Math.floor(seconds / 86400)}d`;
}

/** Milliseconds of an RFC 3339 time; null if it is none. Finer parts than milliseconds are cut. */
export function time(text) {
  if (!text) return null;
  const ms = Date.parse(text.replace(/(\.\d{3})\d+/, '$1'));
  return Number.isNaN(ms) ? null : ms;
}

/** `3 minutes ago`, or `in 3 minutes`; empty for what is no time. */
export function ago(text, now) {
  const at = time(text);
  if (at === null) return '';
  if (at - now > 2000) return `in ${lower(duration(at - now))}`;
  return `${duration(now - at)} ago`;
}

/** With a small letter in front. */
export function lower(text) {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

/** An absolute time for people: the day, the time with seconds, and the zone. */
export function absolute(text) {
  const at = time(text);
  if (at === null) return '';
  return new Date(at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'long' });
}

/** The time of day with seconds. */
export function clock(text) {
  const at = time(text);
  if (at === null) return '';
  return new Date(at).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
}

/** The day, in words if it is today or yesterday. */
export function day(text, now) {
  const at = time(text);
  if (at === null) return '';
  const name = (ms) => new Date(ms).toDateString();
  if (name(at) === name(now)) return 'Today';
  if (name(at) === name(now - 86400000)) return 'Yesterday';
  return new Date(at).toLocaleDateString(undefined, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
}

/** Bytes in powers of 1024, as `docker stats` shows memory. */
export function bytes(count) {
  return scaled(count, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']);
}

/** Bytes in powers of 1000, as `docker stats` shows traffic. */
export function traffic(count) {
  return scaled(count, 1000, ['B', 'kB', 'MB', 'GB', 'TB', 'PB']);
}

function scaled(count, base, units) {
  if (count === null || count === undefined) return '–';
  let value = count;
  let unit = 0;
  while (Math.abs(value) >= base && unit < units.length - 1) {
    value /= base;
    unit += 1;
  }
  const text = unit === 0 || value >= 100 ? Math.round(value).toString() : value.toPrecision(value < 10 ? 2 : 3);
  return `${text} ${units[unit]}`;
}

/** `12 %`; small ones with a digit behind the point. */
export function percent(value) {
  if (value === null || value === undefined) return '–';
  return `${value > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)} %`;
}

/** `1 host`, `12,000 hosts`. */
export function count(number, one, many = `${one}s`) {
  return `${(number ?? 0).toLocaleString('en')} ${number === 1 ? one : many}`;
}

/** A container's STATUS, as `docker ps` words it. */
export function status(container, now) {
  const since = (text) => (time(text) === null ? '' : duration(now - time(text)));
  const up = `Up ${since(container.started_at)}`.trim();
  const ended = (word) => {
    const code = container.exit_code === null || container.exit_code === undefined ? '' : ` (${container.exit_code})`;
    const when = since(container.finished_at);
    return `${word}${code}${when && ` ${when} ago`}`;
  };
  switch (container.state) {
    case 'running': {
      if (!container.health) return up;
      return `${up} (${container.health === 'starting' ? 'health: starting' : container.health})`;
    }
    case 'paused':
      return `${up} (Paused)`;
    case 'restarting':
      return ended('Restarting');
    case 'exited':
      return ended('Exited');
    case 'created':
      return 'Created';
    case 'removing':
      return 'Removal In Progress';
    case 'dead':
      return 'Dead';
    default:
      return container.state;
  }
}

/** One port, as `docker ps` shows it. */
export function port({ private: inside, public: outside, address, protocol }) {
  if (!outside) return `${inside}/${protocol}`;
  const host = address && address.includes(':') ? `[${address}]` : address;
  return `${host}:${outside}->${inside}/${protocol}`;
}

/** Seconds as people set them: `90s`, `5m`, `2h`, `30d`. */
export function seconds(count) {
  if (count >= 86400 && count % 86400 === 0) return `${count / 86400}d`;
  if (count >= 3600 && count % 3600 === 0) return `${count / 3600}h`;
  if (count >= 60 && count % 60 === 0) return `${count / 60}m`;
  return `${count}s`;
}

/** The seconds of `90s`, `5m`, `2h`, `30d` or a plain number; null for anything else. */
export function parseSeconds(text) {
  const found = /^\s*(\d{1,9})\s*([smhdw]?)\s*$/.exec(text);
  if (!found) return null;
  return Number(found[1]) * { '': 1, s: 1, m: 60, h: 3600, d: 86400, w: 604800 }[found[2]];
}

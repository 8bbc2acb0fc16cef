// Which view an address means, and the addresses of views. Pure.

/** Views by the form of their path; `:name` stands for one part. */
export const ROUTES = [
  ['/', 'fleet'],
  ['/hosts', 'fleet'],
  ['/hosts/:host', 'host'],
  ['/containers', 'containers'],
  ['/containers/:host/:container', 'container'],
  ['/events', 'events'],
  ['/network', 'network'],
  ['/alerts', 'alerts'],
  ['/add', 'add'],
  ['/settings', 'settings'],
  ['/sign-in', 'sign_in'],
];

/** The view of a path and what varies in it: `{view, parameters}`; the view is null if there is none. */
export function match(path) {
  const parts = path.split('/');
  // A slash at the end means the same.
  if (parts.length > 2 && parts.at(-1) === '') parts.pop();
  for (const [form, view] of ROUTES) {
    const parameters = fits(form.split('/'), parts);
    if (parameters) return { view, parameters };
  }
  return { view: null, parameters: {} };
}

function fits(form, parts) {
  if (form.length !== parts.length) return null;
  const parameters = {};
  for (const [index, part] of form.entries()) {
    if (!part.startsWith(':')) {
      if (part !== parts[index]) return null;
      continue;
    }
    try {
      parameters[part.slice(1)] = decodeURIComponent(parts[index]);
    } catch {
      return null;
    }
    if (parts[index] === '') return null;
  }
  return parameters;
}

/** The address of a host's view. */
export function hostLink(host) {
  return `/hosts/${encodeURIComponent(host)}`;
}

/** The address of a container's view. */
export function containerLink(host, container) {
  return `/containers/${encodeURIComponent(host)}/${encodeURIComponent(container)}`;
}

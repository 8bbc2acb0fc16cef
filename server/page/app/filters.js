// What a view is filtered by, in the URL's query: each state of a view has a link.
//
// A shape says which filters there are: `{name: '', state: [], sort: 'attention'}`: a list may have several values, a
// text one; what a filter is without the query stands there, and is left out of the query.

/** The filters that a query asks for. What the shape does not know is passed over. */
export function read(shape, search) {
  const query = new URLSearchParams(search);
  const filters = {};
  for (const [key, without] of Object.entries(shape)) {
    if (Array.isArray(without)) filters[key] = query.has(key) ? query.getAll(key).filter(Boolean) : without;
    else filters[key] = query.get(key) ?? without;
  }
  return filters;
}

/** The query for filters, with `?` in front; empty if all are as without. */
export function write(shape, filters) {
  const query = new URLSearchParams();
  for (const [key, without] of Object.entries(shape)) {
    const value = filters[key];
    if (Array.isArray(without)) for (const one of value) query.append(key, one);
    else if (value !== without && value !== undefined) query.set(key, value);
  }
  const text = query.toString();
  return text && `?${text}`;
}

/** With one value more of a list, or without it if it was there. */
export function toggle(filters, key, value) {
  const list = filters[key];
  return { ...filters, [key]: list.includes(value) ? list.filter((one) => one !== value) : [...list, value] };
}

/** Whether anything is filtered. `except` are keys that choose an order or a form and no part. */
export function isFiltered(shape, filters, except = []) {
  const rest = { ...filters };
  for (const key of except) rest[key] = shape[key];
  return write(shape, rest) !== '';
}

/** How many values are filtered by, those of `except` not counted. */
export function many(shape, filters, except = []) {
  const keys = Object.keys(shape).filter((key) => !except.includes(key));
  return keys.reduce((sum, key) => sum + (Array.isArray(shape[key]) ? filters[key].length : Number(filters[key] !== shape[key])), 0);
}

/** Whether a text can be a label to filter by: `key` or `key=value`. */
export function isLabel(text) {
  return /^[^=\s][^=]*(=.*)?$/.test(text);
}

/** The API's parameters for an events query: the CLI's filters have the same names. */
export function eventParameters(filters) {
  const { since, until, host, container, action, type, label } = filters;
  return { since, until, host, container, action, type, label };
}

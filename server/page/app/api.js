// Requests to the server: JSON in, JSON out, errors as one line for people.

/** What went wrong: `status` 0 if the server was not reached, else HTTP's; `detail` is one line. */
export class Problem extends Error {
  constructor(status, detail, retryAfter = null) {
    super(detail);
    this.status = status;
    this.detail = detail;
    this.retryAfter = retryAfter;
  }
}

/** Milliseconds after which a request has failed. */
const TIMEOUT = 30000;

const API = '/api/v1/';

let whenSignedOut = () => {};

/** Calls back when the server no longer knows the session. */
export function onSignedOut(callback) {
  whenSignedOut = callback;
}

/** The query for `{name: 'a', state: ['x', 'y']}`; what is empty is left out. */
export function queryString(parameters = {}) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== '' && one !== false) query.append(key, String(one));
    }
  }
  const text = query.toString();
  return text && `?${text}`;
}

/** A path below `/api/v1/` of parts that are escaped. */
export function path(...parts) {
  return parts.map(encodeURIComponent).join('/');
}

/** Reads. `signal` gives it up. */
export function get(where, parameters, signal) {
  return request('GET', where + queryString(parameters), undefined, signal);
}

/** Changes: `POST`, `PUT`, `PATCH` or `DELETE`. */
export function send(method, where, body) {
  return request(method, where, body);
}

async function request(method, where, body, signal) {
  const late = AbortSignal.timeout(TIMEOUT);
  const either = new AbortController();
  for (const one of [late, signal]) {
    if (one?.aborted) either.abort(one.reason);
    one?.addEventListener('abort', () => either.abort(one.reason), { once: true });
  }
  const headers = { Accept: 'application/json' };
  // Another site cannot make a browser send this header: it proves that the page itself asks.
  if (method !== 'GET') headers['X-Muster'] = 'page';
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let answer;
  try {
    answer = await fetch(API + where, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: either.signal,
      credentials: 'same-origin',
      cache: 'no-store',
    });
    if (answer.ok) return answer.status === 204 ? null : await answer.json();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem(0, late.aborted ? 'the server has not answered for half a minute: try again' : 'the server cannot be reached: check the network, then try again');
  }
  throw await problem(answer, where);
}

async function problem(answer, where) {
  const retryAfter = Number(answer.headers.get('Retry-After')) || null;
  let detail = `the server answered with ${answer.status}`;
  try {
    detail = (await answer.json()).detail || detail;
  } catch {
    // No JSON: something between here and the server has answered.
  }
  if (answer.status === 401 && where !== 'session') whenSignedOut();
  return new Problem(answer.status, detail, retryAfter);
}

/** Whether this came of giving a request up, which is nothing to show. */
export function isGivenUp(error) {
  return error?.name === 'AbortError';
}

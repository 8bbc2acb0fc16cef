// Who is signed in. The cookie is the server's and cannot be read here; this is what it says of it.

import { createStore } from './store.js';
import { get, send, onSignedOut } from './api.js';

/** `{state: 'unknown' | 'out' | 'in' | 'unreachable', name, role, expires_at}` */
export const session = createStore({ state: 'unknown' });

onSignedOut(() => session.set({ state: 'out', expired: session.get().state === 'in' }));

/** Asks the server who this is. */
export async function loadSession() {
  try {
    session.set({ state: 'in', ...(await get('session')) });
  } catch (error) {
    session.set(error.status === 401 ? { state: 'out' } : { state: 'unreachable', detail: error.detail });
  }
}

/** Signs in by `{token}` or `{name, password}`. Throws a Problem. */
export async function signIn(proof) {
  session.set({ state: 'in', ...(await send('POST', 'session', proof)) });
}

/** Signs out, here and at the server. */
export async function signOut() {
  await send('DELETE', 'session');
  session.set({ state: 'out' });
}

/** For `useStore`: whether the one who is signed in may change things. */
export function isAdmin(value) {
  return value.role === 'admin';
}

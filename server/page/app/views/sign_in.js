// Signing in: by the link that an admin has made, or by name and password.

import { html, useState, useEffect, useRef } from '../html.js';
import { useStore } from '../store.js';
import { route, navigate } from '../router.js';
import { session, signIn } from '../session.js';
import { ProblemNote, Note } from '../notice.js';
import { ThemeSwitch } from '../shell.js';
import { Announcer } from '../announce.js';
import { file } from '../files.js';

/** The fragment of a sign-in link. */
const LINK = /^#(ml_[\w-]+)$/;

/** Where to go when one is signed in: where one wanted to be. */
function onward() {
  if (route.get().view === 'sign_in') navigate('/', { replace: true });
}

export function SignIn() {
  const { state, name: own, expired } = useStore(session);
  const [way, setWay] = useState('password');
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState(null);
  const [waitUntil, setWaitUntil] = useState(0);
  const [offered, setOffered] = useState(null);
  const name = useRef(null);
  const waiting = useCountdown(waitUntil);

  const attempt = async (proof) => {
    setBusy(true);
    setProblem(null);
    try {
      await signIn(proof);
      onward();
    } catch (error) {
      if (error.retryAfter) setWaitUntil(Date.now() + error.retryAfter * 1000);
      setProblem(error);
      setBusy(false);
    }
  };

  useEffect(() => {
    // Of what else stands there, nothing is tried: an API token in a link would not end with the link.
    const token = LINK.exec(location.hash)?.[1];
    // A link works once and is not to stay in the address, nor in the browser's history.
    if (location.hash) history.replaceState(null, '', '/sign-in');
    // Nobody is to become somebody else by a link that was put before them.
    if (token && state === 'in') setOffered(token);
    else if (token) attempt({ token });
    else name.current?.focus();
  }, []);

  const submit = (event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    attempt(way === 'token' ? { token: form.get('token').trim() } : { name: form.get('name').trim(), password: form.get('password') });
  };

  if (offered !== null) {
    const take = () => {
      setOffered(null);
      attempt({ token: offered });
    };
    return html`<main class="alone"><div class="sign-in card"><h1 tabindex="-1">You are ${own}</h1>
      <p>This link signs you in as somebody else. Go on only if you have asked for it.</p>
      <div class="actions"><button type="button" class="button" onClick=${onward}>Stay ${own}</button><button type="button" class="button primary" onClick=${take}>Sign in as somebody else</button></div>
    </div><${Announcer} /></main>`;
  }
  return html`<main class="alone"><div class="sign-in card">
    <div class="sign-in-head"><img src=${file('icon.svg')} alt="" width="40" height="40" /><h1 tabindex="-1">Muster</h1><${ThemeSwitch} /></div>
    ${expired && !problem && html`<${Note} tone="idle">Your session is over. Sign in again: you come back to where you were.<//>`}
    <div class="segments" role="group" aria-label="How to sign in">
      <button type="button" aria-pressed=${way === 'password'} onClick=${() => setWay('password')}>Password</button>
      <button type="button" aria-pressed=${way === 'token'} onClick=${() => setWay('token')}>Token</button>
    </div>
    <form onSubmit=${submit}>
      ${way === 'password' ? html`
        <label class="field"><span>Name</span><input key="name" ref=${name} name="name" autocomplete="username" autocapitalize="none" spellcheck=${false} required maxlength="64" /></label>
        <label class="field"><span>Password</span><input key="password" name="password" type="password" autocomplete="current-password" required maxlength="1024" /></label>`
      : html`<label class="field"><span>Sign-in token or API token</span><input key="token" name="token" type="password" autocomplete="off" required maxlength="256" /></label>`}
      <${ProblemNote} problem=${problem} />
      <button type="submit" class="button primary full" disabled=${busy || waiting > 0}>${waiting > 0 ? `Try again in ${waiting} s` : busy ? 'Signing in…' : 'Sign in'}</button>
    </form>
    <p class="quiet small-text">No account? On the server, <code>muster sign-in-link</code> prints a link that signs you in, and <code>muster user add</code> makes an account.</p>
  </div><${Announcer} /></main>`;
}

/** Whole seconds until a time, counting down. */
function useCountdown(until) {
  const [, draw] = useState(0);
  const left = Math.max(0, Math.ceil((until - Date.now()) / 1000));
  useEffect(() => {
    if (left === 0) return undefined;
    const timer = setTimeout(() => draw((n) => n + 1), 500);
    return () => clearTimeout(timer);
  });
  return left;
}

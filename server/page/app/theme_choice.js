// Light, dark, or as the system has it.

import { createStore } from './store.js';

const KEY = 'muster.theme';
const dark = matchMedia('(prefers-color-scheme: dark)');

function chosen() {
  return document.documentElement.dataset.theme ?? 'system';
}

const current = () => ({ chosen: chosen(), dark: chosen() === 'system' ? dark.matches : chosen() === 'dark' });

/** `{chosen: 'system' | 'light' | 'dark', dark}` */
export const theme = createStore(current());

dark.addEventListener('change', () => theme.set(current()));

/** Chooses, and remembers it in this browser. */
export function chooseTheme(choice) {
  if (choice === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
  try {
    if (choice === 'system') localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, choice);
  } catch {
    // It holds until the page is closed.
  }
  theme.set(current());
}

// Only in a browser: dialogs are its own.

import { test, equal } from './harness.js';
import { html, render } from '../app/html.js';
import { Dialog, DialogButton } from '../app/dialog.js';

const dialog = () => document.querySelector('dialog');

/** Waits until the page shows what it should. */
async function shown(is) {
  for (let turn = 0; !is(); turn += 1) {
    if (turn > 500) throw new Error(`waited for ${is}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

test('a dialog that is closed does not close the next one', async () => {
  const place = document.body.appendChild(document.createElement('div'));
  render(html`<${DialogButton} label="Open" dialog=${(close) => html`<${Dialog} title="One" onClose=${close}><input /><//>`} />`, place);
  const button = place.querySelector('button');
  button.focus();
  button.click();
  await shown(() => dialog()?.open);
  dialog().dispatchEvent(new Event('cancel'));
  // At once, before the browser has told that the first one is closed.
  while (dialog()) await Promise.resolve();
  equal(document.activeElement.textContent, 'Open');
  button.click();
  await shown(() => dialog()?.open);
  await new Promise((done) => setTimeout(done, 200));
  equal(dialog()?.open ?? 'it was closed', true);
  render(null, place);
  place.remove();
});

// Text that people take along.

import { html, useState, useEffect } from './html.js';
import { Icon } from './icons.js';
import { say } from './announce.js';

/** A button that copies `text`. `what` names it for screen readers. */
export function CopyButton({ text, what = 'text', children }) {
  const [state, setState] = useState('ready');
  useEffect(() => {
    if (state === 'ready') return undefined;
    const timer = setTimeout(() => setState('ready'), 2000);
    return () => clearTimeout(timer);
  }, [state]);
  const copy = async () => {
    const copied = await toClipboard(text);
    setState(copied ? 'copied' : 'failed');
    say(copied ? `Copied the ${what}` : 'Copying is not allowed here: select the text');
  };
  const words = { ready: children ?? 'Copy', copied: 'Copied', failed: 'Select it' }[state];
  return html`<button type="button" class="button small" onClick=${copy} aria-label=${state === 'ready' ? `Copy the ${what}` : undefined}>
    <${Icon} name=${state === 'copied' ? 'done' : 'copy'} /> ${words}
  </button>`;
}

async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/** A command or another text to take along as it is. */
export function CopyBlock({ text, what }) {
  return html`<div class="copy-block">
    <pre tabindex="0" aria-label=${what}><code>${text}</code></pre>
    <${CopyButton} text=${text} what=${what} />
  </div>`;
}

/** An id of which the beginning is shown. */
export function Id({ id, length = 12, what = 'id' }) {
  if (!id) return html`<span class="quiet">–</span>`;
  return html`<span class="id"><code title=${id}>${id.replace(/^sha256:/, '').slice(0, length)}</code><${CopyButton} text=${id} what=${what} /></span>`;
}

// Dialogs: the browser's own element, which keeps the focus and closes with Escape.

import { html, useState, useEffect, useRef } from './html.js';
import { ProblemNote } from './notice.js';

/** A dialog that is open while it is there. */
export function Dialog({ title, onClose, children }) {
  const element = useRef(null);
  const gone = useRef(false);
  useEffect(() => {
    const before = document.activeElement;
    const dialog = element.current;
    dialog.showModal();
    return () => {
      gone.current = true;
      // While it is open nothing outside of it takes the focus.
      dialog.close();
      before?.focus?.();
    };
  }, []);
  // The browser says later that it is closed: the next one may be open by then.
  const closed = () => gone.current || onClose();
  return html`<dialog ref=${element} class="dialog" aria-label=${title} onClose=${closed} onCancel=${onClose}>
    <h2>${title}</h2>${children}
  </dialog>`;
}

/** Asks before something is done. `act` is awaited; its problem is shown. */
export function Confirm({ title, verb, danger, act, onClose, children, disabled }) {
  const [state, setState] = useState({ busy: false, problem: null });
  const submit = async (event) => {
    event.preventDefault();
    setState({ busy: true, problem: null });
    try {
      await act();
      onClose();
    } catch (problem) {
      setState({ busy: false, problem });
    }
  };
  return html`<${Dialog} title=${title} onClose=${onClose}>
    <form onSubmit=${submit}>
      ${children}
      <${ProblemNote} problem=${state.problem} />
      <div class="actions">
        <button type="button" class="button" onClick=${onClose}>Cancel</button>
        <button type="submit" class=${`button ${danger ? 'danger' : 'primary'}`} disabled=${state.busy || disabled}>${state.busy ? 'Working…' : verb}</button>
      </div>
    </form>
  <//>`;
}

/** A button that opens a dialog: `dialog(close)` makes it. */
export function DialogButton({ label, dialog, class: look = 'button small', title }) {
  const [open, setOpen] = useState(false);
  return html`<button type="button" class=${look} title=${title} onClick=${() => setOpen(true)}>${label}</button>
    ${open && dialog(() => setOpen(false))}`;
}

// Fields and buttons for the filters of a view.

import { html, useState, useEffect, useRef } from './html.js';
import { useStore } from './store.js';
import { route, navigate } from './router.js';
import { read, write, toggle, isFiltered, isLabel, many } from './filters.js';
import { Icon } from './icons.js';

/** The filters of the address, and a function that changes them: each change is another address. */
export function useFilters(shape) {
  const { path, search } = useStore(route);
  const filters = read(shape, search);
  const change = (next) => navigate(path + write(shape, { ...filters, ...next }), { replace: true });
  return [filters, change];
}

/** All filters of a view. On a phone those behind `first` are folded away, so that what they filter is in sight; the button
 * says how many values count. `except` are keys that are not counted: what `first` shows, and orders and forms. */
export function FilterBar({ label, first, shape, filters, except, children }) {
  const [open, setOpen] = useState(false);
  const counted = many(shape, filters, except);
  return html`<div class=${`filters ${open ? 'open' : ''}`} role="search" aria-label=${label}>${first}
    <button type="button" class="button unfold" aria-expanded=${open} aria-controls="folded" onClick=${() => setOpen(!open)}>Filters${counted > 0 && html` <span class="counted">${counted}</span>`}</button>
    <div class="folded" id="folded">${children}</div></div>`;
}

/** Milliseconds after the last key that a filter counts. */
const PAUSE = 200;

/** A field whose text counts when one has stopped typing. `first` is where the key `/` goes. */
export function TextFilter({ label, value, onChange, first, placeholder, list, width }) {
  const [text, setText] = useState(value);
  const timer = useRef(null);
  const sent = useRef(value);
  useEffect(() => {
    // It was changed elsewhere: by a link, or back.
    if (value !== sent.current) {
      sent.current = value;
      setText(value);
    }
  }, [value]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const type = (event) => {
    const next = event.currentTarget.value;
    setText(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      sent.current = next.trim();
      onChange(next.trim());
    }, PAUSE);
  };
  return html`<label class=${`field-filter ${width ?? ''}`}><span class="unseen">${label}</span>${first && html`<${Icon} name="search" />`}
    <input type="search" value=${text} onInput=${type} placeholder=${placeholder ?? label} data-filter=${first ? '' : undefined} list=${list} autocomplete="off" spellcheck=${false} />
  </label>`;
}

/** Buttons of which several can be pressed. `choices` are `[value, words]`. */
export function Choices({ label, choices, chosen, onToggle }) {
  return html`<div class="choices" role="group" aria-label=${label}>${choices.map(([value, words]) => html`
    <button key=${value} type="button" aria-pressed=${chosen.includes(value)} onClick=${() => onToggle(value)}>${words}</button>`)}</div>`;
}

/** A choice of one. */
export function Select({ label, choices, value, onChange }) {
  return html`<label class="select"><span>${label}</span>
    <select value=${value} onChange=${(event) => onChange(event.currentTarget.value)}>${choices.map(([one, words]) => html`<option key=${one} value=${one} selected=${one === value}>${words}</option>`)}</select></label>`;
}

/** A field that adds labels, and the labels that are there, each with a button that takes it away. */
export function LabelFilter({ labels, onChange, what = 'label' }) {
  const [text, setText] = useState('');
  const add = (event) => {
    event.preventDefault();
    const label = text.trim();
    if (!isLabel(label)) return;
    setText('');
    if (!labels.includes(label)) onChange([...labels, label]);
  };
  return html`<form class="label-filter" onSubmit=${add}>
    <label class="field-filter narrow"><span class="unseen">Add ${/^[aeiou]/.test(what) ? 'an' : 'a'} ${what}</span><input type="text" value=${text} onInput=${(event) => setText(event.currentTarget.value)} placeholder=${`${what}, as key=value`} autocomplete="off" spellcheck=${false} enterkeyhint="done" /></label>
    <${Given} values=${labels} onRemove=${(label) => onChange(labels.filter((one) => one !== label))} />
  </form>`;
}

/** Values that are filtered by, each with a button that takes it away. */
export function Given({ values, prefix = '', onRemove }) {
  return values.map((value) => html`<span key=${value} class="chip given">${prefix}${value}<button type="button" aria-label=${`Without ${prefix}${value}`} onClick=${() => onRemove(value)}><${Icon} name="close" /></button></span>`);
}

/** Takes all filters away, if there are any. */
export function ClearFilters({ shape, filters, onChange, except }) {
  if (!isFiltered(shape, filters, except)) return null;
  const clear = { ...shape };
  for (const key of except ?? []) clear[key] = filters[key];
  return html`<button type="button" class="button plain" onClick=${() => onChange(clear)}>Clear filters</button>`;
}

export { toggle };

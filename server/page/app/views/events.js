// What happened: a timeline with the filters of `muster events`.

import { html, useState, useEffect, useRef } from '../html.js';
import { get, isGivenUp } from '../api.js';
import { eventParameters } from '../filters.js';
import { useFilters, FilterBar, Choices, LabelFilter, Given, Select, ClearFilters, toggle } from '../filter_bar.js';
import { useChanges } from '../live.js';
import { EventList } from '../event_list.js';
import { withEvents, isWanted } from '../event_words.js';
import { Nothing, Note, ProblemNote, Waiting } from '../notice.js';
import { absolute, count } from '../format.js';

const SHAPE = { host: [], container: [], action: [], type: [], label: [], since: '', until: '' };

const TYPES = [['container', 'Container'], ['network', 'Network'], ['host', 'Host'], ['gap', 'Gaps']];

const ACTIONS = ['create', 'start', 'restart', 'stop', 'kill', 'die', 'oom', 'pause', 'unpause', 'rename', 'update', 'health_status', 'destroy', 'connect', 'disconnect',
  'host_joined', 'host_active', 'host_reconnecting', 'host_disconnected', 'host_conflict', 'engine_ok', 'engine_not_answering', 'engine_absent'];

const SINCE = [['', 'any time'], ['10m', 'last 10 minutes'], ['1h', 'last hour'], ['24h', 'last day'], ['7d', 'last week']];

/** Events of one reading, and those that are held at most: beyond, older ones are read with a narrower filter. */
const PAGE = 100;
const MOST = 2000;

/** Those that stay when new ones come by themselves: each of them costs time until the new one is seen. */
const LIVE = 300;

export function Events() {
  const [filters, change] = useFilters(SHAPE);
  const { events, problem, reading, older, end, begins, newer, showNewer, readAgain } = useTimeline(filters);
  const times = filters.since && !SINCE.some(([one]) => one === filters.since) ? [...SINCE, [filters.since, `since ${filters.since}`]] : SINCE;
  const add = (key) => (event) => {
    event.preventDefault();
    const field = event.currentTarget.elements[0];
    const value = field.value.trim();
    field.value = '';
    if (value && !filters[key].includes(value)) change({ [key]: [...filters[key], value] });
  };
  return html`<h1 tabindex="-1">Events</h1>
    <section class="card events" aria-label="Events">
      <${FilterBar} label="Events" shape=${SHAPE} filters=${filters}
        first=${html`<form class="label-filter" onSubmit=${add('container')}><label class="field-filter narrow"><span class="unseen">Add a container</span><input type="search" data-filter placeholder="Container  ( / )" autocomplete="off" spellcheck=${false} enterkeyhint="search" /></label></form>`}>
        <form class="label-filter" onSubmit=${add('host')}><label class="field-filter narrow"><span class="unseen">Add a host</span><input type="search" placeholder="Host" autocomplete="off" spellcheck=${false} enterkeyhint="search" /></label></form>
        <form class="label-filter" onSubmit=${add('action')}><label class="field-filter narrow"><span class="unseen">Add an action</span><input type="search" placeholder="Action, such as die" list="actions" autocomplete="off" spellcheck=${false} enterkeyhint="search" /></label></form>
        <datalist id="actions">${ACTIONS.map((action) => html`<option key=${action} value=${action}></option>`)}</datalist>
        <${Choices} label="Type" choices=${TYPES} chosen=${filters.type} onToggle=${(one) => change(toggle(filters, 'type', one))} />
        <${Select} label="Since" choices=${times} value=${filters.since} onChange=${(since) => change({ since, until: '' })} />
        <${LabelFilter} what="attribute" labels=${filters.label} onChange=${(label) => change({ label })} />
        ${['container', 'host', 'action'].map((key) => html`<${Given} key=${key} values=${filters[key]} prefix=${`${key} `} onRemove=${(one) => change(toggle(filters, key, one))} />`)}
        ${filters.until && html`<${Given} values=${[filters.until]} prefix="until " onRemove=${() => change({ until: '' })} />`}
        <${ClearFilters} shape=${SHAPE} filters=${filters} onChange=${change} />
      <//>
      <${ProblemNote} problem=${problem} retry=${readAgain} />
      <div class="newer">${newer > 0 && html`<button type="button" class="button primary small" onClick=${showNewer}>${count(newer, 'newer event')}</button>`}</div>
      ${events === null ? !problem && html`<${Waiting} what="events" />`
        : events.length === 0 ? html`<${Nothing} title="Nothing has happened that is like that" />`
        : html`<h2 class="unseen">Timeline</h2><${EventList} events=${events} />
          <${Bottom} reading=${reading} end=${end} begins=${begins} full=${events.length >= MOST} onOlder=${older} />`}
    </section>`;
}

/** Asks for older ones when it comes into view. */
function Bottom({ reading, end, begins, full, onOlder }) {
  const element = useRef(null);
  const act = useRef(onOlder);
  act.current = onOlder;
  useEffect(() => {
    const watch = new IntersectionObserver(([entry]) => entry.isIntersecting && act.current(), { rootMargin: '400px' });
    watch.observe(element.current);
    return () => watch.disconnect();
  }, [reading]);
  return html`<div ref=${element} class="end">${full ? html`<${Note}>No more are shown here: filter by time for older ones.<//>`
    : end ? (begins ? `The history begins ${absolute(begins)}: older events have been deleted.` : 'That is all.')
    : reading ? 'Reading older ones…' : html`<button type="button" class="button small" onClick=${onOlder}>Older events</button>`}</div>`;
}

/** With new ones, of which the list keeps the newest. What it lets go can be read again as older ones. */
function withLive(state, more) {
  const events = withEvents(state.events, more, LIVE);
  const kept = events.at(-1)?.id === state.events.at(-1)?.id;
  return { ...state, events, next: kept || state.events.length === 0 ? state.next : state.next ?? 'older' };
}

/** The events for filters: read newest first, and then as they come. */
function useTimeline(filters) {
  const [state, setState] = useState({ key: null, events: null, problem: null, next: null, begins: null, reading: false });
  const [waiting, setWaiting] = useState([]);
  const [again, setAgain] = useState(0);
  const key = JSON.stringify(eventParameters(filters));
  const current = useRef(null);
  current.current = { key, state };
  const filtersNow = useRef(filters);
  filtersNow.current = filters;

  const read = async (before, signal) => {
    setState((now) => ({ ...now, reading: true }));
    try {
      const page = await get('events', { ...JSON.parse(key), order: 'newest', limit: PAGE, before }, signal);
      if (current.current.key !== key) return;
      setState((now) => ({ key, problem: null, reading: false, begins: page.history_begins, next: page.next,
        // What the stream has told meanwhile is not lost; what is read again takes the place of the rest.
        events: before ? withEvents(now.events, page.items, MOST) : withEvents(page.items, now.key === key && now.next !== null ? now.events ?? [] : [], MOST) }));
    } catch (problem) {
      if (!isGivenUp(problem) && current.current.key === key) setState((now) => ({ ...now, key, problem, reading: false, events: now.key === key ? now.events : null }));
    }
  };

  useEffect(() => {
    const controller = new AbortController();
    setWaiting([]);
    read(undefined, controller.signal);
    return () => controller.abort();
  }, [key, again]);

  // What comes within one frame is drawn at once.
  const came = useRef({ events: [], frame: null });
  const take = () => {
    const { events } = came.current;
    came.current = { events: [], frame: null };
    // The filters may have changed since.
    const wanted = filtersNow.current.until ? [] : events.filter((event) => isWanted(filtersNow.current, event));
    if (wanted.length === 0) return;
    if (window.scrollY < 160) setState((now) => (now.events === null ? now : withLive(now, wanted)));
    else setWaiting((before) => withEvents(before, wanted, LIVE));
  };
  useEffect(() => () => cancelAnimationFrame(came.current.frame), []);
  useChanges({ kinds: ['event'] }, (kind, event) => {
    // A time that has an end has no newer events.
    if (filters.until || !isWanted(filters, event)) return;
    // A tab that is hidden has no frames: the oldest of what waits are read later.
    came.current.events = [...came.current.events.slice(1 - LIVE), event];
    came.current.frame ??= requestAnimationFrame(take);
  }, () => setAgain((n) => n + 1));

  const showNewer = () => {
    setState((now) => withLive({ ...now, events: now.events ?? [] }, waiting));
    setWaiting([]);
    window.scrollTo({ top: 0, behavior: 'smooth' });
  };
  const older = () => {
    const { state: now } = current.current;
    if (!now.reading && now.next !== null && now.events?.length > 0 && now.events.length < MOST) read(now.events.at(-1).id);
  };
  return { events: state.key === key ? state.events : null, problem: state.problem, reading: state.reading, end: state.next === null, begins: state.begins,
    newer: waiting.length, showNewer, older, readAgain: () => setAgain((n) => n + 1) };
}


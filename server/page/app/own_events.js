// The last events of one host or one container, kept by the stream.

import { html, useState, useEffect } from './html.js';
import { get, isGivenUp } from './api.js';
import { useChanges } from './live.js';
import { EventList } from './event_list.js';
import { withEvents, isWanted } from './event_words.js';
import { ProblemNote, Waiting } from './notice.js';

const MOST = 20;

/** A card. `filters` are those of the events view: `{host, container}`; `hostId` narrows the stream; `more` is a link. */
export function OwnEvents({ filters, hostId, more, hideContainer }) {
  const [events, setEvents] = useState(null);
  const [problem, setProblem] = useState(null);
  const [readAgain, setReadAgain] = useState(0);
  const key = JSON.stringify(filters);
  useEffect(() => {
    const controller = new AbortController();
    get('events', { ...filters, order: 'newest', limit: MOST }, controller.signal).then(
      (page) => {
        setEvents((before) => withEvents(before ?? [], page.items, MOST));
        setProblem(null);
      },
      (error) => isGivenUp(error) || setProblem(error),
    );
    return () => controller.abort();
  }, [key, readAgain]);
  useChanges({ kinds: ['event'], host: hostId }, (kind, event) => {
    if (isWanted(filters, event)) setEvents((before) => withEvents(before ?? [], [event], MOST));
  }, () => setReadAgain((n) => n + 1));
  return html`<section class="card events" aria-labelledby="own-events">
    <header class="card-head"><h2 id="own-events">Events</h2><a href=${more}>All events</a></header>
    <${ProblemNote} problem=${problem} />
    ${events === null ? !problem && html`<${Waiting} what="events" />`
      : events.length === 0 ? html`<p class="waiting-note">Nothing has happened yet.</p>`
      : html`<${EventList} events=${events} hideHost hideContainer=${hideContainer} />`}
  </section>`;
}

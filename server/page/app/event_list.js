// Events as a timeline, newest first.

import { html, useMemo } from './html.js';
import { Icon } from './icons.js';
import { serverNow } from './moment.js';
import { absolute, clock, day } from './format.js';
import { lookOf, actionOf, gapWords, detailsOf, isFar } from './event_words.js';
import { hostLink, containerLink } from './router.js';

/** `events`, newest first, in the order in which the server had them, under their days. */
export function EventList({ events, hideHost, hideContainer }) {
  const now = serverNow();
  const days = [];
  for (const event of events) {
    const name = day(event.received_at, now);
    if (days.at(-1)?.name !== name) days.push({ name, events: [] });
    days.at(-1).events.push(event);
  }
  return days.map(({ name, events: list }) => html`<section key=${name} aria-label=${name}>
    <h3 class="events-day">${name}</h3>
    <ol class="event-list">${list.map((event) => html`<${EventRow} key=${event.id} event=${event} hideHost=${hideHost} hideContainer=${hideContainer} />`)}</ol>
  </section>`);
}

/** What is the same is not drawn again when another one comes. */
function EventRow({ event, hideHost, hideContainer }) {
  return useMemo(() => row(event, hideHost, hideContainer), [event, hideHost, hideContainer]);
}

function row(event, hideHost, hideContainer) {
  const [tone, icon] = lookOf(event);
  const gap = event.type === 'gap';
  const about = event.container ?? event.container_id?.slice(0, 12);
  const title = `Received ${absolute(event.received_at)}${event.time ? `; by the host's clock ${absolute(event.time)}` : ''}`;
  return html`<li class=${`event is-${event.type} ${event.derived && event.type !== 'host' ? 'derived' : ''}`}>
    <time datetime=${event.received_at} title=${title}>${clock(event.received_at)}</time>
    <span class=${`tone-${tone}`}><${Icon} name=${icon} /></span>
    <span class="event-what">
      ${gap ? html`<b>${gapWords(event)}</b> <span class="event-more">${clock(event.attributes.from)} to ${clock(event.attributes.to)}</span>`
        : html`${!hideContainer && about && html`<a class="row-link" href=${containerLink(event.host, event.container_id ?? about)}>${about}</a> `}
          <span class="event-action">${actionOf(event)}</span>
          ${detailsOf(event).map(([key, value]) => html` <span key=${key} class="event-more">${key} ${value}</span>`)}`}
      ${event.derived && event.type !== 'host' && html` <span class="tag" title="The engine did not say it: it was concluded from what the host's lists show">derived</span>`}
      ${isFar(event) && html` <span class="tag" title="When the host says that it happened: its clock is wrong, or it was away">host's time ${absolute(event.time)}</span>`}
    </span>
    ${!hideHost && html`<span class="event-where"><a href=${hostLink(event.host)}>${event.host}</a></span>`}
  </li>`;
}

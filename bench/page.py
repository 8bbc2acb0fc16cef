"""What `bench/page` has a browser do: it watches the timeline of a fleet, and then there are many pages."""

import json
import os
import statistics
import sys
import time
from datetime import datetime

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/page"))

from stage import ask, chromium, first_load, muster, settle, watched  # noqa: E402

# Seconds that the timeline is watched.
WATCH = 60

# Browsers that then look at the fleet, each with connections of its own.
PAGES = 16

# Notes which events the timeline shows, and when the frame that shows them is drawn.
NOTE = """() => {
  window.shown = [];
  const list = document.querySelector('main');
  const known = new WeakSet(list.querySelectorAll('li.event'));
  new MutationObserver(() => {
    const fresh = [...list.querySelectorAll('li.event')].filter((one) => !known.has(one));
    fresh.forEach((one) => known.add(one));
    if (fresh.length === 0) return;
    requestAnimationFrame(() => {
      const now = Date.now();
      for (const one of fresh) {
        const where = one.querySelector('.event-where')?.textContent ?? '';
        window.shown.push([`${one.querySelector('time').getAttribute('datetime')} ${where}`, now]);
      }
    });
  }).observe(list, {subtree: true, childList: true});
}"""


def row(name, value):
    ask(row=name, value=value)


def nano(text):
    """Nanoseconds since 1970 of RFC 3339."""
    whole, _, rest = text.removesuffix("Z").partition(".")
    return int(datetime.fromisoformat(whole + "+00:00").timestamp()) * 10**9 + int(rest.ljust(9, "0")[:9] or 0)


with chromium() as browser:
    size, count, data = first_load(browser)
    row("first load, bytes: files of the page (how many), data", f"{size} ({count}), {data}")

    with watched(browser) as one:
        page = one.sign_in("viewer")
        one.open("/events")
        settle(page)
        began = datetime.now().astimezone().isoformat()
        page.evaluate(NOTE)
        page.wait_for_timeout(WATCH * 1000)
        shown = dict(page.evaluate("window.shown"))
        lines = muster("events", "--since", began, "--until", "0s", "--format", "json").splitlines()
        late = []
        for event in map(json.loads, lines):
            at = shown.get(f"{event['received_at']} {event['host']}")
            if at is not None and event["time"] and not event["derived"]:
                late.append(at - nano(event["time"]) / 1e6)
        late.sort()
        of = lambda part: late[min(len(late) - 1, int(len(late) * part))]  # noqa: E731
        row("event to page, p50 / p99 / max, ms", f"{statistics.median(late):.0f} / {of(0.99):.0f} / {late[-1]:.0f}")
        row("events that were shown, of those that came", f"{len(late)} of {len(lines)}")

    before = ask(memory=True)
    contexts = []
    for _ in range(PAGES):
        context = browser.new_context()
        page = context.new_page()
        link = muster("sign-in-link", "--role", "viewer").split()
        page.goto(next(word for word in link if "/sign-in#" in word))
        settle(page)
        contexts.append(context)
    time.sleep(30)
    after = ask(memory=True)
    row(f"server memory for each of {PAGES} browsers, KiB: all of its connections", f"{(after - before) / PAGES:.1f}")
    for context in contexts:
        context.close()

"""What `bench/page` has a browser do: it watches the timeline of a fleet, and then there are many pages."""

import json
import os
import statistics
import sys
import time
from contextlib import contextmanager
from datetime import datetime

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../tests/page"))

from stage import ask, chromium, first_load, muster, settle, watched  # noqa: E402

# Seconds that the timeline is watched.
WATCH = 60

# Browsers that then look at the fleet, each with connections of its own.
PAGES = 16

# Seconds until the server's memory is looked at: it gives back what connections leave behind once a minute at most.
REST = 75

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


@contextmanager
def crowd(browser):
    """Browsers that look at the fleet."""
    contexts = []
    for _ in range(PAGES):
        context = browser.new_context()
        contexts.append(context)
        page = context.new_page()
        link = muster("sign-in-link", "--role", "viewer").split()
        page.goto(next(word for word in link if "/sign-in#" in word))
        settle(page)
    yield
    for context in contexts:
        context.close()


def rest():
    """KiB of the server, after it has given back what it needed no longer."""
    time.sleep(REST)
    return ask(memory=True)


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
        # A list that grows must not make each row dearer.
        third = len(late) // 3
        row("the first third of them / the last, p50, ms",
            f"{statistics.median(late[:third]):.0f} / {statistics.median(late[-third:]):.0f}")
        late.sort()
        of = lambda part: late[min(len(late) - 1, int(len(late) * part))]  # noqa: E731
        row("event to page, p50 / p99 / max, ms", f"{statistics.median(late):.0f} / {of(0.99):.0f} / {late[-1]:.0f}")
        row("events that were shown, of those that came", f"{len(late)} of {len(lines)}")

    # What a first crowd leaves behind is the server's from then on.
    with crowd(browser):
        pass
    before = rest()
    with crowd(browser):
        during = rest()
    after = rest()
    each = (during - (before + after) / 2) / PAGES
    row(f"server memory for each of {PAGES} browsers, KiB: all of its connections",
        f"{each:.1f} ({before}, {during}, {after}: without them, with them, without them)")

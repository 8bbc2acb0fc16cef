"""A fleet of many hosts: it is counted, filtered and scrolled to its end, with few rows in the page at a time."""

import os

from stage import chromium, expect, say, settle, timed, until, watched

HOSTS = int(os.environ["HOSTS"])

# The names of the rows that are drawn; empty while one of them is still to be read.
NAMES = """() => document.querySelector('main .bone') ? [] :
  [...document.querySelectorAll('table.hosts tbody th .row-link')].map((one) => one.textContent)"""

# Rows in the page at most, whatever the fleet.
ROWS = 120

with chromium() as browser, watched(browser, viewport={"width": 1280, "height": 800}) as one:
    page = one.sign_in("viewer")
    with timed("the fleet is there"):
        one.open("/?sort=name")
        settle(page)
        expect(page.get_by_role("rowheader", name="host-00000")).to_be_visible()
    expect(page.get_by_role("region", name="How the fleet is")).to_contain_text(f"{HOSTS:,} of {HOSTS:,}")
    expect(page.get_by_role("region", name="Hosts")).to_contain_text(f"{HOSTS:,} hosts")

    for part, where in ((0.5, "the middle"), (1, "the end")):
        with timed(f"scrolled to {where}"):
            page.evaluate("(part) => scrollTo(0, document.body.scrollHeight * part)", part)
            name = f"host-{int((HOSTS - 1) * part):05}"
            names = until(page, f"(name) => {{ const all = ({NAMES})(); return all.includes(name) && all; }}", name)
        assert len(names) <= ROWS, f"{len(names)} rows are in the page"
    last = page.get_by_role("rowheader", name=f"host-{HOSTS - 1:05}")
    expect(last).to_be_in_viewport()

    page.evaluate("scrollTo(0, 0)")
    with timed("filtered to one"):
        page.get_by_label("Filter by name").fill(f"{HOSTS - 2:05}")
        expect(page.get_by_role("region", name="Hosts")).to_contain_text("1 host")
        expect(page.get_by_role("rowheader", name=f"host-{HOSTS - 2:05}")).to_be_visible()
    page.get_by_role("link", name=f"host-{HOSTS - 2:05}").click()
    expect(page.get_by_role("heading", name=f"host-{HOSTS - 2:05}").first).to_be_visible()
    say(f"{HOSTS:,} hosts are looked at like ten")

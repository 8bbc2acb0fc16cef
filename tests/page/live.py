"""What happens on a host is seen as it happens; filters, plots, and links to every view."""

import json
import re
import time

from stage import PATIENCE, URL, chromium, docker, expect, say, until, watched

# Notes when a row with a name first says something, by the clock that the engine has too.
NOTICE = """([name, words]) => {
  const look = () => [...document.querySelectorAll('main tr')].some((row) =>
    row.querySelector('th')?.textContent.includes(name) && new RegExp(words).test(row.textContent));
  window.noticed = look() ? 'too early' : null;
  const watch = new MutationObserver(() => {
    if (!look()) return;
    window.noticed = Date.now();
    watch.disconnect();
  });
  watch.observe(document.querySelector('main'), {subtree: true, childList: true, characterData: true});
}"""

# How many pixels of a plot's canvas are drawn on.
DRAWN = """(canvas) => {
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let drawn = 0;
  for (let index = 3; index < data.length; index += 4) if (data[index] > 0) drawn += 1;
  return drawn;
}"""


def row(page, name):
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader").filter(has_text=name))


def seen(page, name, words, act):
    """Milliseconds from when the engine did something until the page shows it."""
    page.evaluate(NOTICE, [name, words])
    act()
    return until(page, "() => window.noticed")


def moment(action, name):
    """When the engine did it, in milliseconds since 1970."""
    lines = docker("events", "--since", "10m", "--until", f"{time.time():.9f}", "--filter", f"container={name}",
                   "--filter", f"event={action}", "--format", "{{json .}}").splitlines()
    return json.loads(lines[-1])["timeNano"] / 1e6


for name in ("web", "lamp"):
    docker("run", "-d", "--name", name, "--label", f"com.docker.compose.project=house-{name}", "probe:latest", "live")

with chromium() as browser, watched(browser) as one:
    page = one.sign_in("viewer")
    page.evaluate("window.mark = 'not reloaded'")

    # By the page's own links, so that nothing is loaded anew.
    page.get_by_role("navigation").get_by_role("link", name="Containers").click()
    expect(row(page, "web")).to_contain_text("Up ")
    times = []
    for action, words, act in (("die", "Exited", "stop"), ("start", "Up ", "start"), ("pause", "Paused", "pause"),
                               ("unpause", "Up [^(]*$", "unpause"), ("die", "Exited", "stop")):
        shown = seen(page, "web", words, lambda: docker(act, "web"))
        assert shown != "too early", f"before docker {act} it already says {words}"
        times.append(shown - moment(action, "web"))
        say(f"docker {act} is seen {times[-1]:.0f} ms after the engine did it")
    assert page.evaluate("window.mark") == "not reloaded"
    say(f"half of them within {sorted(times)[len(times) // 2]:.0f} ms; bench/page measures it where it counts")

    expect(row(page, "lamp")).to_be_visible()
    page.get_by_label("Filter by name").fill("la")
    expect(row(page, "web")).to_have_count(0)
    expect(row(page, "lamp")).to_be_visible()
    page.wait_for_url("**name=la**")
    page.get_by_label("Filter by name").fill("")
    expect(row(page, "web")).to_be_visible()
    one.open("/containers?state=exited")
    expect(row(page, "web")).to_be_visible()
    expect(row(page, "lamp")).to_have_count(0)
    one.open("/containers?project=house-lamp")
    expect(row(page, "lamp")).to_be_visible()
    expect(row(page, "web")).to_have_count(0)
    say("filters narrow the list, and are in the address")

    row(page, "lamp").get_by_role("rowheader").get_by_role("link").first.click()
    page.wait_for_url("**/containers/alpha/*")
    expect(page.get_by_role("heading", name="lamp").first).to_be_visible()
    image = json.loads(docker("inspect", "lamp"))[0]["Image"].removeprefix("sha256:")
    expect(page.get_by_role("main")).to_contain_text(image[:12])
    expect(page.get_by_role("main")).to_contain_text("house-lamp")
    say("a container's view says which image it runs")

    one.open("/hosts/alpha")
    expect(page.get_by_role("heading", name="alpha").first).to_be_visible()
    plot = page.get_by_role("img", name="CPU").first
    # The history has a point a minute, of a minute that is over.
    expect(plot).to_be_visible(timeout=2 * PATIENCE)
    say("a minute is over")
    canvas = plot.locator("canvas")
    expect(canvas).to_be_visible()
    drawn = until(page, f"(canvas) => {{ const drawn = ({DRAWN})(canvas); return drawn > 200 && drawn; }}",
                  canvas.element_handle(), patience=2 * PATIENCE)
    say(f"plots are drawn: {drawn} pixels of the first")

    one.open("/events?container=web")
    expect(page.get_by_text("die").first).to_be_visible()
    expect(page.get_by_role("main")).not_to_contain_text("lamp")
    before = page.get_by_text("start", exact=True).count()
    docker("start", "web")
    expect(page.get_by_text("start", exact=True)).not_to_have_count(before)
    say("events are filtered, and new ones arrive")

    # The status is that of an address without a page, which Chromium calls an error.
    one.expected.append("/nonsense")
    one.open("/nonsense/deeper?than=this")
    expect(page.get_by_text("There is nothing at this address")).to_be_visible()
    page.get_by_role("link", name="To the fleet").click()
    expect(page.get_by_role("region", name="Hosts")).to_be_visible()
    asked = "fetch('/nonsense', {headers: {Accept: 'application/json'}}).then((answer) => answer.json())"
    assert page.evaluate(asked)["status"] == 404
    say("an address that leads nowhere says so, to people and to programs")

    one.open("/hosts/alpha")
    one.open("/containers/alpha/web")
    page.go_back()
    expect(page.get_by_role("heading", name="alpha").first).to_be_visible()
    assert page.url == f"{URL}/hosts/alpha", page.url

    docker("run", "-d", "--name", "again", "--restart", "always", "probe:latest", "end", "0", "3")
    one.open("/")
    attention = page.get_by_role("region", name="Needs attention")
    loop = attention.get_by_role("listitem").filter(has_text="again on alpha restarts again and again")
    expect(loop).to_contain_text("exit code 3")
    expect(attention.get_by_role("listitem")).to_have_count(1)
    how = page.get_by_role("region", name="How the fleet is")
    expect(how).to_contain_text("1 thing needs attention")
    # One waits for its policy: it runs neither for the host nor for the fleet.
    counts = row(page, "alpha").locator(".cell-containers")
    expect(counts.get_by_role("link")).to_have_attribute("title", re.compile(" run, 1 restarting$"))
    running, _, total = counts.inner_text().partition("/")
    expect(how).to_contain_text(f"{running} of {total}")
    expect(how).to_contain_text("1 restarting")
    docker("rm", "-f", "again")
    expect(how).to_contain_text("All is well")
    say("a loop is one thing that needs attention, with how it ends, and what runs is counted alike")

"""Every view, light and dark, on a desk and on a phone: accessible, not wider than the screen, and soon there."""

from stage import URL, VIEWS, chromium, docker, expect, first_load, say, settle, watched
from axe_playwright_python.sync_playwright import Axe

# Bytes of the first load, compressed, with the heads of answers.
FIRST_LOAD = 100 * 1024

# Impacts that nobody is to suffer.
GRAVE = ("serious", "critical")

# What is wider than the screen, so that a message can name it.
TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  return [...document.querySelectorAll('body *')]
    .filter((one) => one.getBoundingClientRect().right > width + 1).slice(0, 8)
    .map((one) => `${one.tagName}.${one.className} to ${Math.round(one.getBoundingClientRect().right)} of ${width}`);
}"""


# Names in lists that there is hardly any room for.
TOO_NARROW = """() => [...document.querySelectorAll('.long tbody th.wide')]
  .filter((one) => one.clientWidth < 100).map((one) => `${one.textContent} in ${one.clientWidth}`)"""


def sizes(page, where):
    found = [f"{where}: wider than the screen: {one}" for one in page.evaluate(TOO_WIDE)]
    return found + [f"{where}: too narrow: {one}" for one in page.evaluate(TOO_NARROW)]


def look(page, axe, where):
    found = sizes(page, where)
    for violation in axe.run(page).response["violations"]:
        if violation["impact"] in GRAVE:
            nodes = "; ".join(f"{node['target']} {node['failureSummary']}" for node in violation["nodes"][:3])
            found.append(f"{where}: {violation['impact']}: {violation['id']}: {nodes}")
    return found


docker("run", "-d", "--name", "web", "--label", "com.docker.compose.project=house", "probe:latest", "live")
docker("create", "--name", "idle", "probe:latest", "live")
# Something to worry about: it ends with 1 at once.
docker("run", "-d", "--name", "broken", "probe:latest", "end", "0", "1")
paths = [*VIEWS, "/hosts/alpha", "/containers/alpha/web", "/containers/alpha/idle"]

with chromium() as browser:
    size, count, data = first_load(browser)
    say(f"first load: {size} bytes in {count} files, and {data} bytes of the fleet's data")
    assert size <= FIRST_LOAD, f"the first load is {size} bytes, more than {FIRST_LOAD}"

    found, axe = [], Axe()
    for scheme in ("light", "dark"):
        with watched(browser, color_scheme=scheme, viewport={"width": 1280, "height": 800}) as one:
            one.open("/")
            expect(one.page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
            found += look(one.page, axe, f"sign-in, {scheme}")
            page = one.sign_in("admin")
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")
            bright = sum(int(part) for part in background.strip("rgba()").split(",")[:3]) > 3 * 128
            assert bright == (scheme == "light"), f"{scheme} has a background of {background}"
            for path in paths:
                one.open(path)
                settle(page)
                if path in ("/", "/alerts"):
                    # The alert is there: what it looks like is looked at too.
                    expect(page.get_by_role("main").get_by_text("broken on alpha crashed").first).to_be_visible()
                if path == "/":
                    expect(page.get_by_role("region", name="Needs attention")).to_be_visible()
                    expect(page.get_by_role("region", name="How the fleet is")).not_to_contain_text("All is well")
                found += look(page, axe, f"{path}, {scheme}")
                # The same view as a phone shows it.
                page.set_viewport_size({"width": 360, "height": 720})
                where = f"{path}, {scheme}, on a phone"
                found += look(page, axe, where)
                for width in (768, 861, 961, 1081):
                    page.set_viewport_size({"width": width, "height": 800})
                    found += sizes(page, f"{path}, {width} wide")
                page.set_viewport_size({"width": 1280, "height": 800})
    assert not found, "not for everybody:\n" + "\n".join(found)
    say(f"{len(paths) + 1} views, light and dark, on a desk and on a phone: nothing serious")

    with watched(browser, viewport={"width": 360, "height": 720}) as one:
        one.sign_in("admin")
        for path in ("/", "/containers", "/events"):
            one.open(path)
            settle(page := one.page)
            search, button = page.get_by_role("search"), page.get_by_role("button", name="Filters")
            # The first field is there, and the others when they are asked for.
            expect(search.get_by_role("searchbox")).to_have_count(1)
            expect(search.get_by_role("group")).to_have_count(0)
            button.click()
            expect(search.get_by_role("group").first).to_be_visible()
            found += look(page, axe, f"{path}, its filters on a phone")
        one.open("/containers?state=exited&name=o")
        expect(page.get_by_role("button", name="Filters 1")).to_be_visible()
    assert not found, "not for everybody:\n" + "\n".join(found)
    say("filters are folded on a phone")

    with watched(browser) as one:
        one.sign_in("admin")
        one.open("/")
        settle(page := one.page)
        # By keys alone: to the content, and from view to view.
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("g")
        page.keyboard.press("c")
        page.wait_for_url(f"{URL}/containers")
        expect(page).to_have_title("Containers – Muster")
    say("keys lead everywhere")

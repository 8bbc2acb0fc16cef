"""What the scripts beside this one share: Chromium on a server's page, what it must never do, questions to the test.

PAGE_URL and PAGE_PIN say which server it is; see tests/harness/browser.rs.
"""

import base64
import json
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager

from playwright.sync_api import expect, sync_playwright

URL = os.environ["PAGE_URL"]

# How long something may take on a slow and busy machine, in milliseconds.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]

# The names of views that need nothing but a fleet, and their titles.
VIEWS = {"/": "Fleet", "/containers": "Containers", "/events": "Events", "/alerts": "Alerts", "/network": "Network",
         "/add": "Add a host", "/settings": "Settings"}

# Reports what the content security policy has refused, as an error like others.
VIOLATIONS = """
document.addEventListener('securitypolicyviolation', (event) =>
  console.error('refused by policy: ' + event.violatedDirective + ' ' + event.blockedURI));
"""


def ask(**question):
    """Asks the test for what only it can do; see tests/harness/browser.rs."""
    print("?" + json.dumps(question), flush=True)
    return json.loads(sys.stdin.readline())


def muster(*arguments, text=None):
    """Runs the operator's command line; what it prints."""
    told = ask(muster=list(arguments), **({"input": text} if text is not None else {}))
    assert told["code"] == 0, f"muster {' '.join(arguments)}: {told['stderr']}"
    return told["stdout"].strip()


def docker(*arguments):
    """Runs the docker command line on the engine of the first host."""
    return subprocess.run(["docker", *arguments], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def sign_in_link(role="admin"):
    """A link that signs in once."""
    line = muster("sign-in-link", "--role", role)
    link = re.search(r"https://\S+/sign-in#\S+", line)
    assert link, f"no link: {line}"
    return link.group()


def say(text):
    """A line for whoever reads the test's output."""
    print(f"  {text}", flush=True)


class Watched:
    """A browser of its own with nobody signed in, and all that it does which it must not."""

    def __init__(self, chromium, **options):
        self.context = chromium.new_context(**options)
        self.context.set_default_timeout(PATIENCE)
        self.context.add_init_script(VIOLATIONS)
        self.wrong = []
        # Parts of errors that are expected: who is not signed in is told so, by a status that Chromium calls an error.
        self.expected = ["/api/v1/session)"]
        self.context.on("request", self._request)
        self.context.on("console", self._console)
        self.context.on("weberror", lambda error: self.wrong.append(f"uncaught: {error.error}"))
        self.page = self.context.new_page()

    def _request(self, request):
        if not request.url.startswith((URL + "/", "data:")):
            self.wrong.append(f"a request to another host: {request.url}")

    def _console(self, message):
        text = f"{message.text} ({message.location.get('url')})"
        if message.type == "error" and not any(part in text for part in self.expected):
            self.wrong.append(text)

    def open(self, path):
        """Opens a view by its address."""
        self.page.goto(URL + path, wait_until="domcontentloaded")

    def sign_in(self, role="admin"):
        """Signs in by a link, and waits for the fleet."""
        self.page.goto(sign_in_link(role), wait_until="domcontentloaded")
        expect(self.page.get_by_role("heading", name="Fleet", exact=True)).to_be_attached()
        return self.page

    def check(self):
        """Fails if it has done what it must not."""
        assert not self.wrong, "the page did what it must not:\n" + "\n".join(self.wrong)


def until(page, script, argument=None, patience=PATIENCE):
    """Waits until a function of JavaScript says something true, and returns that.

    Playwright's own way has the page evaluate a text, which its content security policy rightly refuses.
    """
    ends = time.monotonic() + patience / 1000
    while not (found := page.evaluate(script, argument)):
        assert time.monotonic() < ends, f"waited {patience / 1000:.0f} s for {script}"
        page.wait_for_timeout(50)
    return found


@contextmanager
def chromium():
    """Chromium, which takes the server by its pin and no other."""
    pin = base64.b64encode(bytes.fromhex(os.environ["PAGE_PIN"].removeprefix("sha256:"))).decode()
    with sync_playwright() as playwright:
        flags = [*FLAGS, f"--ignore-certificate-errors-spki-list={pin}"]
        browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=flags, timeout=PATIENCE)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched(browser, **options):
    """A [`Watched`], which is checked at its end. What it shows is printed if the script fails."""
    one = Watched(browser, **options)
    try:
        yield one
        one.check()
    except BaseException:
        try:
            shown = one.page.locator("body").aria_snapshot(timeout=5000)[:6000]
            print(f"--- {one.page.url} shows:\n{shown}", flush=True)
            print("\n".join(["--- and:", *one.wrong]), flush=True)
        except Exception as failure:
            print(f"--- the page cannot be shown: {failure}", flush=True)
        raise
    finally:
        one.context.close()


def settle(page):
    """Waits until a view shows what it is about."""
    expect(page.locator("main h1").first).to_be_attached()
    until(page, "() => !document.querySelector('main [aria-busy=true], main .bone')")


def first_load(browser):
    """Bytes that a browser with an empty cache is sent for the page's files, and for the fleet's first data."""
    with watched(browser) as one:
        session = one.context.new_cdp_session(one.page)
        session.send("Network.enable")
        urls, bytes_of = {}, {}
        session.on("Network.responseReceived", lambda said: urls.update({said["requestId"]: said["response"]["url"]}))
        session.on("Network.loadingFinished",
                   lambda said: bytes_of.update({said["requestId"]: said["encodedDataLength"]}))
        page = one.sign_in("viewer")
        settle(page)
        page.wait_for_timeout(500)
        files = {urls[one]: size for one, size in bytes_of.items() if "/api/" not in urls.get(one, "/api/")}
        data = sum(size for one, size in bytes_of.items() if "/api/" in urls.get(one, ""))
    return sum(files.values()), len(files), data


@contextmanager
def timed(what):
    """Says how long something took."""
    began = time.monotonic()
    yield
    say(f"{what}: {(time.monotonic() - began) * 1000:.0f} ms")

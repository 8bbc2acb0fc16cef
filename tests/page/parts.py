"""The tests of the page's parts without I/O, server/page/tests, in the browser that the page is for."""

import functools
import http.server
import pathlib
import threading

from stage import chromium, say, until

PAGE = pathlib.Path(__file__).resolve().parents[2] / "server" / "page"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=PAGE))
threading.Thread(target=server.serve_forever, daemon=True).start()
with chromium() as browser:
    page = browser.new_page()
    page.goto(f"http://127.0.0.1:{server.server_port}/tests/index.html")
    result = until(page, "() => document.documentElement.dataset.result")
    lines = page.locator("#result").inner_text()
    say(lines)
    assert result == "passed", lines
    passed = int(lines.split(" passed")[0])
    assert passed > 30, f"only {passed} tests ran"
server.shutdown()

"""What admins change in dialogs, each to its end and by keys where it counts; and what viewers are offered of it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from stage import chromium, docker, expect, muster, say, settle, until, watched

PASSWORD = "correct horse battery staple"
HEARD = []


class Hook(BaseHTTPRequestHandler):
    """Takes what alerts send."""

    def do_POST(self):
        HEARD.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


hook = HTTPServer(("127.0.0.1", 0), Hook)
threading.Thread(target=hook.serve_forever, daemon=True).start()


def region(page, name):
    return page.get_by_role("region", name=name, exact=True)


def open_dialog(page, where, button, title):
    """Presses a button, and gives the dialog, which has the focus."""
    where.get_by_role("button", name=button, exact=True).first.click()
    dialog = page.get_by_role("dialog", name=title)
    expect(dialog).to_be_visible()
    assert page.evaluate("document.querySelector('dialog[open]').contains(document.activeElement)"), f"{title}: no focus"
    return dialog


def done(dialog, verb):
    dialog.get_by_role("button", name=verb, exact=True).click()
    expect(dialog).to_have_count(0)


def silences():
    return json.loads("[" + ",".join(muster("alerts", "silence", "ls", "--format", "json").splitlines()) + "]")


docker("run", "-d", "--name", "broken", "--label", "app=shop", "probe:latest", "end", "0", "1")

with chromium() as browser:
    with watched(browser) as one:
        page = one.sign_in("admin")
        one.open("/alerts")
        settle(page)
        alerts, list_ = page.get_by_role("region", name="Alerts", exact=True), region(page, "Silences")
        expect(alerts.get_by_text("broken on alpha crashed").first).to_be_visible()

        # Escape closes, and the focus is where it was.
        dialog = open_dialog(page, alerts, "Silence", "Silence")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        until(page, "() => document.activeElement.textContent === 'Silence'")
        page.keyboard.press("Enter")
        expect(dialog).to_be_visible()
        page.get_by_role("button", name="Cancel").click()
        expect(dialog).to_have_count(0)
        until(page, "() => document.activeElement.textContent === 'Silence'")
        say("a dialog takes the focus, closes with Escape, and gives the focus back")

        dialog = open_dialog(page, alerts, "Silence", "Silence")
        dialog.get_by_label("broken on alpha").check()
        dialog.get_by_label("Why").fill("a new disk")
        done(dialog, "Silence")
        expect(list_.get_by_role("row").filter(has_text="a new disk")).to_contain_text("broken")
        expect(alerts).to_contain_text("silenced")
        list_.get_by_role("button", name="End it").click()
        expect(list_).to_contain_text("Nothing is silenced")
        expect(alerts).not_to_contain_text("silenced")
        for field, value in (("Host", "alpha"), ("Label", "app=shop")):
            dialog = open_dialog(page, list_, "Silence something", "Silence")
            dialog.get_by_label(field, exact=True).fill(value)
            done(dialog, "Silence")
            expect(list_.get_by_role("row").filter(has_text=value)).to_be_visible()
            expect(alerts).to_contain_text("silenced")
            list_.get_by_role("button", name="End it").click()
            expect(list_).to_contain_text("Nothing is silenced")
        say("a container, a host and a label are silenced, and no longer")

        targets = region(page, "Where they are sent")
        dialog = open_dialog(page, targets, "Add a target", "Add a target")
        dialog.get_by_label("Name").fill("ops")
        # What the server refuses, Chromium calls an error.
        one.expected += ["status of 400", "status of 422"]
        dialog.get_by_label("URL").fill("nonsense")
        dialog.get_by_role("button", name="Add", exact=True).click()
        expect(dialog.get_by_role("alert")).to_be_visible()
        dialog.get_by_label("URL").fill(f"http://127.0.0.1:{hook.server_port}/hook")
        done(dialog, "Add")
        row = targets.get_by_role("row").filter(has_text="ops")
        expect(row).to_contain_text("127.0.0.1")
        # It stays on the machine.
        expect(row).not_to_contain_text("not encrypted")
        targets.get_by_role("button", name="Test", exact=True).click()
        expect(targets).to_contain_text("It was taken.")
        assert HEARD, "nothing has come to the target"
        dialog = open_dialog(page, targets, "Remove", "Remove ops?")
        done(dialog, "Remove")
        expect(targets).to_contain_text("Nowhere")
        say("a target is added, tested and removed")

        rules = region(page, "Rules")
        dialog = open_dialog(page, rules, "Change", "Rules")
        dialog.get_by_label("Unhealthy", exact=True).uncheck()
        dialog.get_by_label("Restart loop: ends").fill("7")
        for field, value in (("From", "22:00"), ("To", "07:00"), ("Zone", "+02:00")):
            dialog.get_by_label(field, exact=True).fill(value)
        done(dialog, "Save")
        expect(rules).to_contain_text("22:00 to 07:00 (UTC+02:00)")
        expect(rules.locator(".tone-warn")).to_have_text("Unhealthy")
        told = json.loads(page.evaluate("fetch('/api/v1/alerts/settings').then((answer) => answer.text())"))
        assert (told["rules"]["unhealthy"]["enabled"], told["rules"]["restart_loop"]["times"]) == (False, 7), told
        assert told["quiet"]["zone"] == "+02:00", told
        say("rules and quiet hours are set")

        one.open("/settings")
        settle(page)
        users = region(page, "Users")
        dialog = open_dialog(page, users, "Add a user", "Add a user")
        dialog.get_by_label("Name").fill("vic")
        dialog.get_by_label("Password").fill(PASSWORD)
        done(dialog, "Add")
        expect(users.get_by_role("row").filter(has_text="vic")).to_contain_text("viewer")

        with watched(browser) as other:
            other.expected += ["status of 401", "status of 403"]
            other.open("/alerts")
            other.page.get_by_label("Name", exact=True).fill("vic")
            other.page.get_by_label("Password", exact=True).fill(PASSWORD)
            other.page.get_by_role("button", name="Sign in", exact=True).click()
            settle(other.page)
            expect(other.page.get_by_text("broken on alpha crashed").first).to_be_visible()
            for name in ("Silence", "Add a target", "Test", "Change"):
                expect(other.page.get_by_role("button", name=name, exact=True)).to_have_count(0)

            dialog = open_dialog(page, users.get_by_role("row").filter(has_text="vic"), "Remove", "Remove vic?")
            done(dialog, "Remove")
            # Who is removed is out at once, without having done anything.
            expect(other.page.get_by_role("button", name="Sign in", exact=True)).to_be_visible()
        say("a user is added, signs in to look, and is out when removed")
hook.shutdown()

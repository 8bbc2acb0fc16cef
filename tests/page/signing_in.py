"""Signing in by link and by password, what is refused, and that viewers change nothing."""

import functools

from stage import URL, chromium, expect, muster, say, settle, sign_in_link, watched

PASSWORD = "correct horse battery staple"

# Asks the API as the page does, with the cookie of whoever is signed in; the status that it answers with.
POST = """([path, body, headers]) => fetch(path, {method: 'POST', credentials: 'same-origin',
  headers: {'Content-Type': 'application/json', ...headers}, body: JSON.stringify(body)})
  .then((answer) => answer.status)"""


def form(page):
    return page.get_by_role("button", name="Sign in", exact=True)


def fleet(page):
    return page.get_by_role("heading", name="Hosts", exact=True)


def by_password(page, name, password):
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Password", exact=True).fill(password)
    form(page).click()


# By what admins change something, in each view that has such.
CHANGES = {
    "/add": ["Show the commands"],
    "/settings": ["Add a user", "Make a token", "Revoke", "Sign-in link"],
    "/alerts": ["Add a target", "Silence something", "Change"],
    "/network": ["Enable"],
    "/hosts/alpha": ["Rename", "Report interval", "Remove"],
}


def controls(one, path):
    """Opens a view, and finds the first control of it that changes something."""
    one.open(path)
    settle(one.page)
    # What is beyond the heading has been read.
    one.page.wait_for_load_state("load")
    found = [one.page.get_by_role("button", name=name, exact=True) for name in CHANGES[path]]
    return functools.reduce(lambda some, more: some.or_(more), found)


muster("user", "add", "ada", "--role", "admin", "--password-stdin", text=f"{PASSWORD}\n")
muster("user", "add", "vic", "--role", "viewer", "--password-stdin", text=f"{PASSWORD} too\n")

with chromium() as browser:
    with watched(browser) as one:
        one.expected += ["status of 401", "status of 403"]
        page = one.page
        one.open("/hosts/alpha")
        expect(form(page)).to_be_visible()
        by_password(page, "ada", "wrong")
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.get_by_label("Name", exact=True)).to_have_value("ada")
        by_password(page, "ada", PASSWORD)
        expect(page.get_by_role("heading", name="alpha").first).to_be_visible()
        assert page.url == f"{URL}/hosts/alpha", f"one comes back to where one wanted to be, not to {page.url}"
        say("a wrong password is refused, the right one leads to where one wanted to be")

        page.reload()
        expect(page.get_by_role("heading", name="alpha").first).to_be_visible()
        cookie, = [cookie for cookie in one.context.cookies() if cookie["name"].startswith("__Host-")]
        assert cookie["httpOnly"] and cookie["secure"] and cookie["sameSite"] == "Strict", cookie
        assert page.evaluate("document.cookie") == "", "scripts see the cookie"
        say("the session outlives a reload, in a cookie that no script sees")

        # Without the header that other sites' forms cannot send, the cookie changes nothing.
        body = {"ttl": 600}
        assert page.evaluate(POST, ["/api/v1/join-tokens", body, {}]) == 403
        assert page.evaluate(POST, ["/api/v1/join-tokens", body, {"X-Muster": "page"}]) < 300
        one.open("/settings")
        page.get_by_role("button", name="Sign out").first.click()
        expect(form(page)).to_be_visible()
        assert page.evaluate("fetch('/api/v1/hosts').then((answer) => answer.status)") == 401
        say("a change needs more than the cookie, and after signing out it is worth nothing")

    with watched(browser) as one:
        one.expected += ["status of 401", "status of 403"]
        page, link = one.page, sign_in_link("viewer")
        page.goto(link)
        expect(fleet(page)).to_be_visible()
        assert "#" not in page.url and "ml_" not in page.url, f"the token stays in the address: {page.url}"
        expect(page.get_by_role("link", name="Add a host")).to_have_count(0)
        assert page.evaluate(POST, ["/api/v1/join-tokens", {"ttl": 600}, {"X-Muster": "page"}]) == 403
        for path in CHANGES:
            changing = controls(one, path)
            expect(changing).to_have_count(0)
        say("a link signs a viewer in, who is offered no change and may make none")

        admin = sign_in_link("admin")
        page.goto(admin)
        page.get_by_role("button", name="Stay ").click()
        expect(fleet(page)).to_be_visible()
        expect(page.get_by_role("link", name="Add a host")).to_have_count(0)
        page.goto(admin)
        page.get_by_role("button", name="Sign in as somebody else").click()
        expect(fleet(page)).to_be_visible()
        for path in CHANGES:
            expect(controls(one, path).first).to_be_visible()
        say("whoever is signed in is asked before another link counts; an admin is offered what a viewer is not")

        with watched(browser) as other:
            other.page.goto(link)
            expect(other.page.get_by_role("alert")).to_be_visible()
            expect(form(other.page)).to_be_visible()
        say("the same link does not sign in again")

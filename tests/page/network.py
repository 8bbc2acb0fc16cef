"""The managed network: members and paths, a key that is accepted, what admins change and viewers do not."""

from stage import ask, chromium, expect, muster, say, settle, watched

# What a viewer is not offered.
CHANGES = ("Change", "Disable", "Enable", "Remove", "Accept key", "Ping")


def region(page, name):
    return page.get_by_role("region", name=name, exact=True)


def member(page, name):
    return region(page, "Hosts").get_by_role("row").filter(has=page.get_by_role("rowheader", name=name, exact=True))


def dialog(page, where, button, verb, title):
    where.get_by_role("button", name=button, exact=True).first.click()
    shown = page.get_by_role("dialog", name=title)
    expect(shown).to_be_visible()
    return shown, lambda: (shown.get_by_role("button", name=verb, exact=True).click(), expect(shown).to_have_count(0))


with chromium() as browser:
    with watched(browser) as one:
        page = one.sign_in("admin")
        one.open("/network")
        settle(page)
        expect(page.get_by_text("enabled", exact=True)).to_be_visible()
        for name in ("alpha", "bravo"):
            expect(member(page, name)).to_contain_text("joined")
            expect(member(page, name)).to_contain_text("10.")
        expect(member(page, "alpha")).to_contain_text("+1 refused")
        expect(region(page, "Could not be joined").get_by_role("row").filter(has_text="odd")).to_contain_text("host")
        paths = region(page, "Paths")
        path = paths.get_by_role("row").filter(has=page.get_by_role("rowheader", name="bravo", exact=True))
        expect(path).to_contain_text("direct")
        path.get_by_role("button", name="Ping").click()
        expect(path.get_by_role("status")).to_contain_text(" ms")
        say("members, blocks, refusals and paths are shown, and a path is tried")

        page.set_viewport_size({"width": 360, "height": 740})
        labels = member(page, "alpha").locator("td[data-label]").evaluate_all("(all) => all.map((one) => one.dataset.label)")
        assert labels == ["State", "Blocks", "Containers", "Reaches", "Seen at"], labels
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, "wider than the phone"
        page.set_viewport_size({"width": 1280, "height": 800})
        say("on a phone each value has the name of its column")

        ask(key="bravo")
        expect(member(page, "bravo")).to_contain_text("key changed")
        shown, accept = dialog(page, member(page, "bravo"), "Accept key", "Accept", "Accept the new key of bravo?")
        assert len(shown.locator("code").all_inner_texts()[1]) > 40, "the new key is shown"
        accept()
        expect(member(page, "bravo")).to_contain_text("joined")
        expect(member(page, "bravo").get_by_role("button", name="Accept key")).to_have_count(0)
        say("a new key is shown, and counts when it is accepted")

    with watched(browser) as one:
        page = one.sign_in("viewer")
        one.open("/network")
        settle(page)
        expect(member(page, "alpha")).to_contain_text("joined")
        expect(region(page, "Paths").get_by_role("row").nth(1)).to_be_visible()
        for name in CHANGES:
            expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
        say("a viewer sees the same, and is offered no change")

    with watched(browser) as one:
        page = one.sign_in("admin")
        one.open("/network")
        settle(page)
        _, remove = dialog(page, page.get_by_role("main"), "Disable", "Disable", "Disable the managed network?")
        remove()
        expect(page.get_by_text("disabled", exact=True)).to_be_visible()
        assert '"enabled":true' not in muster("network", "--format", "json")
        _, enable = dialog(page, page.get_by_role("main"), "Enable", "Enable", "Enable the managed network")
        enable()
        expect(member(page, "alpha")).to_contain_text("joined")
        say("the network is disabled and enabled again")

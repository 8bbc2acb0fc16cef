"""A server that goes away is shown as that, and all is well again without a reload when it is back."""

from stage import ask, chromium, docker, expect, say, timed, watched

docker("run", "-d", "--name", "web", "probe:latest", "live")

with chromium() as browser, watched(browser) as one:
    one.expected += ["ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "ERR_INCOMPLETE", "ERR_NETWORK", "ERR_SOCKET", "ERR_SSL"]
    page = one.sign_in("viewer")
    page.get_by_role("navigation").get_by_role("link", name="Containers").click()
    web = page.get_by_role("row").filter(has=page.get_by_role("rowheader").filter(has_text="web"))
    expect(web).to_contain_text("Up ")
    page.evaluate("window.mark = 'not reloaded'")
    banner = page.get_by_role("alert").filter(has_text="Connection lost")
    expect(banner).to_have_count(0)

    with timed("a server that was killed is shown as lost"):
        ask(server="kill")
        expect(banner).to_be_visible()
    # What is known stays there to be read.
    expect(web).to_contain_text("Up ")
    docker("stop", "web")

    ask(server="start")
    with timed("and as there again"):
        expect(banner).to_have_count(0)
    expect(web).to_contain_text("Exited")
    docker("start", "web")
    expect(web).to_contain_text("Up ")
    assert page.evaluate("window.mark") == "not reloaded"
    say("what happened meanwhile is seen, and what happens now")

    # As after an upgrade: the files of this page are gone, and the server has others.
    one.expected.append("status of 404")
    old = [True]

    def upgraded(route):
        if route.request.resource_type == "document":
            old[0] = False
        if old[0] and "/page/~" in route.request.url:
            route.fulfill(status=404, body="another version")
        else:
            route.continue_()

    page.route("**/*", upgraded)
    page.get_by_role("link", name="Settings").click()
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    assert not old[0] and page.evaluate("window.mark") is None, "it goes on with files of two versions"
    say("a view of another version is loaded with a page of its own")

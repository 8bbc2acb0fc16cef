"""A host is added from the page: the command, and the host that appears where one waits for it."""

import os
import re

from stage import ask, chromium, expect, muster, say, timed, watched

with chromium() as browser, watched(browser) as one:
    # The page asks whether there are agents to install.
    one.expected.append("/install)")
    page = one.sign_in("admin")
    page.get_by_role("link", name="Add a host").first.click()
    expect(page.get_by_role("heading", name="Add a host").first).to_be_visible()
    page.get_by_label("Key of label 1").fill("room")
    page.get_by_label("Value of label 1").fill("hall")
    page.get_by_label("Its name").fill("bravo")
    page.get_by_role("button", name="Show the commands").click()
    run = page.get_by_role("region", name="Run this")
    # What a package has left on this machine is offered too.
    if not os.path.isdir("/usr/share/muster/agents"):
        expect(run).to_contain_text("has no agents to install: the host needs one already")
        say("a server without agents says so, and offers what works without")
    run.get_by_role("button", name="On a host").click()
    expect(run).to_contain_text("| sh")
    run.get_by_role("button", name="As a container").click()
    expect(run).to_contain_text("docker run -d --name muster-agent")
    run.get_by_role("button", name="Into an image").click()
    expect(run).to_contain_text("/mnt/card")
    run.get_by_role("button", name="Agent is there").click()
    expect(run).to_contain_text("muster-agent join 'muster://")
    join = re.search(r"muster://[^'\s]+", run.inner_text()).group()
    say("the commands are shown: for a shell, a container and an image")

    came = page.get_by_role("region", name="Waiting for hosts").or_(page.get_by_role("region", name="Done"))
    expect(came).to_contain_text("appears here")
    with timed("joined, reported for the first time, and seen in the dialog"):
        ask(join=join)
        expect(came).to_contain_text("bravo has joined")
        expect(came).to_contain_text("1 container")
    expect(page.get_by_role("heading", name="Done")).to_be_visible()
    came.get_by_role("link", name="bravo").click()
    expect(page.get_by_role("heading", name="bravo").first).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text("room=hall")
    assert "bravo" in muster("hosts"), "the command line knows it too"

#!/usr/bin/env python3
"""Builds the tests of some packages and runs them side by side, each in a process of its own.

`cargo test` runs one file of tests after the other. Most of our end-to-end tests wait for engines, servers and time
limits, so that several fit on a machine at once, whichever file they are in. Long ones begin first.
"""

import argparse
import ctypes
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

# Everything at once, so that nothing is built twice with other features: tests, and the programs that they start.
ALL = ["--workspace", "--features", "muster-agent/network", "--locked"]

# How long a test may take: on a quiet machine none takes half of it.
LIMIT = 240
# Where all are run, tests may be long by their nature, fetch packages, or look at more histories.
LIMIT_OF_ALL = 900

# A file of more tests than this has small ones: it is run as one, with threads of its own.
SMALL_ABOVE = 30

# Files whose tests share what one process fetches: they are run as one.
TOGETHER = {"tests/podman"}

# Seconds that long tests take on two quiet cores. Whatever is not named here begins after them; a test that is renamed
# only loses its place in the row.
LONG = {
    "agent/ground::with_nft_and_an_engine": 22,
    "server/lib": 20,
    "agent/names::glibc_finds_all_names": 19,
    "agent/names::musl_finds_all_names": 19,
    "agent/ground::with_legacy_alone": 17,
    "agent/tunnel::hosts_that_do_not_reach_each_other_go_through_a_relay_until_they_do": 15,
    "protocol/simulation::the_rules_hold_in_every_history": 12,
    "protocol/lib": 10,
    "tests/vitals::what_fifty_idle_containers_cost_a_host_and_its_link": 400,
    "tests/network_idle::an_idle_host_behind_nat_sends_and_receives_little": 373,
    "tests/docker_api::bollard_looks_at_all_hosts": 303,
    "tests/install::under_systemd_the_hardened_unit_reaches_all_that_it_has_to": 201,
    "tests/install::under_openrc_it_is_a_service_that_can_be_upgraded_and_removed": 168,
    "tests/install::a_clean_debian_on_another_network_needs_nothing_but_the_line": 144,
    "tests/network_services::under_systemd_the_hardened_unit_may_do_all_that_it_has_to": 129,
    "tests/network_services::under_openrc_it_is_a_service": 104,
    "tests/limits::containers_beyond_the_limit_are_counted": 91,
    "tests/liveness::a_host_that_stays_away_is_lost_after_a_minute": 88,
    "tests/network_changes::a_host_that_comes_home_uses_the_lan": 87,
    "tests/clones::a_card_that_was_moved_keeps_its_identity_and_that_is_noted": 68,
    "tests/network_changes::an_endpoint_that_moves_is_followed": 67,
    "tests/alerts::what_nobody_asked_for_is_told_once_and_what_was_asked_for_is_not": 65,
    "tests/docker_api::command_lines_of_other_releases_look_at_all_hosts": 64,
    "tests/engine_ages::docker_26_1": 63,
    "tests/network_ages::docker_26_1": 61,
    "tests/vitals_shown::the_past_of_a_host_survives_a_crash_of_the_server": 60,
    "tests/network_ages::docker_28_5": 58,
    "tests/engine_ages::docker_28_5": 56,
    "tests/podman": 55,
    "tests/network_paths::all_reach_all_and_nobody_else_does": 54,
    "tests/filtering::a_real_proxy_with_the_documented_settings": 50,
    "tests/network_restarts::the_processes_of_a_host_restart_and_are_upgraded": 49,
    "tests/network_trust::a_block_that_was_another_hosts_is_refused_until_it_is_accepted": 49,
    "tests/operators::an_interval_reaches_a_host_that_runs_and_liveness_does_not_flap": 47,
    "tests/network_ages::docker_20_10_with_the_older_firewall": 43,
    "tests/page::everybody_can_use_every_view": 43,
    "tests/upgrade::an_agent_that_cannot_report_goes_by_itself": 43,
    "tests/vitals::what_fifty_containers_cost": 40,
    "tests/page::what_happens_on_a_host_is_seen_without_a_reload": 38,
    "tests/network_names::names_with_glibc": 37,
    "tests/docker_api::the_docker_command_line_looks_at_all_hosts": 36,
    "tests/docker_api::the_python_sdk_looks_at_all_hosts": 36,
    "tests/network_names::names_with_musl": 35,
    "tests/network_paths::a_host_relays_too": 34,
    "tests/hostile_input::a_host_goes_on_reporting_while_clients_misbehave": 33,
    "tests/clock_steps::back_to_1970_and_forward": 32,
    "tests/network_restarts::the_server_is_down_and_comes_back": 32,
    "tests/page::pictures_of_a_fleet_can_be_made": 32,
    "tests/limits::a_host_with_more_containers_than_fit_into_one_message": 31,
    "tests/clock_steps::an_agent_that_believes_1970_until_its_clock_is_set": 30,
    "tests/floods::more_than_the_agent_can_keep_while_the_server_is_away": 29,
    "tests/killed_in_a_burst::what_was_acknowledged_stays_and_nothing_comes_twice": 28,
    "tests/liveness::an_own_absence_of_the_server_loses_nobody": 28,
    "tests/network_changes::a_firewall_that_is_reloaded_is_repaired": 28,
    "tests/partition::longer_than_the_agent_can_keep": 26,
    "tests/vitals::a_server_that_forgot_and_lines_that_die_leave_nothing_unknown_or_old": 24,
    "tests/line::a_session_serves_many_plain_reports_and_is_renewed_by_a_server_that_has_forgotten_it": 22,
    "tests/line::where_lasting_connections_are_ended_plain_requests_take_over": 22,
    "tests/network_changes::a_removed_host_loses_its_place": 21,
    "tests/partition::no_answer_reaches_the_agent_and_nobody_is_told": 21,
    "tests/spool::what_was_on_the_disk_is_told_once_and_goes_on_behind_a_gap": 21,
    "tests/engine_faults::an_engine_that_hangs": 20,
    "tests/upgrade::a_power_cut_or_a_death_in_the_middle_leaves_the_agent_from_before": 20,
    "tests/network_trust::another_key_is_shown_and_not_followed": 19,
    "tests/upgrade::a_newer_agent_that_reports_stays_and_the_host_is_who_it_was": 19,
    "tests/engine_ages::the_installed_engine": 18,
    "tests/harness_internet::hosts_drop_what_their_engine_does_not_know": 18,
    "tests/network_process::a_peers_new_key_is_refused_until_it_is_accepted": 18,
    "tests/agent_faults::killed_while_events_flow": 17,
    "tests/floods::more_than_the_engine_remembers_while_the_agent_is_down": 17,
    "tests/line::a_front_end_that_fails_what_it_does_not_know_gets_plain_requests": 17,
    "tests/network_joins::addresses_are_reused_last_and_a_full_block_gets_a_second": 17,
    "tests/network_joins::an_engine_that_restarts_brings_its_containers_back_at_their_addresses": 17,
    "tests/upgrade::only_what_the_release_key_signed_and_is_newer_is_taken": 17,
    "tests/events_equal::the_same_actions_ids_times_attributes_and_order": 16,
    "tests/floods::a_burst_that_fits_the_queue_arrives_whole": 16,
    "tests/server_faults::a_burst_survives_kills_of_the_server": 16,
    "tests/vitals_shown::a_history_that_cannot_be_kept_hurts_nothing_and_goes_on_when_it_can": 15,
}

# Tests that cannot stand company, with the reason: they run by themselves when all others are done.
ALONE = {}

# How many of the longest are named at the end.
SLOWEST = 12


class Test:
    """What one process runs: one test, or all of a file."""

    def __init__(self, binary, name, limit):
        self.binary, self.name = binary, name
        self.title = binary["title"] + ("::" + name if name else "")
        self.limit = limit
        self.weight = LONG.get(self.title, 0)
        self.began = self.process = self.output = self.why = None
        self.seconds = self.cpu = 0.0


def say(line):
    print(line, flush=True)


def fail(line):
    print(f"run.py: {line}", file=sys.stderr, flush=True)
    sys.exit(1)


def build(cargo):
    """Builds all test programs (and the programs that they start), and says where they are."""
    command = ["cargo", "build", "--tests", "--bins", "--message-format=json-render-diagnostics", *cargo]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if ran.returncode != 0:
        sys.exit(ran.returncode)
    found = []
    for line in ran.stdout.splitlines():
        built = json.loads(line)
        if built.get("reason") != "compiler-artifact" or not built["profile"]["test"] or not built["executable"]:
            continue
        folder, target = os.path.dirname(built["manifest_path"]), built["target"]
        # tests/doctor and agent/doctor are two; agent/lib is what is in the library's own files.
        name = target["name"] if target["kind"] == ["test"] or "bin" in target["kind"] else "lib"
        title = f"{os.path.basename(folder)}/{name}"
        found.append({"title": title, "program": built["executable"], "folder": folder})
    return sorted(found, key=lambda binary: binary["title"])


def environment(binary):
    """What cargo sets for a test while it runs."""
    return {**os.environ, "CARGO_MANIFEST_DIR": binary["folder"]}


def listed(binary, *more):
    command = [binary["program"], "--list", "--format", "terse", *more]
    ran = subprocess.run(command, cwd=binary["folder"], env=environment(binary), stdout=subprocess.PIPE, text=True)
    if ran.returncode != 0:
        fail(f"{binary['program']} does not list its tests")
    return [line.removesuffix(": test") for line in ran.stdout.splitlines() if line.endswith(": test")]


def choose(binaries, names, skipped, include_ignored):
    """The tests to run, and how many tests they are."""
    chosen, count = [], 0
    limit = LIMIT_OF_ALL if include_ignored else LIMIT
    for binary in binaries:
        ignored = set(listed(binary, "--ignored"))
        wanted = []
        for name in listed(binary):
            title = f"{binary['title']}::{name}"
            if name in ignored and not include_ignored or any(pattern in title for pattern in skipped):
                continue
            if not names or any(pattern in title for pattern in names):
                wanted.append(name)
        count += len(wanted)
        binary["tests"] = wanted
        if len(wanted) > SMALL_ABOVE or len(wanted) > 1 and binary["title"] in TOGETHER:
            chosen.append(Test(binary, None, limit))
        else:
            chosen.extend(Test(binary, name, limit) for name in wanted)
    return chosen, count


def before_it_runs():
    """A test ends when this process is killed, so that nothing is left running."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def start(test, folder):
    test.output = os.path.join(folder, re.sub(r"\W+", "_", test.title))
    names = [test.name] if test.name else test.binary["tests"]
    options = ["--exact", "--include-ignored", "--test-threads", "1" if test.name else "2"]
    if test.name:
        # What was said before a test hung is not lost.
        options.append("--nocapture")
    with open(test.output, "wb") as output:
        test.process = subprocess.Popen(
            [test.binary["program"], *options, *names], cwd=test.binary["folder"], env=environment(test.binary),
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True, preexec_fn=before_it_runs)
    test.began = time.monotonic()


def collect(test):
    """Whether the test has ended; what became of it is in it then."""
    process, status, used = os.wait4(test.process.pid, os.WNOHANG)
    test.seconds = time.monotonic() - test.began
    if process == 0:
        if test.seconds < test.limit:
            return False
        end(test)
        test.why = f"did not end within {test.limit} s"
        return True
    test.process.returncode = code = os.waitstatus_to_exitcode(status)
    test.cpu = used.ru_utime + used.ru_stime
    if code != 0:
        test.why = f"was ended by signal {-code}" if code < 0 else f"failed (exit code {code})"
        end_what_is_left(test.process.pid)
    elif f"\ntest result: ok. {1 if test.name else len(test.binary['tests'])} passed;" not in read(test.output):
        # A name that the program does not know makes it succeed with nothing done.
        test.why = "did not run"
    return True


def end(test):
    """Ends a test that runs, with all that it has started."""
    try:
        os.killpg(test.process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.wait4(test.process.pid, 0)
    test.process.returncode = -signal.SIGKILL
    end_what_is_left(test.process.pid)


def end_what_is_left(process):
    """Ends what a test that could not clean up has left: it is known by the directories that it made.

    Their names are in tests/harness/place.rs: in command lines, and as cgroups.
    """
    mark = f"mt{process}-"
    base = os.environ.get("MUSTER_TEST_DIR", "/tmp")
    places = [name for name in os.listdir(base) if name.startswith(mark)]
    tops = ["/sys/fs/cgroup"] + [entry.path for entry in os.scandir("/sys/fs/cgroup") if entry.is_dir()]
    groups = [path for top in tops for name in places if os.path.isdir(path := os.path.join(top, name))]
    folders = [folder for group in groups for folder, _, _ in os.walk(group, topdown=False)]
    for folder in folders:
        for line in read(f"{folder}/cgroup.procs").split():
            kill(int(line))
        # What is frozen dies when it thaws.
        for name, thawed in (("freezer.state", "THAWED"), ("cgroup.freeze", "0")):
            if os.path.exists(f"{folder}/{name}"):
                try:
                    with open(f"{folder}/{name}", "w", encoding="ascii") as state:
                        state.write(thawed)
                except OSError:
                    pass
    for entry in os.listdir("/proc"):
        if entry.isdigit() and f"{base}/{mark}" in read(f"/proc/{entry}/cmdline"):
            kill(int(entry))
    for _ in range(50):
        folders = [folder for folder in folders if not removed(folder)]
        if not folders:
            break
        time.sleep(0.02)
    for name in places:
        shutil.rmtree(os.path.join(base, name), ignore_errors=True)


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def kill(process):
    try:
        os.kill(process, signal.SIGKILL)
    except OSError:
        pass


def removed(folder):
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


def show(test, done, total):
    verdict = "FAILED" if test.why else "ok"
    said = f" ({len(test.binary['tests'])} tests)" if not test.name else ""
    say(f"[{done:3}/{total}] {verdict:6} {test.seconds:6.1f} s {test.cpu:6.1f} s  {test.title}{said}")
    if test.why:
        say(f"--- {test.title} {test.why}; it said:")
        sys.stdout.flush()
        with open(test.output, "rb") as output:
            shutil.copyfileobj(output, sys.stdout.buffer)
        say(f"--- end of {test.title}")


def run(tests, jobs, folder):
    """Runs them all; whoever is told to run alone does."""
    waiting = sorted((test for test in tests if test.title not in ALONE), key=lambda test: -test.weight)
    alone = [test for test in tests if test.title in ALONE]
    running, done = [], 0
    try:
        while waiting or alone or running:
            while waiting and len(running) < jobs:
                running.append(waiting[0])
                start(waiting.pop(0), folder)
            if not running and alone:
                running.append(alone[0])
                start(alone.pop(0), folder)
            for test in [test for test in running if collect(test)]:
                running.remove(test)
                done += 1
                show(test, done, len(tests))
            time.sleep(0.05)
    finally:
        # Not only when all went well: nothing must be left running.
        for test in running:
            if test.process and test.process.returncode is None:
                end(test)


def interrupted(number, _frame):
    raise SystemExit(128 + number)


def main():
    parser = argparse.ArgumentParser(
        usage="tests/run.py [OPTIONS] [NAME...] [-- CARGO-OPTIONS...]", description=__doc__.splitlines()[0],
        epilog=f"After -- is what `cargo build` is asked for; without it: {' '.join(ALL)}.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only tests with this in PACKAGE/FILE::TEST")
    parser.add_argument("--skip", action="append", default=[], metavar="NAME", help="no tests with this in it")
    parser.add_argument("--include-ignored", action="store_true", help="also those that take long")
    parser.add_argument("--jobs", type=int, default=5, metavar="N", help="how many at a time (default: %(default)s)")
    arguments = sys.argv[1:]
    cargo = ALL
    if "--" in arguments:
        cargo = arguments[arguments.index("--") + 1:]
        arguments = arguments[:arguments.index("--")]
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error("--jobs: at least one")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)

    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    binaries = build(cargo)
    if not binaries:
        fail("there are no tests in what was built")
    tests, count = choose(binaries, options.names, options.skip, options.include_ignored)
    if not tests:
        fail("no test has such a name")
    say(f"{count} tests of {len(binaries)} files, {options.jobs} at a time (time taken, processor time, test)")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="run.", dir=os.environ.get("MUSTER_TEST_DIR")) as folder:
        run(tests, options.jobs, folder)
    took = time.monotonic() - began

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    say(f"\nThe longest of {took:.0f} s, which took {used.ru_utime + used.ru_stime:.0f} s of processors with the build:")
    for test in sorted(tests, key=lambda test: -test.seconds)[:SLOWEST]:
        say(f"  {test.seconds:6.1f} s  {test.title}")
    failed = [test for test in tests if test.why]
    for test in failed:
        say(f"FAILED: {test.title} {test.why}")
    say(f"{count} tests: {len(failed)} failed" if failed else f"{count} tests passed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

"""Checks that the licence of every dependency lets us ship under MIT OR Apache-2.0.

usage: licences.py [--allow LICENCE]... [CARGO.TOML]...
Cargo itself fetches what is not here yet; nothing else needs the network.
Every crate's SPDX expression must be satisfiable from ALLOWED; the first line names how many crates were read.
"""

import argparse
import json
import re
import subprocess
import sys

# Permissive licences that ask for no more than their own text beside a binary.
ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
}


def satisfied(expression, allowed):
    """Whether the licences in `allowed` satisfy an SPDX expression; ValueError if it is none."""
    # Old crates write a slash where SPDX has OR.
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))
    position = 0

    def peek():
        return tokens[position] if position < len(tokens) else None

    def take():
        nonlocal position
        if position >= len(tokens):
            raise ValueError(f"ends too early: {expression!r}")
        position += 1
        return tokens[position - 1]

    def alternatives():
        result = together()
        while peek() == "OR":
            take()
            result = together() or result
        return result

    def together():
        result = one()
        while peek() == "AND":
            take()
            result = one() and result
        return result

    def one():
        token = take()
        if token == "(":
            result = alternatives()
            if take() != ")":
                raise ValueError(f"a bracket is not closed: {expression!r}")
            return result
        if token in (")", "OR", "AND", "WITH"):
            raise ValueError(f"{token} at a wrong place: {expression!r}")
        if peek() == "WITH":
            take()
            token = f"{token} WITH {take()}"
        return token in allowed

    result = alternatives()
    if position != len(tokens):
        raise ValueError(f"cannot be read: {expression!r}")
    return result


def self_check():
    """A check that cannot fail proves nothing: these must come out as they should."""
    cases = {
        "MIT": True,
        "GPL-3.0-only": False,
        "GPL-3.0-only OR MIT": True,
        "MIT AND GPL-3.0-only": False,
        "(MIT OR GPL-2.0-only) AND ISC": True,
        "MIT/Apache-2.0": True,
        "Apache-2.0 WITH LLVM-exception OR GPL-2.0-only": True,
        "GPL-2.0-only WITH LLVM-exception": False,
    }
    for expression, expected in cases.items():
        if satisfied(expression, ALLOWED) is not expected:
            sys.exit(f"licences.py is wrong about {expression!r}")


def packages(manifest):
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--manifest-path", manifest]
    result = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if result.returncode != 0:
        sys.exit(f"cargo metadata failed for {manifest}")
    return json.loads(result.stdout)["packages"]


def main():
    parser = argparse.ArgumentParser(description="Checks the licences of all dependencies.")
    parser.add_argument("--allow", action="append", default=[], help="one more licence, for what is not shipped")
    parser.add_argument("manifests", nargs="*", default=["Cargo.toml"])
    arguments = parser.parse_args()
    self_check()
    allowed = ALLOWED | set(arguments.allow)
    seen, wrong = set(), []
    for manifest in arguments.manifests:
        for package in packages(manifest):
            name = f"{package['name']} {package['version']}"
            if name in seen:
                continue
            seen.add(name)
            expression = package["license"]
            try:
                if not expression:
                    wrong.append(f"{name}: states no licence")
                elif not satisfied(expression, allowed):
                    wrong.append(f"{name}: {expression}")
            except ValueError as error:
                wrong.append(f"{name}: {error}")
    print(f"{len(seen)} crates read, {len(wrong)} with a licence that is not allowed")
    if wrong:
        sys.exit("\n".join(sorted(wrong)))


main()

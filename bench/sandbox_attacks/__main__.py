"""Run the suite as root and as an unprivileged user, in mount and pid namespaces of its own where permitted.

python -m bench.sandbox_attacks                    everything; exit status 1 when a target is missed
python -m bench.sandbox_attacks --only "sleeps"    one row
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from typing import Any

from bench.sandbox_attacks import places
from bench.sandbox_attacks.attacks import CONTROLLED, NOT_IN_A_PLAIN_PROCESS
from bench.sandbox_attacks.suite import PARTS, user_name
from r1kit.verify.sandbox.pool import Pool
from r1kit.verify.sandbox.protection import Tier, find_protection, try_tier

SECRET = f"secret-{secrets.token_hex(16)}"
MOST_FAILING_IDIOMS = 1
LEAST_CONTROLS = 0.6  # share of the attacks tried on a plain process that must succeed there


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.sandbox_attacks", description=__doc__)
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="rows with these words alone"
    )
    parser.add_argument("--tier", choices=["full", "seccomp"], help="this tier instead of the best one")
    parser.add_argument("--rows", metavar="SECRET", help="run here and print each row as JSON")
    arguments = parser.parse_args()
    if arguments.rows:
        return print_rows(arguments.only, arguments.tier, arguments.rows)
    wanted = [f"--rows={SECRET}", *(f"--only={name}" for name in arguments.only)]
    wanted += [f"--tier={arguments.tier}"] if arguments.tier else []
    planned = passes(wanted)
    if all("unshare" in command[0] for _, command in planned):  # they cannot disturb each other
        return max([show(title, rows_of(run)) for title, run in [(t, begin(c)) for t, c in planned]])
    return max([show(title, rows_of(begin(command))) for title, command in planned])


def passes(arguments: list[str]) -> list[tuple[str, list[str]]]:
    """Title and command of each pass."""
    here = [sys.executable, "-m", "bench.sandbox_attacks", *arguments]
    made = places.namespaces()
    if isinstance(made, str):
        found = [(f"as {user_name()}, without namespaces of its own ({made})", here)]
        if os.geteuid() == 0 and places.can_start(places.DROPPED):
            found.append(("as an unprivileged user, without namespaces of its own", [*places.DROPPED, *here]))
        elif os.geteuid() == 0:
            print("not run as an unprivileged user, who cannot start this interpreter")
        return found
    where = "in mount and pid namespaces of its own"
    if os.geteuid() != 0:
        return [(f"as root of a user namespace, {where}", places.inside(made, False, arguments))]
    return [
        (f"as root, {where}", places.inside(made, False, arguments)),
        (f"as an unprivileged user, {where}", places.inside(made, True, arguments)),
    ]


def print_rows(only: list[str], tier: str | None, secret: str) -> int:
    """Run the suite in this process: a line of JSON for the sandbox, then one for each row."""
    with tempfile.TemporaryDirectory(prefix="suite-") as folder:
        os.chmod(folder, 0o711)
        tempfile.tempdir = folder  # by which programs of this suite are told from others of the machine
        protection = try_tier(Tier(tier), 1) if tier else find_protection(1)
        run = protection.require(allow_unsafe=False)
        print(json.dumps({"protection": protection.record(), "user": user_name()}), flush=True)
        for part, (names, rows) in PARTS.items():
            chosen = [name for name in names if not only or any(words in name for words in only)]
            for row in rows(run, chosen, secret):
                print(json.dumps({"part": part, **row.record()}), flush=True)
        if isinstance(run, Pool):
            run.close()
    return 0


def begin(command: list[str]) -> subprocess.Popen[str]:
    """Start a pass. Its rows fit into the pipe, so that it need not be read at once."""
    inside = "unshare" in command[0]
    environment = {
        **os.environ,
        "PYTHONPATH": "/tmp/.code" if inside else os.getcwd(),
        "R1KIT_SUITE_TOKEN": SECRET,
    }
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def rows_of(process: subprocess.Popen[str]) -> Iterable[dict[str, Any]]:
    """The lines of a pass, and at its end how it ended."""
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            yield json.loads(line)
    yield {"status": process.returncode}


def show(title: str, lines: Iterable[dict[str, Any]]) -> int:
    """Print the rows of a pass as they come, and the targets; 1 when one is missed."""
    print(f"\n== Attacks on the sandbox, {title}")
    found: list[dict[str, Any]] = []
    ending: dict[str, Any] = {"status": 1}
    for line in lines:
        if "protection" in line:
            known = line["protection"]
            print(f"tier {known['tier']}, Landlock {known['landlock']}, as {line['user']}; ", end="")
            print(f"programs have {'another' if known['user_dropped'] else 'the same'} user")
        elif "status" in line:
            ending = line
        else:
            found.append(line)
            mark = "ok  " if line["good"] else "FAIL"
            plain = "" if line["plain"] == "-" else f"   | without: {line['plain']}"
            print(f"{mark} {line['kind']:<9} {line['name']:<52} {line['sandbox'][:70]}{plain}", flush=True)
    return summary(found, ending)


def summary(found: list[dict[str, Any]], ending: dict[str, Any]) -> int:
    """Print how many rows are as they must be; 1 when a target is missed."""
    good = Counter(line["part"] for line in found if line["good"])
    every = Counter(line["part"] for line in found)
    tried = [r for r in found if r["name"] in CONTROLLED and r["name"] not in NOT_IN_A_PLAIN_PROCESS]
    real = [row for row in tried if row["plain"] != "no effect"]
    print(f"breaches             {every['attacks'] - good['attacks']} of {every['attacks']}")
    print(f"rewarded hacks       {every['hacks'] - good['hacks']} of {every['hacks']}")
    print(f"ordinary programs    {good['ordinary']} of {every['ordinary']} pass")
    print(f"succeed without it   {len(real)} of {len(tried)} attacks that were tried in a plain process")
    print(f"exit status          {ending['status']}")
    missed = every["attacks"] > good["attacks"] or every["hacks"] > good["hacks"]
    missed |= every["ordinary"] - good["ordinary"] > MOST_FAILING_IDIOMS
    missed |= not found or ending["status"] != 0
    return int(missed or len(real) < LEAST_CONTROLS * len(tried))


if __name__ == "__main__":
    sys.exit(main())

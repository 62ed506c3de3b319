"""The micro world's web: an endless, seeded mixture of pages from every family."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping

from r1kit.errors import UnknownNameError
from r1kit.seeds import derive
from r1kit.types import Document
from r1kit.world.families import (
    countdown,
    countdown_search,
    dialogue,
    echo,
    facts,
    knights_knaves,
    programs,
    prose,
    worded,
)
from r1kit.world.forms import ChatForm

FAMILIES: dict[str, Callable[[random.Random], tuple[str, str]]] = {
    "countdown": countdown.document,
    "countdown_search": countdown_search.document,
    "countdown_guess": countdown.guess_document,
    "facts": facts.document,
    "knights_knaves": knights_knaves.document,
    "worded": worded.document,
    "programs": programs.document,
    "dialogue": dialogue.document,
    "prose": prose.document,
    "echo": echo.document,
}


def pages(mixture: Mapping[str, float], seed: int, form: ChatForm) -> Iterator[Document]:
    """Endless documents; the words of page i depend on (seed, i) alone, `form` says what stands around them.

    `mixture` gives each family's share of pages.

    Raises `UnknownNameError` for a family that does not exist.
    """
    for name in mixture:
        if name not in FAMILIES:
            raise UnknownNameError("corpus family", name, FAMILIES)
    names, weights = list(mixture), list(mixture.values())
    index = 0
    while True:
        rng = random.Random(derive("corpus", seed, index))
        family = rng.choices(names, weights)[0]
        yield form.page(*FAMILIES[family](rng))
        index += 1

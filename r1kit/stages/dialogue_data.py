"""Generated dialogue as a data set: general examples for SFT 2, pairs and labels for reward models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from r1kit.datasets.folder import publish_dataset
from r1kit.datasets.records import demonstration_row, judged_row, preference_row
from r1kit.seeds import derive
from r1kit.stages.data_settings import DialogueDataSettings
from r1kit.stages.protocol import StageContext
from r1kit.tasks.dialogue_data import general_demonstrations, judged, preferences
from r1kit.types import Artifact

_Make = Callable[..., Sequence[Any]]
_Row = Callable[[Any], dict[str, Any]]

_PREFERENCES = {"tagged_share", "invented_share", "languages"}
_MAKERS: Mapping[str, tuple[_Make, _Row, set[str]]] = {
    "demonstrations": (
        general_demonstrations,
        demonstration_row,
        _PREFERENCES | {"harmful_share", "poor_share"},
    ),
    "preferences": (preferences, preference_row, _PREFERENCES),
    "judged": (judged, judged_row, {"tagged_share", "languages"}),
}
"""Rows of the settings -> what makes them, how they are written, and the settings that it takes by name."""


class DialogueDataStage:
    """Writes generated dialogue of the training split; leaves a data set."""

    def __init__(self, settings: DialogueDataSettings) -> None:
        self.settings = settings

    def run(self, context: StageContext) -> Artifact:
        """Generate and publish."""
        settings = self.settings
        make, write, taken = _MAKERS[settings.rows]
        seed = derive(context.seed, "dialogue")
        made_rows = make("train", settings.count, seed, **settings.model_dump(include=taken))
        rows = [write(row) for row in made_rows]
        card = f"Generated dialogue of a small world, in English and Chinese: {settings.rows}."
        made = {"kind": "dialogue_data", "settings": settings.model_dump(mode="json"), "seed": context.seed}
        count = publish_dataset(context.output, context.name, rows, card, made)
        return Artifact("dataset", context.output, context.fingerprint, {"examples": count})

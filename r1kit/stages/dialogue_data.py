"""Generated dialogue as a data set: general examples for SFT 2, pairs and labels for reward models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from r1kit.datasets.folder import publish_dataset
from r1kit.datasets.records import demonstration_row, judged_row, preference_row
from r1kit.seeds import derive
from r1kit.stages.data_settings import DialogueDataSettings
from r1kit.stages.protocol import StageContext
from r1kit.tasks.dialogue_data import general_demonstrations, judged, preferences
from r1kit.types import Artifact

Rows = list[dict[str, Any]]


def _demonstrations(settings: DialogueDataSettings, seed: int) -> Rows:
    made = general_demonstrations(
        "train",
        settings.count,
        seed,
        tagged_share=settings.tagged_share,
        harmful_share=settings.harmful_share,
        poor_share=settings.poor_share,
        invented_share=settings.invented_share,
        languages=settings.languages,
    )
    return [demonstration_row(demonstration) for demonstration in made]


def _preferences(settings: DialogueDataSettings, seed: int) -> Rows:
    made = preferences(
        "train",
        settings.count,
        seed,
        tagged_share=settings.tagged_share,
        invented_share=settings.invented_share,
        languages=settings.languages,
    )
    return [preference_row(preference) for preference in made]


def _judged(settings: DialogueDataSettings, seed: int) -> Rows:
    share, languages = settings.tagged_share, settings.languages
    return [
        judged_row(row)
        for row in judged("train", settings.count, seed, tagged_share=share, languages=languages)
    ]


_MAKERS: Mapping[str, Callable[[DialogueDataSettings, int], Rows]] = {
    "demonstrations": _demonstrations,
    "preferences": _preferences,
    "judged": _judged,
}


class DialogueDataStage:
    """Writes generated dialogue of the training split; leaves a data set."""

    def __init__(self, settings: DialogueDataSettings) -> None:
        self.settings = settings

    def run(self, context: StageContext) -> Artifact:
        """Generate and publish."""
        settings = self.settings
        rows = _MAKERS[settings.rows](settings, derive(context.seed, "dialogue"))
        card = f"Generated dialogue of a small world, in English and Chinese: {settings.rows}."
        made = {"kind": "dialogue_data", "settings": settings.model_dump(mode="json"), "seed": context.seed}
        count = publish_dataset(context.output, context.name, rows, card, made)
        return Artifact("dataset", context.output, context.fingerprint, {"examples": count})

"""Rejection sampling: many responses per problem; the correct and readable ones become training data.

Two passes: the samples are streamed to disk and screened one by one, which leaves their positions alone in
memory; then the chosen ones are copied from the log into the data set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from r1kit.datasets.choice import choose_per_problem
from r1kit.datasets.filters import Candidate, Sampled, Screen, active
from r1kit.datasets.folder import publish_dataset
from r1kit.datasets.funnel import Funnel
from r1kit.datasets.records import demonstration_row
from r1kit.errors import DataError
from r1kit.models.load import revision_of
from r1kit.seeds import derive
from r1kit.stages.data_settings import RejectionStageSettings
from r1kit.stages.problems import first_problems, held_out_questions
from r1kit.stages.protocol import StageContext
from r1kit.stages.sampling_log import SAMPLES, Draw, LoggedSample, read_samples, sample_model
from r1kit.text.tags import parse
from r1kit.types import Artifact, Demonstration, Message, Problem

_PLAIN = ("unreadable", "overlap")  # the filters that stay on without rejection


class RejectionStage:
    """Samples a model on training problems and keeps what is correct and readable; leaves a data set."""

    def __init__(self, settings: RejectionStageSettings) -> None:
        self.settings = settings

    def run(self, context: StageContext) -> Artifact:
        """Sample `context.inputs["model"]`, screen, choose, publish."""
        settings, source = self.settings, context.inputs["model"]
        problems = first_problems(
            context.tasks, settings.tasks, settings.problems, derive(context.seed, "problems")
        )
        draw = Draw(
            problems, settings.samples, settings.template, settings.sampling, derive(context.seed, "samples")
        )
        log = context.folder / SAMPLES
        groups = sample_model(draw, source, log, context.name, context)
        screened = self.screen(problems, groups, held_out_questions(context.tasks))
        chosen = choose_per_problem(
            [f"{problems[row].task}/{problems[row].id}" for row, _ in screened.kept],
            settings.per_problem,
            screened.pass_rates if settings.reject else None,
            derive(context.seed, "choice"),
            settings.total,
        )
        screened.funnel.drop("choice", len(screened.kept) - len(chosen))
        if not chosen:
            raise DataError(f"{context.name}: no sample is left: {funnel_text(screened.funnel)}")
        wanted = {screened.kept[position] for position in chosen}
        summary = {
            "funnel": screened.funnel.rows(),
            "problems": len(problems),
            "pass_rate": sum(screened.pass_rates.values()) / len(screened.pass_rates),
        }
        made = {
            "kind": "rejection_sampling",
            "settings": settings.model_dump(mode="json"),
            "model": {"model": source.place, "commit": revision_of(source.place, source.revision)},
            **summary,
        }
        card = (
            f"Responses of `{context.name}`'s model to training problems of {', '.join(settings.tasks)}: "
            f"{funnel_text(screened.funnel)}."
        )
        rows = (
            demonstration_row(demonstration(problems[row], sample))
            for row, group in enumerate(read_samples(log))
            for index, sample in enumerate(group)
            if (row, index) in wanted
        )
        count = publish_dataset(context.output, context.name, rows, card, made)
        context.progress.say(f"{context.name}: {funnel_text(screened.funnel)}")
        return Artifact("dataset", context.output, context.fingerprint, {**summary, "examples": count})

    def screen(
        self,
        problems: Sequence[Problem],
        groups: Iterator[tuple[LoggedSample, ...]],
        evaluated: Sequence[str],
    ) -> Screened:
        """Which samples pass, each refusal counted at the first step that objects."""
        settings = self.settings
        steps = ["wrong", "form", *active(settings.filters)] if settings.reject else list(_PLAIN)
        funnel = Funnel([*steps, "choice"])
        filters = settings.filters
        if not settings.reject:
            filters = filters.model_copy(update={"off": tuple(n for n in active(filters) if n not in _PLAIN)})
        screen = Screen(filters, evaluated, funnel)
        kept: list[tuple[int, int]] = []
        pass_rates: dict[str, float] = {}
        for row, (problem, group) in enumerate(zip(problems, groups, strict=True)):
            right = sum(sample.correct for sample in group)
            pass_rates[f"{problem.task}/{problem.id}"] = right / len(group)
            for index, sample in enumerate(group):
                refusal = self.refusal(sample) if settings.reject else None
                if refusal:
                    funnel.enter()
                    funnel.drop(refusal)
                    continue
                candidate = Candidate(demonstration(problem, sample), Sampled(sample.finish, sample.tokens))
                if screen.reason(candidate) is None:
                    kept.append((row, index))
        return Screened(kept, pass_rates, funnel)

    def refusal(self, sample: LoggedSample) -> str | None:
        """Why a sample is no candidate: "wrong", or "form" when it is not in the wanted form."""
        if not sample.correct:
            return "wrong"
        return "form" if self.settings.form == "tags" and not parse(sample.text).well_formed else None


@dataclass(frozen=True, slots=True)
class Screened:
    """What is left after the filters."""

    kept: Sequence[tuple[int, int]]  # (problem, sample)
    pass_rates: Mapping[str, float]  # "TASK/ID" -> share of the samples that were right
    funnel: Funnel


def demonstration(problem: Problem, sample: LoggedSample) -> Demonstration:
    """The question with the sampled response."""
    messages = (*problem.messages, Message("assistant", sample.text))
    return Demonstration(problem.id, problem.task, messages, "rejection", problem.language, problem.tags)


def funnel_text(funnel: Funnel) -> str:
    """`"96 sampled, 40 wrong, 6 truncation, 50 kept"`: the funnel on one line, empty steps left out."""
    state: Mapping[str, Any] = funnel.to_json()
    dropped = [f"{count} {step}" for step, count in state["dropped"].items() if count]
    return ", ".join([f"{state['in']} sampled", *dropped, f"{state['out']} kept"])

"""Cold start: readable long chains of thought for the first fine-tuning, made in several ways, reviewed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from r1kit.datasets import forms
from r1kit.datasets.choice import choose_per_problem
from r1kit.datasets.filters import Candidate, Sampled, Screen, active
from r1kit.datasets.folder import publish_dataset
from r1kit.datasets.forms import Form
from r1kit.datasets.funnel import Funnel
from r1kit.datasets.records import demonstration_row
from r1kit.datasets.refinement import conclusion, refine
from r1kit.datasets.review import ReviewItem
from r1kit.errors import DataError
from r1kit.seeds import derive
from r1kit.stages.cold_start_inputs import read_glossary, read_shots
from r1kit.stages.cold_start_ways import WAYS, right_answer
from r1kit.stages.data_settings import ColdStartStageSettings, ColdStartWay
from r1kit.stages.problems import first_problems, held_out_questions
from r1kit.stages.protocol import StageContext
from r1kit.stages.rejection_sampling import funnel_text
from r1kit.stages.review import reviewed
from r1kit.stages.rewriting import Draft, rewrite
from r1kit.stages.sampling_log import Draw, sample_model
from r1kit.types import Artifact, Demonstration, Message, Problem


@dataclass(frozen=True, slots=True)
class Example:
    """A right answer with its reasoning, on its way to a demonstration."""

    problem: Problem  # as the user asks it
    reasoning: str
    answer: str
    sampled: Sampled
    way: str


class ColdStartStage:
    """Asks models for reasoning, keeps what is right, makes it readable; leaves a reviewed data set."""

    def __init__(self, settings: ColdStartStageSettings) -> None:
        self.settings = settings
        self.glossary = read_glossary(settings.glossary)
        self.shots = read_shots(settings.shots)

    def run(self, context: StageContext) -> Artifact:
        """Make the examples of every way, one after the other, review and publish them."""
        settings = self.settings
        steps = ["unread", "wrong", "unrefined", *active(settings.filters), "choice", "review"]
        funnels: dict[str, Funnel] = {way: Funnel(steps) for way in settings.ways}
        screen = Screen(settings.filters, held_out_questions(context.tasks), Funnel(steps))
        examples: list[Example] = []
        for name, way in settings.ways.items():
            screen.funnel = funnels[name]
            examples += self.make(name, way, context, screen)
        kept = reviewed(
            [review_item(example, self.text(example)) for example in examples], settings.review, context
        )
        for example, text in zip(examples, kept, strict=True):
            funnels[example.way].drop("review", text is None)
        rows = [
            demonstration_row(made)
            for example, text in zip(examples, kept, strict=True)
            if text is not None
            for made in demonstrations(example, text, settings.forms)
        ]
        told = "; ".join(f"{name}: {funnel_text(funnel)}" for name, funnel in funnels.items())
        if not rows:
            raise DataError(f"{context.name}: no example is left: {told}")
        summary: dict[str, Any] = {"funnel": {name: funnel.rows() for name, funnel in funnels.items()}}
        made = {
            "kind": "cold_start",
            "settings": settings.model_dump(mode="json"),
            "models": {role: source.place for role, source in context.inputs.items()},
            **summary,
        }
        publish_dataset(context.output, context.name, rows, f"Cold-start examples. {told}.", made)
        context.progress.say(f"{context.name}: {told}")
        return Artifact("dataset", context.output, context.fingerprint, {**summary, "examples": len(rows)})

    def make(self, name: str, way: ColdStartWay, context: StageContext, screen: Screen) -> list[Example]:
        """The examples of one way that are right, refined, readable and chosen."""
        found = list(self.right(name, self.sampled(name, way, context), context, screen.funnel))
        refined = self.restructured(found, way, context, name)
        kept: list[Example] = []
        for example in refined:
            if example is None:
                screen.funnel.enter()
                screen.funnel.drop("unrefined")
                continue
            candidate = Candidate(demonstration(example, self.text(example)), example.sampled)
            if screen.reason(candidate) is None:
                kept.append(example)
        keys = [f"{example.problem.task}/{example.problem.id}" for example in kept]
        chosen = choose_per_problem(keys, way.per_problem, {}, derive(context.seed, name, "choice"))
        screen.funnel.drop("choice", len(kept) - len(chosen))
        return [kept[position] for position in chosen]

    def sampled(
        self, name: str, way: ColdStartWay, context: StageContext
    ) -> Iterator[tuple[Problem, str, Sampled]]:
        """Every response of the way's model, with the problem as the user asks it."""
        seed = derive(context.seed, name)
        problems = first_problems(context.tasks, self.settings.tasks, way.problems, derive(seed, "problems"))
        asked = [WAYS[name].ask(problem, self.shots) for problem in problems]
        source = context.inputs[f"model/{name}"] if way.model else context.inputs["model"]
        draw = Draw(asked, way.samples, way.template, way.sampling, derive(seed, "samples"))
        log = context.folder / f"samples-{name}.jsonl"
        groups = sample_model(draw, source, log, f"{context.name} {name}", context)
        for problem, group in zip(problems, groups, strict=True):
            for sample in group:
                yield problem, sample.text, Sampled(sample.finish, sample.tokens)

    def right(
        self,
        name: str,
        responses: Iterator[tuple[Problem, str, Sampled]],
        context: StageContext,
        funnel: Funnel,
    ) -> Iterator[Example]:
        """The responses that can be read and conclude with a right answer."""
        for problem, text, sampled in responses:
            parts = WAYS[name].read(text)
            answer = parts and right_answer(context.tasks[problem.task], problem, parts.summary)
            if parts is None or answer is None:
                funnel.enter()
                funnel.drop("unread" if parts is None else "wrong")
                continue
            yield Example(problem, parts.reasoning, answer, sampled, name)

    def restructured(
        self, examples: Sequence[Example], way: ColdStartWay, context: StageContext, name: str
    ) -> list[Example | None]:
        """The examples with their reasoning rewritten; None where nothing readable came of it."""
        if way.restructure == "none":
            return list(examples)
        if way.restructure == "rules":
            texts = [
                refine(e.reasoning, e.answer, e.problem.language, self.settings.rules, self.glossary)
                for e in examples
            ]
            return [replace(e, reasoning=t) if t else None for e, t in zip(examples, texts, strict=True)]
        assert self.settings.rewriter is not None, "checked with the settings"
        drafts = [Draft(e.problem, e.reasoning, e.answer) for e in examples]
        log = context.folder / f"rewritten-{name}.jsonl"
        answers = rewrite(drafts, self.settings.rewriter, context, log, f"{context.name} {name}, rewriting")
        return [
            _rewritten(example, answer, context) for example, answer in zip(examples, answers, strict=True)
        ]

    def text(self, example: Example) -> str:
        """The response in the tag form; what is screened and reviewed."""
        written = forms.write(example.reasoning, example.answer, "tags")
        return written if written is not None else ""


def _rewritten(example: Example, answer: str | None, context: StageContext) -> Example | None:
    """The example with a model's reasoning, if its answer is still right."""
    parts = WAYS["refine"].read(answer or "")
    task = context.tasks[example.problem.task]
    found = parts and right_answer(task, example.problem, parts.summary)
    return replace(example, reasoning=parts.reasoning, answer=found) if parts and found else None


def demonstration(example: Example, text: str) -> Demonstration:
    """The question with a response."""
    problem = example.problem
    messages = (*problem.messages, Message("assistant", text))
    return Demonstration(problem.id, problem.task, messages, example.way, problem.language, problem.tags)


def demonstrations(example: Example, text: str, wanted: Sequence[Form]) -> Iterator[Demonstration]:
    """The example in every wanted form; the special-token form concludes with a sentence."""
    for form in wanted:
        response: str | None = text
        if form == "special_token":
            parts = forms.read(text)
            summary = conclusion(parts.summary, example.problem.language) if parts else ""
            response = forms.write(parts.reasoning, summary, form) if parts else None
        if response:
            yield demonstration(example, response)


def review_item(example: Example, text: str) -> ReviewItem:
    """The example as a person sees it."""
    problem = example.problem
    question = problem.messages[-1].content
    return ReviewItem(problem.id, problem.task, question, text, example.answer, problem.language)

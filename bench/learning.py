"""Equal learning per step: GRPO on Countdown beside TRL's, from the same weights, by three seeds each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from bench.curves import NARROW, OTHERS, OURS, REWARD, THEIRS, verdict
from bench.peers.environments import PeerMissingError
from bench.peers.process import SideFailedError
from bench.peers.talk import Record
from bench.setting import Found
from bench.sides import Bench, learning_own, learning_trl
from bench.turns import Make
from r1kit.models.load import load_tokenizer, resolve_base
from r1kit.models.precision import resolve
from r1kit.tasks.countdown import Countdown, CountdownSettings
from r1kit.text.templates import render


@dataclass(frozen=True, slots=True)
class Course:
    """What is learned, how long, with which settings."""

    base: str = "micro"
    steps: int = 60
    seeds: int = 3
    questions: int = 16  # of a step
    group_size: int = 8
    new_tokens: int = 48
    learning_rate: float = 2e-4
    clip: float = 0.2

    def job(self, seed: int) -> Record:
        """What every side is told; questions and their order are the same for all seeds."""
        tokenizer = load_tokenizer(self.base)
        task = Countdown(CountdownSettings(train_size=self.steps * self.questions))
        asked = [
            {
                "content": problem.messages[0].content,
                "tokens": list(render("chat", problem, tokenizer).tokens),
                **problem.reference,
            }
            for problem in task.problems("train")
        ]
        return {
            "model": str(resolve_base(self.base)),
            "questions": [asked[i : i + self.questions] for i in range(0, len(asked), self.questions)],
            "group_size": self.group_size,
            "new_tokens": self.new_tokens,
            "clip": self.clip,
            "optimizer": {
                "learning_rate": self.learning_rate,
                "beta1": 0.9,
                "beta2": 0.999,
                "eps": 1e-8,
                "weight_decay": 0.0,
                "max_grad_norm": 1.0,
            },
            "seed": seed,
            "threads": 1,  # runs of a side share the cores
            "precision": "float32",
            "microbatches": 1,
        }


def learning(bench: Bench) -> Found:
    """Reward and more of each step: side -> seeds -> measure -> steps. A side that cannot run is told."""
    course = Course()
    if bench.quick:
        course = replace(course, steps=4, seeds=2, questions=4, group_size=4, new_tokens=24)
    jobs = [course.job(seed) for seed in range(1, course.seeds + 1)]
    sides = {OURS: [learning_own(job) for job in jobs], THEIRS: [learning_trl(bench, job) for job in jobs]}
    if resolve("auto", "cpu") == torch.bfloat16:
        sides[NARROW] = [learning_own(job | {"precision": "bfloat16"}) for job in jobs]
    found: dict[str, list[tuple[Record, Record]]] = {}
    notes = []
    for name, makes in sides.items():
        print(
            f"{course.seeds} runs of {name}, {course.steps} steps each, {bench.threads} at a time …",
            flush=True,
        )
        try:
            with ThreadPoolExecutor(bench.threads) as pool:
                found[name] = list(pool.map(partial(_run, course.steps), makes))
        except (PeerMissingError, SideFailedError) as error:
            notes.append(f"{name} was not run: {error}")
    curves = {name: [curve for _, curve in runs] for name, runs in found.items()}
    settings = {name: facts for name, [(facts, _), *_] in found.items()}
    if THEIRS in curves:
        notes.append(verdict(curves))
    return Found([], notes, _described(course, jobs[0]) | {"settings": settings, "curves": curves})


def _run(steps: int, make: Make) -> tuple[Record, Record]:
    with closing(make()) as side:
        facts = side.start()
        results = [side.repeat({"repeat": step}) for step in range(steps)]
    found: Record = {name: [round(result[name], 5) for result in results] for name in (REWARD, *OTHERS)}
    rewards, seconds = found[REWARD], round(sum(result["seconds"] for result in results), 1)
    print(f"  from a reward of {rewards[0]:.2f} to {rewards[-1]:.2f} in {seconds:.0f} s", flush=True)
    return facts, found | {"seconds": seconds}


def _described(course: Course, job: Record) -> dict[str, Any]:
    told = {name: job[name] for name in job if name not in ("questions", "model", "seed", "precision")}
    return {"work": told | {"base": course.base, "steps": course.steps, "questions": course.questions}}

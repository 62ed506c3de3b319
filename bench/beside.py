"""Sampling, whole steps and supervised updates beside other software: the parts of `python -m bench`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from bench.agreement import largest_difference
from bench.limits import sampling_limit, training_limit
from bench.peers.environments import PeerMissingError
from bench.peers.talk import Record
from bench.setting import Found, Measurement
from bench.sides import Bench, halves, own, with_transformers, with_trl, with_vllm
from bench.turns import Best, Contender, Make, Turns, UnequalWorkError, best_of, in_turn
from bench.work import MEDIUM, PAD, SMALL, Work, described, end_probability
from r1kit import seeds
from r1kit.models.precision import resolve

OURS = "r1kit"
TOLERANCE = 1e-5  # of log-probabilities beside a plain forward pass, float32
DOCUMENTS = {SMALL.name: 256, MEDIUM.name: 32}  # of one supervised update
Limit = dict[str, float]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Comparison:
    """r1kit beside its peers on one piece of work."""

    name: str
    unit: str
    count: str  # what is counted, a field of the results
    own: Mapping[str, Make]  # the first is set beside the peers
    peers: Mapping[str, Mapping[str, Make]]  # by name and variant
    planned: Record  # the request on which the variants of a peer are tried
    limits: Mapping[str, Limit]  # of the sides of `own`; each has "tokens_per_second"

    def measure(self, work: Work, bench: Bench, trials: int) -> Found:
        """Each peer's best variant, then all sides in turn."""
        among = chosen(self.peers, bench.peers)
        peers = {name: chosen(variants, bench.variants) for name, variants in among.items()}
        bests, missing = _bests(peers, self.planned, trials, self.count)
        contenders = [Contender(name, make, fixed=False) for name, make in self.own.items()]
        contenders += [Contender(name, best.make) for name, best in bests.items()]
        turns = in_turn(contenders, bench.repeats)
        turns.missing |= missing
        details = turns.record() | {
            "work": described(work),
            "variants": {name: {"tried": best.tried, "best": best.name} for name, best in bests.items()},
            "limits": self.limits,
        }
        return Found(self._rows(turns, bests), [], {self.name: details})

    def _rows(self, turns: Turns, bests: Mapping[str, Best]) -> list[Measurement]:
        first, *others = self.own
        limits = {name: limit["tokens_per_second"] for name, limit in self.limits.items()}
        ours = turns.speeds(first, self.count)
        rows = [
            Measurement(
                self.name,
                self.unit,
                ours,
                turns.speeds(peer, self.count),
                f"{peer} ({bests[peer].name})" if turns.speeds(peer, self.count) else peer,
                limits.get(first),
                turns.missing.get(peer, ""),
            )
            for peer in self.peers
            if peer in bests or peer in turns.missing
        ]
        return rows + [
            Measurement(f"{self.name}: {name}", self.unit, speeds, [], limit=limits.get(name))
            for name in others
            if (speeds := turns.speeds(name, self.count))
        ]


def sampling(bench: Bench) -> Found:
    """New tokens per second of many short responses."""
    return _sampling(bench, SMALL)


def long_sampling(bench: Bench) -> Found:
    """New tokens per second of fewer and longer ones, from the larger model."""
    return _sampling(bench, MEDIUM)


def _sampling(bench: Bench, of: Work) -> Found:
    """Also whether the log-probabilities are those of a plain forward pass."""
    work = bench.work(of)
    job = bench.job(work, kind="sampling", precision="auto")
    difference = largest_difference(job)
    if difference > TOLERANCE:
        raise UnequalWorkError(f"{of.name}: log-probabilities are off by {difference:.1e}")
    comparison = Comparison(
        name=f"sampling, {of.name}",
        unit="new tokens/s",
        count="new_tokens",
        own={
            OURS: own(job),
            "float32": own(job | {"precision": "float32"}),
            "two processes": halves(job),
            "two processes, float32": halves(job | {"precision": "float32"}),
        },
        peers={
            "transformers generate": with_transformers(job, "generate"),
            "static-cache loop": with_transformers(job, "static"),
            "vLLM": with_vllm(bench, job),
        },
        planned={"lengths": planned_lengths(work)},
        limits=_limits(work, sampling_limit, ("two processes",)),
    )
    found = comparison.measure(work, bench, 2)
    found.details[comparison.name]["largest difference of log-probabilities"] = difference
    return found


def step(bench: Bench) -> Found:
    """Whole steps of GRPO: sampling, grading, learning, handing over the weights."""
    work = bench.work(SMALL)
    job = bench.job(work, kind="step", precision="auto")
    dtype = resolve("auto", "cpu")
    sampled, learned = sampling_limit(work, dtype), training_limit(work, dtype)
    prompt = (work.shortest_prompt + work.longest_prompt) / 2
    response = work.mean_tokens or work.new_tokens
    seconds = 1 / sampled["tokens_per_second"]
    seconds += (1 + prompt / response) / learned["tokens_per_second"]  # prompts are read in learning
    return Comparison(
        name=f"GRPO step, {SMALL.name}",
        unit="new tokens/s",
        count="new_tokens",
        own={OURS: own(job)},
        peers={"TRL GRPOTrainer": with_trl(bench, job)},
        planned={"lengths": planned_lengths(work)},
        limits={OURS: {"tokens_per_second": 1 / seconds}},
    ).measure(work, bench, 1)


def supervised(bench: Bench) -> Found:
    """Tokens per second of supervised updates; the limit is the machine's matrix rate."""
    found = Found()
    for of in (SMALL, MEDIUM):
        work = bench.work(of)
        documents = make_documents(work, 8 if bench.quick else DOCUMENTS[of.name])
        job = bench.job(work, kind="supervised", precision="auto", documents=documents)
        found += Comparison(
            name=f"supervised, {of.name}",
            unit="tokens/s",
            count="tokens",
            own={OURS: own(job), "float32": own(job | {"precision": "float32"})},
            peers={"TRL SFTTrainer": with_trl(bench, job)},
            planned={},
            limits=_limits(work, training_limit),
        ).measure(work, bench, 2)
    return found


def chosen(variants: Mapping[str, T], wanted: Sequence[str]) -> Mapping[str, T]:
    """The peers or variants whose names begin with one of the wanted texts; all, where there are none."""
    begin = tuple(wanted)
    found = {name: make for name, make in variants.items() if name.startswith(begin)}
    return found or variants


def planned_lengths(work: Work) -> list[int]:
    """Lengths of the work's kind, for what is tried before r1kit has drawn any."""
    if work.mean_tokens is None:
        return [work.new_tokens] * work.rows
    random = seeds.generator("bench", "lengths", work.name)
    going_on = math.log1p(-end_probability(work.mean_tokens, work.new_tokens))
    drawn = (1 + int(math.log(1 - random.random()) / going_on) for _ in range(work.rows))
    return [min(work.new_tokens, length) for length in drawn]


def make_documents(work: Work, count: int) -> list[list[int]]:
    """Random documents as long as prompt and response; sorted by length, which wastes least on padding."""
    random = seeds.generator("bench", "documents", work.name)
    prompt = (work.shortest_prompt + work.longest_prompt) // 2
    lengths = sorted((planned_lengths(work) * count)[:count])
    return [
        [random.randrange(PAD + 1, work.vocabulary) for _ in range(prompt + length)] for length in lengths
    ]


def _limits(work: Work, measure: object, also: Sequence[str] = ()) -> dict[str, Limit]:
    assert callable(measure)
    usual: Limit = measure(work, resolve("auto", "cpu"))
    narrow: Limit = measure(work, torch.float32)
    found = dict.fromkeys((OURS, *also), usual)
    return found | dict.fromkeys(("float32", *(f"{name}, float32" for name in also)), narrow)


def _bests(
    peers: Mapping[str, Mapping[str, Make]], request: Record, trials: int, count: str
) -> tuple[dict[str, Best], dict[str, str]]:
    """The best variant of each peer, and why there is none."""
    bests, missing = dict[str, Best](), dict[str, str]()
    for peer, variants in peers.items():
        print(f"trying {peer}: {'; '.join(variants)} …", flush=True)
        try:
            bests[peer] = best_of(variants, request, trials, count)
        except PeerMissingError as error:
            missing[peer] = str(error)
    return bests, missing

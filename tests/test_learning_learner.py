"""The learner: exact accumulation, statistics, non-finite updates, precision."""

import math
import shutil
from dataclasses import replace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from r1kit.errors import UserError
from r1kit.learning.batch import EncodedDocument, idle_rows, make_batch
from r1kit.learning.learner import Learner
from r1kit.learning.losses import LossOutput, policy_loss, supervised_loss
from r1kit.learning.optimizer import make_optimizer
from r1kit.learning.policy_update import update_policy
from r1kit.learning.settings import BatchSettings, ObjectiveSettings, OptimizerSettings, RLSettings
from r1kit.models.reference import frozen_copy, refresh
from r1kit.objectives.aggregation import AGGREGATIONS
from r1kit.objectives.policy import POLICY_LOSSES

ONE_PART, MANY_PARTS = 10_000, 12


def tiny_model(dtype=torch.float64, tied=True):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=23, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, tie_word_embeddings=tied,
    )  # fmt: skip
    return LlamaForCausalLM(config).to(dtype)


def learner_of(model, budget=ONE_PART, total_updates=10, **batch):
    return Learner(
        model,
        OptimizerSettings(learning_rate=0.01, max_grad_norm=1e9),
        BatchSettings(tokens_per_microbatch=budget, precision="float32", **batch),
        total_updates=total_updates,
    )


def ragged_batch(**extra):
    generator = torch.Generator().manual_seed(1)
    lengths = [3, 9, 5, 12, 4, 7]
    documents = [
        EncodedDocument(torch.randint(0, 23, (length,), generator=generator).numpy(), 2) for length in lengths
    ]
    batch = make_batch(
        documents,
        advantages=[1.0, -0.5, 0.0, 2.0, -1.0, 0.25],
        sampler_logprobs=[[-3.0] * (length - 2) for length in lengths],
    )
    return replace(batch, **extra)


def gradients(model, budget, batch, loss, idle=(), **settings):
    """The gradients that `update` leaves to the optimizer."""
    learner = learner_of(model, budget, **settings)
    found = {}
    learner.optimizer.step = lambda: found.update(
        {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    )
    return found, learner.update(batch, loss, idle=idle)


def objective(aggregation, **settings):
    return policy_loss(ObjectiveSettings(aggregation=aggregation, constant_length=20, **settings))


LOSSES = {
    "supervised": (supervised_loss, {}),
    **{name: (objective(name), {}) for name in AGGREGATIONS},
    **{
        f"{name} off-policy with KL": (
            objective(name, kl_beta=0.1),
            {"old_logprobs_BT": torch.full((6, 12), -3.1), "ref_logprobs_BT": torch.full((6, 12), -2.9)},
        )
        for name in AGGREGATIONS
    },
    **{
        f"{name}, {aggregation}, off-policy with all terms": (
            objective(
                aggregation, loss=name, clip_low=0.02, clip_high=0.05, importance_cap=1.05, kl_beta=0.1,
                entropy_bonus=0.2,
            ),
            {"old_logprobs_BT": torch.full((6, 12), -3.1), "ref_logprobs_BT": torch.full((6, 12), -2.9)},
        )
        for name in POLICY_LOSSES
        for aggregation in AGGREGATIONS
    },
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_many_microbatches_give_the_gradient_of_one(name):
    loss, extra = LOSSES[name]
    batch = ragged_batch(**extra)
    one, one_stats = gradients(tiny_model(), ONE_PART, batch, loss)
    many, many_stats = gradients(tiny_model(), MANY_PARTS, batch, loss)
    assert max(float(gradient.abs().max()) for gradient in one.values()) > 1e-3
    for parameter, gradient in one.items():
        torch.testing.assert_close(many[parameter], gradient, rtol=1e-9, atol=1e-12)
    for key in one_stats.keys() - {"padding"}:
        assert many_stats[key] == pytest.approx(one_stats[key], rel=1e-6), key
    assert many_stats["padding"] < one_stats["padding"]


def test_the_supervised_gradient_is_that_of_full_logits_on_each_document_alone():
    batch, model = ragged_batch(), tiny_model(tied=False)
    got, stats = gradients(model, MANY_PARTS, batch, supervised_loss)
    total = torch.zeros((), dtype=torch.float64)
    for row, length in enumerate(batch.lengths_B.tolist()):
        tokens = batch.tokens_BT[row : row + 1, :length]
        logprobs = model(input_ids=tokens).logits.log_softmax(-1)
        total = total - logprobs[0, 1:-1].gather(1, tokens[0, 2:, None]).sum()
    expected = torch.autograd.grad(total / batch.num_tokens, list(model.parameters()))
    assert stats["loss"] == pytest.approx(float(total.detach()) / batch.num_tokens)
    for (name, _), gradient in zip(model.named_parameters(), expected, strict=True):
        torch.testing.assert_close(got[name], gradient, rtol=1e-8, atol=1e-12)


def test_gradient_checkpointing_changes_no_gradient():
    batch = ragged_batch()
    plain, _ = gradients(tiny_model(), ONE_PART, batch, supervised_loss)
    saved, _ = gradients(tiny_model(), ONE_PART, batch, supervised_loss, gradient_checkpointing=True)
    for name, gradient in plain.items():
        torch.testing.assert_close(saved[name], gradient, rtol=1e-10, atol=1e-13)


def test_on_policy_without_old_logprobs_equals_the_loss_with_the_policys_own():
    batch, loss = ragged_batch(), objective("sequence_mean")
    model = tiny_model()
    own = learner_of(model).logprobs(batch)
    implicit, _ = gradients(tiny_model(), ONE_PART, batch, loss)
    explicit, _ = gradients(tiny_model(), ONE_PART, replace(batch, old_logprobs_BT=own), loss)
    for name, gradient in implicit.items():
        torch.testing.assert_close(explicit[name], gradient, rtol=1e-10, atol=1e-13)


def test_logprobs_are_those_of_the_full_logits_at_the_tokens_that_carry_loss():
    batch, model = ragged_batch(), tiny_model()
    got = learner_of(model, MANY_PARTS).logprobs(batch)
    full = model(input_ids=batch.tokens_BT).logits.log_softmax(-1)[:, :-1]
    expected = torch.zeros_like(got)
    expected[:, 1:] = full.gather(2, batch.tokens_BT[:, 1:, None]).squeeze(2).detach()
    torch.testing.assert_close(got, expected * batch.loss_mask_BT, rtol=1e-9, atol=1e-12)


def test_the_gap_to_the_sampler_is_its_mean_and_largest_distance():
    batch, model = ragged_batch(), tiny_model()
    own = learner_of(model).logprobs(batch)
    shifted = own + 0.25 * batch.loss_mask_BT
    shifted[3, 5] += 1.0
    stats = learner_of(model).update(replace(batch, sampler_logprobs_BT=shifted), objective("token_mean"))
    assert stats["logprob_gap/max"] == pytest.approx(1.25)
    assert stats["logprob_gap/mean"] == pytest.approx(0.25 + 1 / batch.num_tokens)


def test_the_gap_of_a_later_minibatch_is_that_of_the_policy_that_sampled():
    batch, model = ragged_batch(), tiny_model(torch.float32)
    own = learner_of(model).logprobs(batch)
    batch = replace(batch, sampler_logprobs_BT=own + 0.25 * batch.loss_mask_BT)
    stats = update_policy(learner_of(model), batch, _rl(3), None, seed=5)
    assert stats["logprob_gap/max"] == pytest.approx(0.25, abs=1e-4)


def test_training_lowers_the_loss_and_reports_plain_floats():
    learner, batch = learner_of(tiny_model(torch.float32), total_updates=30), ragged_batch()
    history = [learner.update(batch, supervised_loss) for _ in range(30)]
    assert history[-1]["loss"] < 0.3 * history[0]["loss"]
    assert all(type(value) is float for value in history[0].values())
    assert learner.updates == 30


def test_a_positive_advantage_raises_the_probability_and_a_negative_one_lowers_it():
    model, batch = tiny_model(torch.float32), ragged_batch()
    learner = learner_of(model)
    before = learner.logprobs(batch).sum(1)
    learner.update(batch, objective("token_mean"))
    change = learner.logprobs(batch).sum(1) - before
    assert change[3] > 0
    assert change[4] < 0


def test_an_update_that_is_not_finite_changes_nothing_and_is_counted():
    model, batch = tiny_model(torch.float32), ragged_batch()
    learner = learner_of(model)
    learner.update(batch, supervised_loss)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    moments = [state["exp_avg"].clone() for state in learner.optimizer.state.values()]

    def broken(logprobs_N, entropy_N, part):
        return LossOutput((logprobs_N * math.nan).sum())

    stats = learner.update(batch, broken)
    assert stats["skipped"] == 1.0
    assert (learner.updates, learner.skipped, learner.skipped_in_a_row) == (2, 1, 1)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    for state, moment in zip(learner.optimizer.state.values(), moments, strict=True):
        assert torch.equal(state["exp_avg"], moment)
    learner.require_progress(1)
    with pytest.raises(UserError, match="1 updates in a row"):
        learner.require_progress(0)
    assert learner.update(batch, supervised_loss)["skipped"] == 0.0
    assert learner.skipped_in_a_row == 0


def test_gradients_are_clipped_to_the_global_norm_and_the_norm_before_is_reported():
    model, batch = tiny_model(), ragged_batch()
    learner = Learner(
        model,
        OptimizerSettings(learning_rate=1.0, max_grad_norm=0.01),
        BatchSettings(precision="float32"),
        total_updates=1,
    )
    norms = []
    learner.optimizer.step = lambda: norms.append(
        math.sqrt(sum(float(parameter.grad.square().sum()) for parameter in model.parameters()))
    )
    stats = learner.update(batch, supervised_loss)
    assert norms[0] == pytest.approx(0.01, rel=1e-3)
    assert stats["grad_norm"] > 0.1


def test_only_matrices_outside_the_embedding_decay():
    model = tiny_model()
    groups = make_optimizer(model, OptimizerSettings(weight_decay=0.1)).param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decayed = {names[id(parameter)] for parameter in groups[0]["params"]}
    assert all("proj" in name for name in decayed)
    assert {names[id(p)] for p in groups[1]["params"]} == set(names.values()) - decayed
    assert (groups[0]["weight_decay"], groups[1]["weight_decay"]) == (0.1, 0.0)


def test_narrow_weights_become_float32_and_bfloat16_products_stay_near_float32():
    batch = ragged_batch()
    narrow = tiny_model(torch.bfloat16)
    learner = Learner(narrow, OptimizerSettings(), BatchSettings(precision="bfloat16"), total_updates=1)
    assert {parameter.dtype for parameter in narrow.parameters()} == {torch.float32}
    exact = learner_of(narrow).logprobs(batch)
    torch.testing.assert_close(learner.logprobs(batch), exact, rtol=0, atol=0.05)


def test_dropout_is_switched_off():
    config = LlamaConfig(
        vocab_size=23, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        attention_dropout=0.5,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    learner, batch = learner_of(model), ragged_batch()
    assert learner.update(batch, supervised_loss)["loss"] == pytest.approx(
        -float(learner_of(frozen_copy(model)).logprobs(batch).sum()) / batch.num_tokens, abs=0.5
    )
    assert all(layer.self_attn.attention_dropout == 0.0 for layer in model.model.layers)


def _rl(minibatches, **objective_settings):
    return RLSettings(
        objective=ObjectiveSettings(aggregation="token_mean", **objective_settings),
        batch=BatchSettings(minibatches=minibatches, precision="float32"),
    )


def test_several_minibatches_make_several_updates_against_the_same_old_policy():
    learner = learner_of(tiny_model(torch.float32))
    stats = update_policy(learner, ragged_batch(), _rl(3, clip_low=0.001, clip_high=0.001), None, seed=5)
    assert learner.updates == 3
    assert stats["skipped"] == 0.0
    # after the first update the ratio has left the clip range somewhere
    assert stats["clip/high"] + stats["clip/low"] > 0


def test_each_pass_over_the_rollouts_is_cut_into_other_minibatches(monkeypatch):
    learner, seen = learner_of(tiny_model(torch.float32)), []

    def update(batch, loss, *, idle=()):
        seen.append(sorted(map(tuple, batch.tokens_BT.tolist())))
        return {"skipped": 0.0}

    monkeypatch.setattr(learner, "update", update)
    settings = _rl(2).model_copy(update={"batch": BatchSettings(minibatches=2, rollout_epochs=3)})
    update_policy(learner, ragged_batch(), settings, None, seed=5)
    assert (len(seen), settings.batch.updates, learner.updates) == (6, 6, 0)
    passes = [seen[k] + seen[k + 1] for k in (0, 2, 4)]
    assert all(len(rows) == len(ragged_batch()) == len(set(rows)) for rows in passes)
    assert len({tuple(sorted(part)) for part in seen}) > 2


def test_rows_without_advantage_are_measured_and_change_no_gradient():
    batch, loss = ragged_batch(), objective("sequence_mean")
    assert idle_rows(batch) == [2]
    full, full_stats = gradients(tiny_model(), MANY_PARTS, batch, loss)
    less, less_stats = gradients(tiny_model(), MANY_PARTS, batch, loss, idle=[2])
    for name, gradient in full.items():
        torch.testing.assert_close(less[name], gradient, rtol=1e-12, atol=1e-14)
    assert less_stats["entropy"] == pytest.approx(full_stats["entropy"], rel=1e-12)
    assert less_stats["logprob_gap/mean"] == pytest.approx(full_stats["logprob_gap/mean"], rel=1e-6)


def test_operations_are_six_per_trained_and_two_per_measured_token_and_parameter():
    model, batch = tiny_model(), ragged_batch()  # 40 tokens, 5 of them in the row without advantage
    parameters = sum(parameter.numel() for parameter in model.parameters())
    once = learner_of(model)
    update_policy(once, batch, _rl(1), None, seed=0)
    assert once.operations == parameters * (6 * 35 + 2 * 5)
    # old log-probabilities first; then the same
    twice = learner_of(tiny_model())
    update_policy(twice, batch, _rl(2), None, seed=0)
    assert twice.operations == parameters * (2 * 40 + 6 * 35 + 2 * 5)
    # a reference: it is asked about all, and pulls on all
    near = learner_of(tiny_model())
    update_policy(near, batch, _rl(1, kl_beta=0.1), frozen_copy(model), seed=0)
    assert near.operations == parameters * (2 * 40 + 6 * 40)
    again = learner_of(tiny_model())
    again.restore_counters(near.counters())
    assert again.operations == near.operations


def test_a_batch_without_any_advantage_moves_nothing_not_even_by_momentum():
    model, batch = tiny_model(torch.float32), ragged_batch()
    learner = learner_of(model)
    update_policy(learner, batch, _rl(1), None, seed=0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    idle = replace(batch, advantages_BT=torch.zeros_like(batch.advantages_BT))
    stats = update_policy(learner, idle, _rl(1), None, seed=1)
    assert (stats["grad_norm"], stats["skipped"], learner.updates) == (0.0, 0.0, 2)
    assert stats["entropy"] > 0
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_kl_is_zero_against_a_fresh_reference_and_positive_once_the_policy_has_moved():
    model = tiny_model(torch.float32)
    learner, reference = learner_of(model), frozen_copy(model)
    first = update_policy(learner, ragged_batch(), _rl(1, kl_beta=0.1), reference, seed=0)
    second = update_policy(learner, ragged_batch(), _rl(1, kl_beta=0.1), reference, seed=0)
    assert first["kl"] == pytest.approx(0.0, abs=1e-9)
    assert second["kl"] > 1e-4
    refresh(reference, model)
    third = update_policy(learner, ragged_batch(), _rl(1, kl_beta=0.1), reference, seed=0)
    assert third["kl"] == pytest.approx(0.0, abs=1e-9)


def test_without_scored_rollouts_there_is_no_update():
    learner = learner_of(tiny_model())
    assert update_policy(learner, None, _rl(3), None, seed=0) == {"trained_sequences": 0.0}
    assert (learner.updates, learner.skipped) == (3, 0)  # the learning rate's schedule moves on


def test_greedy_sampling_is_refused_for_reinforcement_learning():
    from r1kit.rollouts.protocol import SamplingParams

    with pytest.raises(ValueError, match=r"sampling\.temperature is 0"):
        RLSettings(sampling=SamplingParams(temperature=0.0))


@pytest.mark.parametrize("filtered", [{"top_p": 0.9}, {"top_k": 50}])
def test_filtered_sampling_is_refused_for_reinforcement_learning(filtered):
    from r1kit.rollouts.protocol import SamplingParams

    with pytest.raises(ValueError, match=r"sampling\.top_p and sampling\.top_k: .* use top_p 1\.0"):
        RLSettings(sampling=SamplingParams(**filtered))


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("c++"), reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")  # the compiler itself calls torch.jit
def test_a_compiled_decoder_gives_the_same_gradients_and_leaves_the_model_plain():
    batch = ragged_batch()
    plain, plain_stats = gradients(tiny_model(torch.float32), MANY_PARTS, batch, supervised_loss)
    model = tiny_model(torch.float32)
    compiled, stats = gradients(model, MANY_PARTS, batch, supervised_loss, compile=True)
    for name, gradient in plain.items():
        torch.testing.assert_close(compiled[name], gradient, rtol=1e-4, atol=1e-6)
    assert stats["loss"] == pytest.approx(plain_stats["loss"], rel=1e-5)
    assert list(model.state_dict()) == list(tiny_model().state_dict())
    assert "forward" not in vars(model.model)

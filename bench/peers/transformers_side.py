"""`transformers` on the same sampling: `generate`, and a plain loop over a static cache.

Both draw responses of the given lengths. All rows stay in the batch until the last one ends, which is how
both work; `generate` keeps its own bookkeeping, the loop has none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, StaticCache, StoppingCriteria, StoppingCriteriaList

from bench.peers.talk import Record, serve

Draw = Callable[[Any, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(model, prompts (B, T), their mask, lengths (B,)) -> all tokens, (B, T + longest)"""


class EndsAtLength(StoppingCriteria):
    """A row is done when it has its number of new tokens."""

    def __init__(self, totals_B: torch.Tensor) -> None:
        self._totals_B = totals_B  # prompt and response

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        return self._totals_B <= input_ids.shape[1]


def generate(
    model: Any, tokens_BT: torch.Tensor, mask_BT: torch.Tensor, lengths_B: torch.Tensor
) -> torch.Tensor:
    """See `Draw`."""
    drawn: torch.Tensor = model.generate(
        tokens_BT,
        attention_mask=mask_BT,
        do_sample=True,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        max_new_tokens=int(lengths_B.max()),
        eos_token_id=None,
        pad_token_id=model.config.pad_token_id,
        stopping_criteria=StoppingCriteriaList([EndsAtLength(lengths_B + tokens_BT.shape[1])]),
    )
    return drawn


def static_loop(
    model: Any, tokens_BT: torch.Tensor, mask_BT: torch.Tensor, lengths_B: torch.Tensor
) -> torch.Tensor:
    """See `Draw`."""
    rows, start = tokens_BT.shape
    end = start + int(lengths_B.max())
    cache = StaticCache(config=model.config, max_cache_len=end)
    drawn_BT = torch.cat((tokens_BT, torch.zeros(rows, end - start, dtype=torch.long)), 1)
    mask_BT = torch.cat((mask_BT, torch.ones(rows, end - start, dtype=torch.long)), 1)
    positions_BT = (mask_BT.cumsum(1) - 1).clamp(min=0)
    read = 0
    for place in range(start, end):
        logits_BV = model(
            input_ids=drawn_BT[:, read:place],
            attention_mask=mask_BT[:, :place],
            position_ids=positions_BT[:, read:place],
            past_key_values=cache,
            logits_to_keep=1,
        ).logits[:, -1]
        drawn_BT[:, place] = torch.multinomial(logits_BV.float().softmax(-1), 1)[:, 0]
        read = place
    return drawn_BT


WAYS: dict[str, Draw] = {"generate": generate, "static": static_loop}


def prepare(job: Record) -> tuple[Record, Callable[[Record], Record]]:
    torch.set_num_threads(job["threads"])
    dtype = getattr(torch, job["precision"])
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=dtype).eval()
    rows = [prompt for prompt in job["prompts"] for _ in range(job["group_size"])]
    longest, pad = max(map(len, rows)), model.config.pad_token_id
    tokens_BT = torch.tensor([[pad] * (longest - len(row)) + row for row in rows])
    mask_BT = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    draw = WAYS[job["way"]]

    def repeat(request: Record) -> Record:
        torch.manual_seed(request["repeat"])
        lengths = request["lengths"]
        began = time.perf_counter()
        with torch.inference_mode():
            drawn = draw(model, tokens_BT, mask_BT, torch.tensor(lengths))
        seconds = time.perf_counter() - began
        assert drawn.shape == (len(rows), longest + max(lengths))
        return {"seconds": seconds, "new_tokens": sum(lengths), "lengths": lengths}

    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    return versions | {"threads": torch.get_num_threads(), "precision": job["precision"]}, repeat


if __name__ == "__main__":
    serve(prepare)

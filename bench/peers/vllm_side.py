"""vLLM on the same sampling, in this process (on few cores a second one for its front end costs more).

Each response is a request of its own with its own limit and no end token, since samples of one request share
a limit; prefix caching is on, so that samples of a prompt share its full blocks. Neither text nor
log-probabilities are asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bench.peers.talk import Record, serve


def prepare(job: Record) -> tuple[Record, Callable[[Record], Record]]:
    import torch
    import vllm
    from vllm import LLM, SamplingParams

    rows = [prompt for prompt in job["prompts"] for _ in range(job["group_size"])]
    longest = max(map(len, rows)) + job["new_tokens"]
    model = LLM(
        model=job["model"],
        dtype=job["precision"],
        enforce_eager=not job["compiled"],
        skip_tokenizer_init=True,
        max_model_len=longest,
        max_num_seqs=len(rows),
        max_num_batched_tokens=max(longest, sum(map(len, rows))),
        enable_prefix_caching=True,
        block_size=job["block_size"],
        disable_log_stats=True,
    )

    def repeat(request: Record) -> Record:
        asked: list[Any] = [{"prompt_token_ids": row} for row in rows]
        limits = [
            SamplingParams(temperature=1.0, max_tokens=length, ignore_eos=True, detokenize=False)
            for length in request["lengths"]
        ]
        began = time.perf_counter()
        drawn = model.generate(asked, limits, use_tqdm=False)
        seconds = time.perf_counter() - began
        lengths = [len(output.outputs[0].token_ids) for output in drawn]
        return {"seconds": seconds, "new_tokens": sum(lengths), "lengths": lengths}

    facts = {"vllm": vllm.__version__, "torch": torch.__version__, "threads": torch.get_num_threads()}
    names = ("precision", "compiled", "block_size")
    return facts | {name: job[name] for name in names}, repeat


if __name__ == "__main__":
    serve(prepare)

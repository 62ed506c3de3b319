"""The local rollout engine: batched decoding of any `transformers` decoder in this process.

Left out of a serving engine, because the learner waits for the whole batch anyway: chunked prefill,
speculative decoding. Settings in a checkpoint's generation config other than the end-of-sequence ids
(repetition penalty, temperature, ...) are ignored: `SamplingParams` alone says how to draw.

Tokens depend on the row's own logits, seed and position. Batches of another size may round matrix products
differently in the last bit, so exact repetition needs the same call; in float32 a draw hardly ever flips.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from r1kit import seeds as seed_paths
from r1kit.errors import ModelError
from r1kit.rollouts import stopping
from r1kit.rollouts.attention import decode_attention_in_use
from r1kit.rollouts.cache import context_limit, most_capacity
from r1kit.rollouts.compiled import CompiledWeights, compiled_weights
from r1kit.rollouts.compiled_engine import CompiledEngine
from r1kit.rollouts.engine import Engine
from r1kit.rollouts.jobs import Job, Response
from r1kit.rollouts.lowered import lowered_forward
from r1kit.rollouts.memory import position_bytes, rows_within_memory
from r1kit.rollouts.paged import PagedDecoder, Room, runs_paged
from r1kit.rollouts.paged_attention import PAGE
from r1kit.rollouts.paged_engine import PagedEngine, room_for
from r1kit.rollouts.pages import row_pages
from r1kit.rollouts.protocol import Finished, SamplingParams
from r1kit.rollouts.stopping import Endings
from r1kit.rollouts.threads import AnyEngine, decode, most_threads
from r1kit.types import Completion, Prompt

_SOON = 8  # tokens of a row after which at most ended responses are told where they are graded meanwhile


class LocalSampler:
    """A `Sampler` on the model's own device.

    Args:
        model: a `transformers` causal language model with full attention.
        tokenizer: its tokenizer.
        max_batch: most rows decoded at once; more wait. Lower it when memory runs out. None: 1,024, or fewer
        when they could take more than 4 GiB, on a CUDA device a quarter of its memory.
        dtype: number format to decode in. When it differs from the model's, the sampler keeps a converted
        copy of the weights, refreshed by `update`; otherwise it reads the model's own weights. While it
        samples from a small model (see `compiled`), most of them are there a second time. On a CUDA device it
        keeps the pages, joined weights and graphs of a paged step (see `paged`) between calls.
        apart: keep a copy in any case, so that it can sample while the model learns.

    Raises ModelError for a model whose cache or attention the sampler cannot represent.
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Any,
        *,
        max_batch: int | None = None,
        dtype: torch.dtype | None = None,
        apart: bool = False,
    ) -> None:
        source: Any = model
        if max_batch is not None and max_batch < 1:
            raise ModelError(f"max_batch {max_batch}: at least one row has to be decoded at once")
        if source.config._attn_implementation not in ("sdpa", "eager"):
            raise ModelError(
                f"attention {source.config._attn_implementation!r} is not supported by the local sampler: "
                "load the model with attn_implementation='sdpa'"
            )
        self.version = 0
        self.tokenizer = tokenizer
        self.max_batch = max_batch
        self._rows = max_batch or 0  # decoded at once
        self._position = 0  # bytes in the cache, once it is known
        self.shares_weights = not apart and (dtype is None or dtype == source.dtype)
        self._model: Any = source if self.shares_weights else converted_copy(source, dtype or source.dtype)
        self._context = context_limit(source)
        self._known: int = source.get_input_embeddings().weight.shape[0]  # tokens
        self._ends = stopping.end_tokens(source, tokenizer)
        self._endings: dict[tuple[str, ...], Endings] = {}
        self._decoder: PagedDecoder | None = None

    def sample(
        self,
        prompts: Sequence[Prompt],
        group_size: int,
        params: SamplingParams,
        seeds: Sequence[int],
        finished: Finished | None = None,
    ) -> list[tuple[Completion, ...]]:
        """See `Sampler.sample`. Raises ModelError for a prompt that leaves no room in the model's context."""
        jobs = [
            self._job(p * group_size + i, prompt, params, seed_paths.derive(seed, i))
            for p, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True))
            for i in range(group_size)
        ]
        if not jobs:
            return [() for _ in prompts]
        done: dict[int, Completion] = {}

        def complete(responses: Sequence[Response]) -> None:
            places = [response.job.index for response in responses]
            completions = self._completions(responses, [prompts[i // group_size] for i in places], params)
            for place, completion in zip(places, completions, strict=True):
                done[place] = completion
                if finished is not None:
                    finished(place, completion)

        with self._decoding():
            found = self._decoded(jobs, params, None if finished is None else complete)
        if finished is None:  # all texts at once
            complete(found)
        return [tuple(done[i + g] for g in range(group_size)) for i in range(0, len(jobs), group_size)]

    def stream(self, prompt: Prompt, params: SamplingParams, seed: int) -> Generator[str, None, Completion]:
        """Yield the response's text piece by piece (the prefill first, if any); returns the completion.

        The same text as sample 0 of `sample` with this seed. Half a character is held back until it is whole.
        Raises ModelError when `update` brings other weights on the way.
        """
        said = prompt.prefill
        if said:
            yield said
        with self._decoding():
            job = self._job(0, prompt, params, seed_paths.derive(seed, 0))
            self._prepare([job], params)
            engine = self._engine([job], params, compiled_weights(self._model), self._rows, stream=True)
        version = self.version
        while True:
            if self.version != version:
                raise ModelError("the sampler's weights changed while a response was being streamed")
            with self._decoding():
                done = engine.step()
                tokens = done[0].tokens if done else tuple(engine.tokens(0))
            if done:
                (completion,) = self._completions(done, [prompt], params)
                if completion.text[len(said) :]:
                    yield completion.text[len(said) :]
                return completion
            text = prompt.prefill + stopping.new_texts(self.tokenizer, [prompt.tokens], [tokens])[0]
            if text.startswith(said) and len(text) > len(said) and not text.endswith("\ufffd"):
                yield text[len(said) :]
                said = text

    def update(self, model: nn.Module) -> None:
        """Copy the weights and buffers of `model` (nothing to copy where they are shared); `version` rises by
        one.
        """
        if model is not self._model:
            with torch.no_grad():
                for mine, theirs in _paired_tensors(self._model, model):
                    mine.copy_(theirs)
        self.version += 1

    # -- parts -----------------------------------------------------------------------------------------------

    def _job(self, index: int, prompt: Prompt, params: SamplingParams, seed: int) -> Job:
        room = params.max_new_tokens
        if self._context is not None:
            room = min(room, self._context - len(prompt.tokens))
        if room < 1 or not prompt.tokens:
            most = "" if self._context is None else f" and at most {self._context - 1}"
            raise ModelError(
                f"prompt of {len(prompt.tokens)} tokens: the model needs at least 1{most}, "
                "so that a response has room"
            )
        if not 0 <= min(prompt.tokens) <= max(prompt.tokens) < self._known:
            raise ModelError(
                f"prompt with token {max(prompt.tokens)}: the model knows tokens 0 to {self._known - 1}; "
                "use the tokenizer that belongs to it"
            )
        return Job(index, prompt.tokens, seed, room)

    def _decoded(
        self,
        jobs: Sequence[Job],
        params: SamplingParams,
        told: Callable[[Sequence[Response]], None] | None,
    ) -> list[Response]:
        """The responses to all jobs; `told` gets them as they end."""
        self._prepare(jobs, params)
        weights = compiled_weights(self._model)
        threads = 1 if weights is None else most_threads(len(jobs), self._rows)

        def engine(part: Sequence[Job]) -> AnyEngine:
            return self._engine(part, params, weights, self._rows // threads, told is not None)

        return decode(engine, jobs, threads, told)

    def _prepare(self, jobs: Sequence[Job], params: SamplingParams) -> None:
        """Settle what ends a response and how many rows to decode at once."""
        if params.stop not in self._endings:
            vocabulary = self._model.get_output_embeddings().weight.shape[0]
            codes_V = stopping.code_table(self.tokenizer, vocabulary, self._ends, params.stop)
            self._endings[params.stop] = Endings(self.tokenizer, params.stop, codes_V)
        longest = max(len(job.prompt) + job.limit for job in jobs)
        if self.max_batch is None:
            self._position = self._position or position_bytes(self._model)
            paged = runs_paged(self._model)
            capacity = row_pages(longest, PAGE) * PAGE if paged else most_capacity(longest)
            self._rows = rows_within_memory(self._model, self._position, capacity)

    def _engine(
        self,
        jobs: Sequence[Job],
        params: SamplingParams,
        weights: CompiledWeights | None,
        rows: int,
        soon: bool = False,
        stream: bool = False,
    ) -> AnyEngine:
        """The fastest that there is for the model with its weights of now.

        Args:
            soon: whether somebody wants responses soon after they end.
            stream: each token by itself; other engines may be made and used beside this one.
        """
        endings = self._endings[params.stop]
        most: dict[str, int] = {"steps": 1} if stream else {"steps": _SOON} if soon else {}
        if weights is not None:
            return CompiledEngine(self._model, params, jobs, endings, rows, weights, **most)
        if runs_paged(self._model):
            decoder = self._paged(room_for(jobs, rows, PAGE), kept=not stream)
            return PagedEngine(params, jobs, endings, rows, decoder, **most)
        forward = lowered_forward(self._model)
        return Engine(self._model, params, jobs, endings, rows, forward)

    def _paged(self, room: Room, kept: bool) -> PagedDecoder:
        """A decoder with at least this room; the one that is kept has room for all calls so far."""
        if not kept:
            return PagedDecoder(self._model, room, PAGE)
        if self._decoder is not None:
            if self._decoder.serves(self._model, room):
                return self._decoder
            room = self._decoder.room.extended(room)
            self._decoder = None  # its memory goes before the next one's comes
        self._decoder = PagedDecoder(self._model, room, PAGE)
        return self._decoder

    def _completions(
        self, responses: Sequence[Response], prompts: Sequence[Prompt], params: SamplingParams
    ) -> list[Completion]:
        texts = stopping.new_texts(self.tokenizer, [p.tokens for p in prompts], [r.tokens for r in responses])
        return [
            Completion(
                prompt_tokens=prompt.tokens,
                tokens=response.tokens,
                logprobs=response.logprobs,
                sampling_logprobs=response.sampling_logprobs,
                text=prompt.prefill + stopping.cut(text, params.stop),
                finish=response.finish,
                policy_version=self.version,
            )
            for prompt, response, text in zip(prompts, responses, texts, strict=True)
        ]

    @contextmanager
    def _decoding(self) -> Iterator[None]:
        """Inference mode, dropout off, and memory exhaustion turned into advice."""
        training = self._model.training
        self._model.eval()
        try:
            with torch.inference_mode(), decode_attention_in_use(self._model):
                yield
        except (RuntimeError, MemoryError) as error:
            if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(
                error
            ):
                raise ModelError(
                    f"out of memory while sampling up to {self._rows} rows at once: "
                    "lower max_batch or max_new_tokens"
                ) from error
            raise
        finally:
            self._model.train(training)


def converted_copy(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of `model` with floating-point parameters in `dtype`; ties are kept.

    Parameters are converted while they are copied, so the peak is the model plus the copy. Buffers keep their
    own format: rotary frequencies and routing biases lose too much in 16 bits.
    """
    memo: dict[int, Any] = {
        id(p): nn.Parameter(p.detach().to(dtype, copy=True), requires_grad=False)
        for p in model.parameters()
        if p.is_floating_point()
    }
    return copy.deepcopy(model, memo).eval()


def _paired_tensors(mine: nn.Module, theirs: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    """(own, other) parameters and buffers by name. Raises ModelError when the models do not have the same
    ones.
    """
    own = dict(mine.named_parameters()) | dict(mine.named_buffers())
    other = dict(theirs.named_parameters()) | dict(theirs.named_buffers())
    if own.keys() != other.keys():
        differing = sorted(own.keys() ^ other.keys())
        raise ModelError(f"the updated model has other weights than the sampler's, e.g. {differing[0]!r}")
    return ((own[name], other[name]) for name in own)

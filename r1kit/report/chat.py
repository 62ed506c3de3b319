"""Talk to a model in the terminal: its thinking and its answer shown apart, as they are written."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from rich.console import Console
from rich.text import Text

from r1kit.errors import UserError
from r1kit.seeds import derive
from r1kit.text.tags import ANSWER_CLOSE, ANSWER_OPEN, THINK_CLOSE, THINK_OPEN
from r1kit.tracking.terminal import printable
from r1kit.types import Message, Problem

Part = Literal["thinking", "answer", "text"]
Answerer = Callable[[str, int], Iterator[str]]  # (question, turn) -> pieces of the response

_STYLES: dict[Part, str] = {"thinking": "dim", "answer": "bold", "text": ""}
_ENTERS: dict[str, Part] = {
    THINK_OPEN: "thinking",
    THINK_CLOSE: "text",
    ANSWER_OPEN: "answer",
    ANSWER_CLOSE: "text",
}


def chat(
    model: str,
    *,
    template: str = "chat",
    max_new_tokens: int = 512,
    temperature: float = 0.6,
    top_p: float = 0.95,
    seed: int = 0,
    device: str = "cpu",
) -> None:
    """Answer questions from the terminal, or each line of a pipe, until /quit or the end of the input.

    Every question stands alone: earlier turns are not shown to the model. `model` is a folder, a hub name or
    `micro`. Raises ModelError and the template's errors; Ctrl-C stops the answer, not the chat.
    """
    console = Console(highlight=False, markup=False)
    answer = load_answerer(model, template, max_new_tokens, temperature, top_p, seed, device)
    interactive = sys.stdin.isatty()
    if interactive:
        console.print(
            "Ctrl-C stops an answer; /quit or Ctrl-D leaves. Every question stands alone.", style="dim"
        )
    converse(_typed(console) if interactive else sys.stdin, answer, console, forgiving=interactive)


def load_answerer(
    model: str, template: str, max_new_tokens: int, temperature: float, top_p: float, seed: int, device: str
) -> Answerer:
    """Load `model` and return what streams its responses; turn t of a seed always draws the same numbers."""
    import torch

    from r1kit.models.load import load_model, load_tokenizer
    from r1kit.models.precision import resolve
    from r1kit.rollouts.local import LocalSampler
    from r1kit.rollouts.protocol import SamplingParams
    from r1kit.text.templates import render

    params = SamplingParams(max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p)
    tokenizer = load_tokenizer(model)
    sampler = LocalSampler(load_model(model, resolve("auto", torch.device(device)), device), tokenizer)

    def answer(question: str, turn: int) -> Iterator[str]:
        problem = Problem(f"chat/{turn}", "chat", (Message("user", question),), {})
        return sampler.stream(render(template, problem, tokenizer), params, derive(seed, "chat", turn))

    return answer


def converse(questions: Iterable[str], answer: Answerer, console: Console, *, forgiving: bool) -> None:
    """Show the response to each non-empty line. `forgiving`: a UserError is printed and the chat goes on."""
    for turn, line in enumerate(questions):
        question = line.strip()
        if question == "/quit":
            return
        if not question:
            continue
        try:
            show_response(answer(question, turn), console)
        except UserError as error:
            if not forgiving:
                raise
            console.print(Text(f"error: {printable(str(error))}", style="red"))


def show_response(pieces: Iterator[str], console: Console) -> None:
    """Print a response while it grows, under the headings "thinking" and "answer"; Ctrl-C cuts it short."""
    shown: Part = "text"
    fresh = True  # nothing of the current part has been printed
    ended = True  # the cursor is at the start of a line
    try:
        for part, raw in split_parts(pieces):
            text = printable(raw)
            if part != shown:
                shown, fresh = part, True
            text = text.lstrip() if fresh else text
            if not text:
                continue
            if fresh:
                lead = "" if ended else "\n"
                heading = "" if part == "text" else f"── {part} ──\n"
                console.print(Text(lead + heading, style="cyan"), end="")
                fresh = False
            console.print(Text(text, style=_STYLES[part]), end="", soft_wrap=True)
            ended = text.endswith("\n")
    except KeyboardInterrupt:
        console.print(Text(" (stopped)", style="yellow"), end="")
        ended = False
    console.print("" if ended else "\n")


def split_parts(pieces: Iterable[str]) -> Iterator[tuple[Part, str]]:
    """Text with the part it belongs to, tags removed; a tag may be spread over pieces.

    `["<thi", "nk>3+7", "</think>ok"]` gives `("thinking", "3+7"), ("text", "ok")`.
    """
    part: Part = "text"
    held = ""
    for piece in pieces:
        held += piece
        while (start := held.find("<")) >= 0:
            if start:
                yield part, held[:start]
                held = held[start:]
            tag = next((tag for tag in _ENTERS if held.startswith(tag)), None)
            if tag is not None:
                part, held = _ENTERS[tag], held[len(tag) :]
            elif any(tag.startswith(held) for tag in _ENTERS):
                break  # it may still become a tag
            else:
                yield part, held[0]
                held = held[1:]
        else:
            if held:
                yield part, held
            held = ""
    if held:
        yield part, held


def _typed(console: Console) -> Iterator[str]:
    """Lines typed at the prompt until Ctrl-D; Ctrl-C drops the line."""
    while True:
        try:
            yield console.input(Text("» ", style="bold cyan"))
        except EOFError:
            console.print()
            return
        except KeyboardInterrupt:
            console.print()

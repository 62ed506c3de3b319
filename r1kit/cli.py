"""The command `r1kit`: reads the arguments, runs one module of `commands`, turns errors into one line."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from r1kit import __version__
from r1kit.errors import Interrupted, UserError

INTERRUPTED = 130  # the shell's status of a command ended by Ctrl-C
USER_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit status: 0, 1 (some input lines were bad), 2 (user error), 130 (stopped)."""
    _open_streams()
    arguments = _parse(argv)
    try:
        status = _dispatch(arguments)
        sys.stdout.flush()
        return status
    except UserError as error:
        return _say(f"error: {error}", USER_ERROR)
    except Interrupted as stopped:
        return _say(str(stopped), INTERRUPTED)
    except KeyboardInterrupt:
        return _say("stopped", INTERRUPTED)
    except BrokenPipeError:
        _abandon_stdout()  # the reader (`| head`) has gone
        return 0
    except OSError as error:  # the file system's refusals that no part had a better word for
        _abandon_stdout()
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"error: {where}{error.strerror or error}", USER_ERROR)


def _open_streams() -> None:
    """Streams that exist (`<&-` leaves None) and that print any text (a terminal may know ASCII alone)."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - open to the end
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _abandon_stdout() -> None:
    """Drop what cannot be written: Python would complain of it again while it closes stdout."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say(text: str, status: int) -> int:
    from r1kit.tracking.terminal import printable

    print("r1kit:", " ".join(printable(text).split()), file=sys.stderr)
    return status


def _dispatch(arguments: argparse.Namespace) -> int:
    """Import only what the command needs: `r1kit --help` must not wait for torch."""
    match arguments.command:
        case "run":
            from r1kit.commands.run import run as command
        case "preflight":
            from r1kit.commands.preflight import preflight as command
        case "eval":
            from r1kit.commands.evaluate import evaluate as command
        case "score":
            from r1kit.commands.score import score as command
        case "chat":
            from r1kit.commands.show import chat as command
        case "show":
            from r1kit.commands.show import show as command
        case "lineage":
            from r1kit.commands.lineage import lineage as command
        case "review":
            from r1kit.commands.review import review as command
        case "tasks":
            from r1kit.commands.catalogue import tasks as command
        case "rewards":
            from r1kit.commands.catalogue import rewards as command
        case "algorithms":
            from r1kit.commands.catalogue import algorithms as command
        case "compare":
            from r1kit.commands.compare import compare as command
        case "reward-lab":
            from r1kit.commands.reward_lab import reward_lab as command
    return command(arguments)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = build_parser()
    arguments, rest = parser.parse_known_args(argv)
    # argparse takes no positional after an option, but `r1kit run laptop --out x seed=2` is natural.
    if rest and (arguments.command not in ("run", "preflight") or any(text.startswith("-") for text in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        arguments.overrides = [*arguments.overrides, *rest]
    return arguments


def build_parser() -> argparse.ArgumentParser:
    """The argument parser of every command."""
    parser = argparse.ArgumentParser(
        prog="r1kit", description="The DeepSeek-R1 training recipe, on a laptop CPU and with larger models."
    )
    parser.add_argument("--version", action="version", version=f"r1kit {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="run a recipe, or go on with one"))
    _add_preflight(commands.add_parser("preflight", help="what a recipe needs of memory and disk"))
    _add_eval(commands.add_parser("eval", help="test a model on a task"))
    _add_chat(commands.add_parser("chat", help="talk to a model; thinking and answer are shown apart"))
    _add_score(commands.add_parser("score", help="score stored completions, JSON lines in and out"))
    show = commands.add_parser("show", help="show a run in the terminal")
    show.add_argument("run", type=Path, help="run folder, e.g. runs/laptop")
    show.add_argument(
        "--against",
        metavar="STAGE|RUN",
        help="compare with this model, or with another run's (default: with the one each started from)",
    )
    _add_lineage(commands.add_parser("lineage", help="show which data and parents made a model"))
    _add_review(commands.add_parser("review", help="accept, edit or reject the examples of a stage"))
    commands.add_parser("tasks", help="list the tasks with their settings")
    rewards = commands.add_parser("rewards", help="list the rewards with their formulas")
    _add_file(rewards)
    _add_compare(commands.add_parser("compare", help="variants of a stage under one budget, over seeds"))
    commands.add_parser("algorithms", help="list the published algorithms and what each sets")
    _add_lab(commands.add_parser("reward-lab", help="try to fool rewards; score stored rollouts with others"))
    return parser


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="name of a packaged recipe, or a .yaml file")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="key=value",
        help="settings laid over it, e.g. stages.r1_zero.steps=10",
    )


def _add_preflight(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Estimates what each stage of a recipe takes of memory and disk, without loading a model, and "
        "names the settings to lower where it does not fit. Exit status 2 then."
    )
    _add_recipe(parser)
    parser.add_argument("--out", type=Path, help="run folder whose disk counts (default: runs/NAME)")
    parser.add_argument(
        "--measure",
        action="store_true",
        help="also run the longest batch of each stage, in a process of its own",
    )
    parser.add_argument(
        "--prompt-tokens",
        type=_at_least_one,
        metavar="N",
        help="longest prompt (default: that of the first problems, where they are generated; else 512)",
    )
    parser.add_argument(
        "--memory-gib", type=_at_least_one, metavar="N", help="of another machine (default: of this one)"
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    _add_recipe(parser)
    parser.add_argument(
        "--ignore-memory", action="store_true", help="start even where memory clearly does not suffice"
    )
    parser.add_argument("--out", type=Path, help="run folder (default: runs/NAME)")
    parser.add_argument("--resume", action="store_true", help="go on with the unfinished run in the folder")
    parser.add_argument(
        "--rerun-changed",
        action="store_true",
        help="delete and repeat the stages whose settings, code or inputs changed since they were run",
    )
    parser.add_argument("--only", metavar="STAGE", help="this stage alone ('base' only evaluates the base)")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done, and why")
    parser.add_argument("--quiet", action="store_true", help="no progress display")


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Runs variants of one stage of reinforcement learning, each with the same seeds under one budget, "
        "and sets them side by side. The same command goes on with what is missing."
    )
    parser.add_argument("recipe", help="name of a packaged recipe, or a .yaml file")
    parser.add_argument("--stage", help="the stage (default: the recipe's first of reinforcement learning)")
    parser.add_argument(
        "--presets", nargs="+", metavar="NAME", help="algorithms (see `r1kit algorithms`), or all"
    )
    parser.add_argument(
        "--vary",
        nargs="+",
        action="append",
        metavar=("KEY", "VALUE"),
        help="a setting and its values, e.g. --vary stages.r1_zero.group_size 4 16 64; may be repeated",
    )
    parser.add_argument(
        "--variant",
        nargs="+",
        action="append",
        metavar=("NAME", "key=value"),
        help="a variant by settings of its own, or none: the recipe as it is; may be repeated",
    )
    parser.add_argument("--budget", required=True, help="tokens=N (sampled by each run) or steps=N")
    parser.add_argument("--seeds", type=_at_least_one, default=3, help="runs of each (default: %(default)s)")
    parser.add_argument("--set", nargs="+", default=[], metavar="key=value", help="settings of every variant")
    parser.add_argument(
        "--scale-learning-rate",
        action="store_true",
        help="divide the learning rate by the square root of a variant's updates per step",
    )
    parser.add_argument(
        "--report-only", action="store_true", help="run nothing; the report of what has been run before"
    )
    parser.add_argument("--out", type=Path, help="folder (default: runs/compare-RECIPE)")
    parser.add_argument(
        "--parallel",
        type=_at_least_one,
        default=1,
        help="runs at a time, which share the cores (default: %(default)s)",
    )


def _at_least_one(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _add_model_options(parser: argparse.ArgumentParser, max_new_tokens: int) -> None:
    parser.add_argument("model", help="model folder, hub name, micro or nano")
    parser.add_argument("--template", default="chat", help="prompt template (default: %(default)s)")
    parser.add_argument("--temperature", type=float, default=0.6, help="default: %(default)s; 0 is greedy")
    parser.add_argument("--top-p", type=float, default=0.95, help="default: %(default)s")
    parser.add_argument(
        "--max-new-tokens", type=int, default=max_new_tokens, help="longest response (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument(
        "--device", default="auto", choices=["auto", "cpu", "cuda", "mps"], help="default: auto"
    )


def _add_eval(parser: argparse.ArgumentParser) -> None:
    _add_model_options(parser, max_new_tokens=512)
    parser.add_argument("--task", required=True, help="see `r1kit tasks`")
    parser.add_argument("--problems", type=int, default=100, help="test problems (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=16, help="samples per problem (default: %(default)s)")
    parser.add_argument(
        "--data",
        metavar="FILE",
        help=".jsonl or .parquet file, or hub data set, to test on",
    )
    _add_set(parser)
    parser.add_argument("--json", action="store_true", help="print the metrics as JSON")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the metrics to this JSON file")


def _add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="key=value",
        help="a setting of the task; may be repeated",
    )


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--file",
        action="append",
        default=[],
        metavar="FILE",
        help="Python file that defines further rewards; may be repeated (docs/rewards.md)",
    )


def _add_rewards(parser: argparse.ArgumentParser, *names: str) -> None:
    parser.add_argument(
        *names,
        dest="reward",
        action="append",
        default=[],
        metavar="NAME[=WEIGHT]",
        help="a reward, or several with commas between; may be repeated (default: accuracy=1, in any form, "
        "and format=0.1)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="[REWARD.]key=value",
        help="a parameter of a reward, or a setting of the task; may be repeated",
    )
    _add_file(parser)


def _add_chat(parser: argparse.ArgumentParser) -> None:
    _add_model_options(parser, max_new_tokens=512)


def _add_lineage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="run folder, e.g. runs/laptop")
    parser.add_argument("stage", nargs="?", help="stage to begin with (default: the last model)")
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def _add_review(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="run folder, e.g. runs/laptop")
    parser.add_argument("stage", nargs="?", help="stage that waits (default: the only one with a review)")


def _add_lab(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Runs rewards against a packaged corpus of completions that try to fool them and, with --rollouts, "
        "against what a run has sampled: what each earns, what is wrongly paid or not paid, the cheapest "
        "hack, how the terms correlate, and how the advantages of the run would have changed."
    )
    _add_rewards(parser, "--rewards", "--reward")
    parser.add_argument("--recipe", help="take the rewards of a recipe's stage instead")
    parser.add_argument("--stage", help="its stage (default: the first one with rewards)")
    parser.add_argument(
        "--rollouts",
        type=Path,
        metavar="FILE|RUN/STAGE",
        help="a rollouts.jsonl, a stage's folder (RUN/stages/STAGE), or RUN/STAGE",
    )
    parser.add_argument(
        "--task",
        action="append",
        default=[],
        help="corpus of this task alone; may be repeated (default: the recipe's, else all)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything to this JSON file")


def _add_score(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Reads one JSON object per line (`completion`, optionally `prompt` and `task`, and the reference "
        "under the task's own keys) and writes one line for each: verdict, extracted, terms, total."
    )
    parser.add_argument("--task", help="task of the lines that name none; see `r1kit tasks`")
    _add_rewards(parser, "--reward")
    parser.add_argument("--strict", action="store_true", help="stop at the first bad line")


if __name__ == "__main__":
    sys.exit(main())

"""`r1kit show` and `r1kit chat`: what a run did, and what its model says."""

from __future__ import annotations

import argparse


def show(arguments: argparse.Namespace) -> int:
    """Show a run folder in the terminal."""
    from r1kit.commands.console import command_console
    from r1kit.report.show import show as show_run

    show_run(arguments.run, command_console(), arguments.against)
    return 0


def chat(arguments: argparse.Namespace) -> int:
    """Talk to a model."""
    from r1kit.errors import UnknownNameError
    from r1kit.pipeline.base import checked_model
    from r1kit.pipeline.machine import choose_device
    from r1kit.report.chat import chat as talk
    from r1kit.text.templates import TEMPLATES

    if arguments.template not in TEMPLATES:
        raise UnknownNameError("template", arguments.template, TEMPLATES, "--template")
    talk(
        checked_model(arguments.model),
        template=arguments.template,
        max_new_tokens=arguments.max_new_tokens,
        temperature=arguments.temperature,
        top_p=arguments.top_p,
        seed=arguments.seed,
        device=choose_device(arguments.device),
    )
    return 0

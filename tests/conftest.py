"""Every test runs with fixed seeds, one thread and no network."""

from __future__ import annotations

import os
import random
import signal
import socket
from typing import Any

# Read by huggingface_hub and tokenizers when they are imported.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
# a shell lets what it starts in the background ignore Ctrl-C, which tests send
signal.signal(signal.SIGINT, signal.default_int_handler)

# Deadlines fail on a busy machine and random examples make failures hard to repeat.
settings.register_profile("repeatable", deadline=None, derandomize=True, database=None, max_examples=50)
settings.load_profile("repeatable")


SUMMARY = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SUMMARY] = []


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What tests leave to be read below their results: comparisons with other software."""
    for text in config.stash[SUMMARY]:
        terminalreporter.write_line(text)


@pytest.fixture
def summary(request: pytest.FixtureRequest) -> list[str]:
    """Texts that the report ends with."""
    return request.config.stash[SUMMARY]


@pytest.fixture(autouse=True)
def _fixed_seeds() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.socket.connect

    def only_local(self: socket.socket, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else "localhost"
        if host not in ("localhost", "127.0.0.1", "::1"):
            raise AssertionError(f"a test tried to reach {address!r}; tests run without a network")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", only_local)

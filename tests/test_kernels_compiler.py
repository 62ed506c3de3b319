"""How compiled loops are compiled: once, kept on disk, and rounding alike wherever they are found."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from r1kit.kernels import compiler
from r1kit.kernels.products import product_address


def in_a_new_process(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[1]
    variables = {**os.environ, "PYTHONPATH": str(root), **environment}
    return subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, timeout=120
    )


@pytest.mark.skipif(product_address(torch.float32) is None, reason="PyTorch without MKL")
def test_the_next_process_compiles_nothing_anew(tmp_path: Path) -> None:
    code = (
        "import torch; from r1kit.models.load import load_model, load_tokenizer as tokenizer;"
        "from r1kit.rollouts.local import LocalSampler; from r1kit.rollouts.protocol import SamplingParams;"
        "from r1kit.types import Prompt; from r1kit.kernels.decoding import decode;"
        "sampler = LocalSampler(load_model('nano', torch.float32, 'cpu'), tokenizer('nano'));"
        "sampler.sample([Prompt((3, 4, 5))], 1, SamplingParams(max_new_tokens=2), [0]);"
        "print(decode.stats.cache_hits.total(), decode.stats.cache_misses.total())"
    )
    found = [in_a_new_process(code, NUMBA_CACHE_DIR=str(tmp_path)).stdout.split() for _ in range(2)]
    assert found == [["0", "1"], ["1", "0"]]


MODEL = """
import hashlib, numpy as np, torch
from transformers import LlamaConfig, LlamaForCausalLM
torch.set_num_threads(1)
torch.manual_seed(4)
model = LlamaForCausalLM(LlamaConfig(
    vocab_size=41, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
    tie_word_embeddings=True, initializer_range=0.5,
))
def tell(*tensors):
    assert all(tensor.isfinite().all() for tensor in tensors)
    print(hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in tensors)).hexdigest())
"""
SAMPLE = """
from r1kit.rollouts.compiled import CompiledStep, compiled_weights
from r1kit.rollouts.protocol import SamplingParams
step, slots = CompiledStep(compiled_weights(model.eval()), 6), np.arange(6)
step.rows.tokens[:], step.rows.seeds[:], step.rows.limits[:] = slots + 3, slots, 50
drawn, logprobs = np.zeros((6, 50), np.int64), np.zeros((6, 50, 2), np.float32)
step.cache.reserve(slots, np.full(6, 50))
params = SamplingParams(temperature=0.9, top_p=0.95)
step.decode(slots, params, np.zeros(41, np.uint8), 50, 0, drawn, logprobs)
tell(torch.from_numpy(drawn), torch.from_numpy(logprobs))
"""
LEARN = """
from r1kit.models.written_decoder import written_decoder
lengths = torch.tensor([90, 7, 33])
places = torch.cat([row * 90 + torch.arange(n) for row, n in enumerate(lengths.tolist())])
states = written_decoder(model)(torch.randint(0, 41, (3, 90)), lengths, places, torch.float32)
(states * torch.randn(states.shape)).sum().backward()
tell(states.detach(), *(p.grad for p in model.model.parameters()))
"""


@pytest.mark.skipif(product_address(torch.float32) is None, reason="PyTorch without MKL")
@pytest.mark.parametrize(
    ("work", "outer"),
    [(SAMPLE, ("decode-", "attend-")), (LEARN, ("layer_back-", "attend_to_sequences-"))],
    ids=["sampling", "learning"],
)
def test_machine_code_just_compiled_and_found_again_rounds_alike(
    work: str, outer: tuple[str, ...], tmp_path: Path
) -> None:
    def digest() -> str:
        done = in_a_new_process(MODEL + work, NUMBA_CACHE_DIR=str(tmp_path))
        assert done.returncode == 0, done.stderr
        return done.stdout

    compiled_now = digest()
    assert digest() == compiled_now
    parts = [path for path in tmp_path.rglob("*") if any(name in path.name for name in outer)]
    assert len(parts) >= 4  # an index and machine code of each
    for path in parts:
        path.unlink()
    assert digest() == compiled_now  # with parts that were found and parts that were not


def test_where_no_folder_can_be_written_each_process_compiles_for_itself() -> None:
    code = (
        "import numpy as np; from r1kit.kernels import compiler, floats; x = np.arange(3, dtype=np.float32);"
        "print(repr(compiler._FOLDER), floats.highest(x))"
    )
    assert in_a_new_process(code, NUMBA_CACHE_DIR="/dev/null/nowhere").stdout.split() == ["''", "2.0"]


def test_an_installation_that_cannot_be_written_keeps_machine_code_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler.config, "CACHE_DIR", "")
    monkeypatch.setattr(compiler, "__file__", "/dev/null/r1kit/kernels/compiler.py")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = Path(compiler._folder())
    assert folder.is_dir()
    assert folder.parent == tmp_path / "r1kit"
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    assert compiler._folder() == ""


def test_loops_that_shall_be_interpreted_are_refused_in_one_line() -> None:
    found = in_a_new_process("import r1kit.kernels.heads", NUMBA_DISABLE_JIT="1")
    assert found.returncode == 1
    assert found.stderr.splitlines()[-1].startswith("r1kit.errors.UserError: NUMBA_DISABLE_JIT is set")


def test_what_other_sources_were_compiled_into_goes_a_month_after_its_last_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler.config, "CACHE_DIR", str(tmp_path))
    own = Path(compiler._folder())
    old, recent = tmp_path / f"kernels-{'0' * 16}", tmp_path / f"kernels-{'1' * 16}"
    others = tmp_path / "kernels-mine", tmp_path / "other"
    now = time.time()
    for folder in (old, recent, *others):
        folder.mkdir()
        (folder / "code").touch()
        os.utime(folder, (now, now - (29 if folder == recent else 31) * 86400))
    os.utime(own, (now, now - 31 * 86400))
    assert Path(compiler._folder()) == own
    assert not old.exists()
    assert all((folder / "code").exists() for folder in (recent, *others))
    assert own.stat().st_mtime == pytest.approx(now, abs=600)


def test_damaged_machine_code_is_compiled_anew(tmp_path: Path) -> None:
    code = (
        "import numpy as np; from r1kit.kernels import floats;"
        "print(floats.highest(np.arange(3, dtype=np.float32)), floats.highest.stats.cache_hits.total())"
    )

    def told() -> list[str]:
        done = in_a_new_process(code, NUMBA_CACHE_DIR=str(tmp_path))
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    assert told() == ["2.0", "0"]
    (index,) = tmp_path.rglob("floats.highest*.nbi")
    (kept,) = tmp_path.rglob("floats.highest*.nbc")
    for path, damaged in ((index, b""), (index, None), (kept, None), (kept, bytes(5000))):
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2] if damaged is None else damaged)
        assert told() == ["2.0", "0"]
    assert told() == ["2.0", "1"]

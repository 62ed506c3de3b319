"""Tiny random checkpoints on disk, for tests that need a real folder."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import torch

from r1kit.models.load import save_model
from r1kit.world.tokenizer import train_tokenizer

TEXTS = ["Use the numbers 3, 7, 8 to make 29. try 3+7=10 no. yes (3+7)*8 用数字3、7、8算出29。" * 3]

SHAPES = {
    "qwen2": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "tie_word_embeddings": True,
    },
    "deepseek_v3": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "moe_intermediate_size": 16,
        "num_hidden_layers": 2,
        "first_k_dense_replace": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "q_lora_rank": 16,
        "kv_lora_rank": 16,
        "qk_nope_head_dim": 8,
        "qk_rope_head_dim": 8,
        "v_head_dim": 8,
        "head_dim": 8,
        "n_routed_experts": 8,
        "n_shared_experts": 1,
        "num_experts_per_tok": 2,
        "n_group": 2,
        "topk_group": 1,
        "routed_scaling_factor": 2.5,
        "max_position_embeddings": 512,
    },
}


@cache
def checkpoint(kind: str) -> Path:
    """The folder of a random model of `kind` with a tokenizer of its own; made once per test process."""
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = train_tokenizer(TEXTS, 512)
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = AutoConfig.for_model(kind, vocab_size=len(tokenizer), **SHAPES[kind], **ids)
    torch.manual_seed(0)
    folder = Path(tempfile.mkdtemp(prefix=f"r1kit-tiny-{kind}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    save_model(AutoModelForCausalLM.from_config(config, dtype=torch.float32), tokenizer, folder)
    return folder

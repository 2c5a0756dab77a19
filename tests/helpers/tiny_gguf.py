"""A tiny random Llama as a GGUF file, with a byte-level tokenizer that splits numbers into digits, as SmolLM2's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import transformers
from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter, TokenType
from gguf.quants import quantize
from transformers.convert_slow_tokenizer import bytes_to_unicode

from random_weights import with_random_weights

CONTROL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = ["Ċ Ċ", "1 2", "Ġ 1", "Ġ 12", "t h", "th e", "Ġ the"]
"""Some of them join digits: the pre-tokenizer must keep them from being used."""
TOKENS = [*CONTROL_TOKENS, *bytes_to_unicode().values(), *(merge.replace(" ", "") for merge in MERGES)]
TEMPLATE = "{% for message in messages %}<|im_start|>{{ message.content }}<|im_end|>{% endfor %}"
NAMES = {
    "embed_tokens": "token_embd", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm", "model.norm": "output_norm", "model.layers": "blk", "lm_head": "output",
    "model.token_embd": "token_embd",
}  # fmt: skip
"""Parts of tensor names, transformers' and GGUF's, replaced in this order."""


def tiny_llama(tied: bool = True) -> Any:
    """A Llama of two layers, with two query heads for each key head."""
    settings: dict[str, Any] = {"rope_theta": 50_000.0, "tie_word_embeddings": tied}
    config = transformers.LlamaConfig(
        vocab_size=len(TOKENS), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, rms_norm_eps=1e-5, **settings,
    )  # fmt: skip
    return with_random_weights(transformers.LlamaForCausalLM(config)).eval()


def gguf_fields() -> dict[str, Any]:
    """Settings and tokenizer of `tiny_llama` as GGUF holds them."""
    control = [TokenType.CONTROL] * len(CONTROL_TOKENS)
    return {
        "llama.context_length": 128, "llama.block_count": 2, "llama.embedding_length": 32,
        "llama.feed_forward_length": 64, "llama.attention.head_count": 4, "llama.attention.head_count_kv": 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.rope.freq_base": 50_000.0,
        "llama.rope.dimension_count": 8, "llama.vocab_size": len(TOKENS),
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "smollm", "tokenizer.ggml.tokens": TOKENS,
        "tokenizer.ggml.token_type": [*control, *[TokenType.NORMAL] * (len(TOKENS) - len(control))],
        "tokenizer.ggml.merges": MERGES, "tokenizer.ggml.bos_token_id": 1, "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.unknown_token_id": 0, "tokenizer.ggml.padding_token_id": 2,
        "tokenizer.ggml.add_bos_token": False, "tokenizer.chat_template": TEMPLATE,
    }  # fmt: skip


def gguf_tensors(model: Any) -> dict[str, np.ndarray]:
    """Weights under GGUF's names, with the rows of each query and key head in its order: rotary pairs side by side."""
    tensors = {}
    for name, parameter in model.named_parameters():
        weight = parameter.detach().numpy()
        for part, part_in_gguf in NAMES.items():
            name = name.replace(part, part_in_gguf)
        if ".attn_q." in name or ".attn_k." in name:
            halves = weight.reshape(-1, 2, 4, 32)  # head, half, dimension, column
            weight = np.stack([halves[:, 0], halves[:, 1]], axis=2).reshape(weight.shape)
        tensors[name] = weight
    return tensors


def write_gguf(
    path: Path,
    fields: dict[str, Any],
    tensors: dict[str, np.ndarray],
    quantization: GGMLQuantizationType = GGMLQuantizationType.F32,
    architecture: str = "llama",
) -> Path:
    """Write a GGUF file; norms stay in fp32 under every quantization."""
    writer = GGUFWriter(path, architecture)
    for name, value in fields.items():
        writer.add_key_value(name, value, GGUFValueType.get_type(value))
    for name, weight in tensors.items():
        kind = GGMLQuantizationType.F32 if weight.ndim == 1 else quantization
        writer.add_tensor(name, quantize(np.ascontiguousarray(weight), kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path

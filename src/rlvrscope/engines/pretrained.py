"""A model's folder: found, loaded without running code of its own, and named by a hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError

from rlvrscope.errors import InputError, file_errors
from rlvrscope.tables.values import shorten

FILES = (
    "model*.safetensors", "model*.safetensors.index.json", "config.json", "generation_config.json", "tokenizer*",
    "vocab*", "merges.txt", "spiece.model", "special_tokens_map.json", "added_tokens.json", "chat_template.*",
)  # fmt: skip
"""Weights, settings and vocabulary: what is fetched of a model, and what its hash is of."""
NEEDED = {
    "settings": ("config.json",),
    "weights": ("model*.safetensors",),
    "tokenizer": ("tokenizer*", "vocab*", "spiece.model"),
}


def find_folder(model: str) -> Path:
    """Where the model's files lie. Raises InputError where neither a folder nor the hub has it."""
    if not model.strip():
        raise InputError("a model needs a name: a folder's, or one of the hub's")
    folder = Path(model)
    if not folder.is_dir():
        folder = _fetched(model)
    if (folder / "adapter_config.json").exists():
        raise InputError(f"{model} holds an adapter (LoRA): merge it into its base first, and save that")
    for what, names in NEEDED.items():
        if not any(any(folder.glob(name)) for name in names):
            raise InputError(f"{model}: there is no {what} in it ({', '.join(names)}), as save_pretrained writes them")
    return folder


def _fetched(model: str) -> Path:
    name, _, revision = model.partition("@")
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=list(FILES)))
    except HFValidationError as error:
        raise InputError(f"{model}: there is no such folder, and it is no name of the hub's") from error
    except Exception as error:
        raise InputError(
            f"{model}: there is no such folder, and the hub can't be reached or has no such model"
        ) from error


def load(folder: Path, model: str, device: torch.device) -> tuple[Any, Any]:
    """The model in fp32, and its tokenizer. Raises InputError for whatever transformers makes of a bad folder."""
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            both: Any = transformers.AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False, output_loading_info=True
            )
        loaded, keys = both
        missing = sorted({*keys["missing_keys"], *map(str, keys.get("mismatched_keys", ()))})
        if not missing:
            return loaded.to(device).eval(), tokenizer
    except Exception as error:
        raise InputError(f"{model}: transformers can't load a causal model from it: {reason_of(error)}") from error
    raise InputError(
        f"{model}: its weights are not those of a causal language model: {len(missing)} are missing, such as "
        f"{shorten(missing[0])}"
    )


def reason_of(error: Exception) -> str:
    """What a library says went wrong, in one line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:300]


@contextmanager
def quiet() -> Iterator[None]:
    """No bars and warnings of transformers: what matters of them is checked here."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def sha256_of(folder: Path) -> str:
    """Of the names and bytes of all that makes the model what it is."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and any(fnmatch(path.name, pattern) for pattern in FILES):
            with file_errors("read", path), path.open("rb") as file:
                digest.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def ends_of(generation_config: Any, tokenizer: Any) -> tuple[int, ...]:
    """The tokens that end a completion: as the model's generation settings say, or else its tokenizer."""
    said = generation_config.eos_token_id
    said = tokenizer.eos_token_id if said is None else said
    return tuple(said) if isinstance(said, list) else () if said is None else (said,)


def context_of(config: Any) -> int | None:
    """The tokens that a model holds; None where it does not say."""
    said = getattr(config.get_text_config(), "max_position_embeddings", None)
    return said if isinstance(said, int) and said > 0 else None

"""Pretrained models: folders found or fetched, loaded without running their code, identified by a hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError

from rlvrscope.errors import InputError
from rlvrscope.files import sha256_of
from rlvrscope.tables.values import shorten

FILES = (
    "model*.safetensors", "model*.safetensors.index.json", "config.json", "generation_config.json", "tokenizer*",
    "vocab*", "merges.txt", "spiece.model", "special_tokens_map.json", "added_tokens.json", "chat_template.*",
)  # fmt: skip
"""Weights, settings and vocabulary: the files that are fetched, and that the model's hash covers."""
REQUIRED_FILES = {
    "settings": ("config.json",),
    "weights": ("model*.safetensors",),
    "tokenizer": ("tokenizer*", "vocab*", "spiece.model"),
}
MAX_REASON = 300
"""Maximum length of a library's message, in characters."""


@dataclass(eq=False)
class Pretrained:
    """A causal language model in fp32, and its tokenizer.

    ends: tokens that end a completion. context: the most tokens it holds; None where its settings do not say.
    """

    name: str
    model: Any
    tokenizer: Any
    ends: tuple[int, ...]
    context: int | None
    sha256: str

    @classmethod
    def load(cls, name: str, device: torch.device) -> Pretrained:
        """Load a folder as `save_pretrained` writes it, or a hub model (NAME or NAME@REVISION), which is fetched.

        Only safetensors weights are read, and code that comes with a model is never run. Its generation settings are
        dropped, except for the end tokens: top-k or penalties would change the distribution. Raises InputError.
        """
        folder = find_folder(name)
        model, tokenizer = _load(folder, name, device)
        ends = _end_tokens(model.generation_config, tokenizer)
        model.generation_config = transformers.GenerationConfig(
            eos_token_id=list(ends) or None, pad_token_id=0, do_sample=False
        )
        context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
        context = context if isinstance(context, int) and context > 0 else None
        return cls(name, model, tokenizer, ends, context, _sha256(folder))

    @property
    def device(self) -> torch.device:
        return self.model.device

    def prompt_ids(self, prompt: str, chat: bool) -> list[int]:
        """Tokenise a prompt; with chat, inside the model's own chat template, up to the start of an answer."""
        if not chat:
            return self.tokenizer(prompt)["input_ids"]
        messages = [{"role": "user", "content": prompt}]
        text = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def completion_ids(self, completion: str, ended: bool) -> list[int]:
        """Tokenise a completion without its prompt; ended: with the first of the model's end tokens."""
        ids = self.tokenizer(completion, add_special_tokens=False)["input_ids"] if completion else []
        return [*ids, *self.ends[:1]] if ended else list(ids)


def reason_of(error: Exception) -> str:
    """Return a library's message in one line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:MAX_REASON]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence progress bars and warnings of transformers; the relevant conditions are checked here."""
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


def find_folder(name: str) -> Path:
    """Folder of a model, fetched if it is not there. Raises InputError if it lacks weights, settings or tokenizer."""
    if not name.strip():
        raise InputError("a model needs a name: a folder's, or one of the hub's")
    folder = Path(name) if Path(name).is_dir() else _fetch(name)
    if (folder / "adapter_config.json").exists():
        raise InputError(f"{name} holds an adapter (LoRA): merge it into its base first, and save that")
    for what, patterns in REQUIRED_FILES.items():
        if not any(any(folder.glob(pattern)) for pattern in patterns):
            raise InputError(
                f"{name}: there is no {what} in it ({', '.join(patterns)}), as save_pretrained writes them"
            )
    return folder


def _fetch(name: str) -> Path:
    repository, _, revision = name.partition("@")
    try:
        return Path(snapshot_download(repository, revision=revision or None, allow_patterns=list(FILES)))
    except HFValidationError as error:
        raise InputError(f"{name}: there is no such folder, and it is not a valid hub name") from error
    except Exception as error:
        raise InputError(
            f"{name}: there is no such folder, and the hub can't be reached or has no such model"
        ) from error


def _load(folder: Path, name: str, device: torch.device) -> tuple[Any, Any]:
    try:
        with quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
                folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=False, output_loading_info=True
            )
        model, keys = loaded
        missing = sorted({*keys["missing_keys"], *map(str, keys.get("mismatched_keys", ()))})
        if not missing:
            return model.to(device).eval(), tokenizer
    except Exception as error:
        raise InputError(f"{name}: transformers can't load a causal model from it: {reason_of(error)}") from error
    raise InputError(
        f"{name}: its weights are not those of a causal language model: {len(missing)} are missing, such as "
        f"{shorten(missing[0])}"
    )


def _sha256(folder: Path) -> str:
    """Hash of the names and bytes of the model's files."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and any(fnmatch(path.name, pattern) for pattern in FILES):
            digest.update(f"{path.name}\0{sha256_of(path)}\n".encode())
    return digest.hexdigest()


def _end_tokens(generation_config: Any, tokenizer: Any) -> tuple[int, ...]:
    """End tokens of the model's generation settings, or else of its tokenizer."""
    ends = generation_config.eos_token_id
    ends = tokenizer.eos_token_id if ends is None else ends
    return tuple(ends) if isinstance(ends, list) else () if ends is None else (ends,)

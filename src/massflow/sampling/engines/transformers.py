"""Any causal model that transformers can load: rows of one shape, in fp32, each drawn with its own cell's numbers.

A row is a prompt, padded on the left to the next multiple of WIDTH; a batch holds rows of one width, filled up with
copies: matrix products of another shape round otherwise. `generate` draws rows jointly, so it is handed its tokens.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from massflow.errors import InputError, file_errors
from massflow.extras import needs_extra
from massflow.sampling.engines.engine import Completion, Fact, Failure, Request, Result
from massflow.sampling.engines.memory import is_out_of_memory, rows_that_fit
from massflow.seeding import uniform_rows

if TYPE_CHECKING:
    from torch import Tensor

    from massflow.sampling.engines import Settings

ROWS, WIDTH = 64, 64
"""Rows of a batch, where memory allows it; tokens to whose multiples prompts are padded."""
MODEL_FILES = frozenset({".safetensors", ".json", ".model", ".txt", ".jinja"})
"""Weights, settings and vocabulary: what the model's hash is of."""
Row = tuple[Request, list[int]]
"""A cell and the tokens of its prompt."""


@dataclass(eq=False)
class TransformersEngine:
    """A model and its tokenizer. ends: tokens that end a completion. rows: of a batch, wanted.

    sizes: rows of a batch of each width, as memory allowed. context: tokens that the model can hold, where it says so.
    """

    model: Any
    tokenizer: Any
    identity: Mapping[str, Fact]
    ends: tuple[int, ...]
    context: int | None
    rows: int = ROWS
    honours_seeds: bool = True
    sizes: dict[int, int] = field(default_factory=dict)

    def run(self, requests: Iterator[Request]) -> Iterator[Result]:
        """A prompt that leaves no room for a completion is a Failure, as is one that one row's memory can't hold."""
        waiting: dict[int, list[Row]] = {}
        for request in requests:
            tokens = self._tokens(request)
            if (reason := self._unfit(tokens)) is not None:
                yield request, Failure(reason)
                continue
            width = -(-len(tokens) // WIDTH) * WIDTH
            batch = waiting.setdefault(width, [])
            batch.append((request, tokens))
            if len(batch) >= self._size(width):
                yield from self._batch(width, waiting.pop(width))
        for width, batch in waiting.items():
            yield from self._batch(width, batch)

    def close(self) -> None:
        """Let go of the weights."""
        self.model = None

    @property
    def _limit(self) -> int:
        return int(self.identity["max_tokens"] or 0)

    def _tokens(self, request: Request) -> list[int]:
        if not self.identity["chat"]:
            return self.tokenizer(request.prompt)["input_ids"]
        said = [{"role": "user", "content": request.prompt}]
        text = self.tokenizer.apply_chat_template(said, add_generation_prompt=True, tokenize=False)
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _unfit(self, tokens: Sequence[int]) -> str | None:
        if not tokens:
            return "its prompt has no tokens"
        if self.context is not None and len(tokens) + self._limit > self.context:
            return (
                f"its prompt has {len(tokens)} tokens and the completion up to {self._limit}; "
                f"the model holds {self.context}"
            )
        return None

    def _size(self, width: int) -> int:
        if width not in self.sizes:
            self.sizes[width] = min(self.rows, rows_that_fit(self.model, width, self._limit))
        return self.sizes[width]

    def _batch(self, width: int, rows: Sequence[Row]) -> list[Result]:
        """Halved for as long as memory does not suffice: it stays so for this width."""
        import torch

        while True:
            size = self._size(width)
            try:
                parts = [rows[first : first + size] for first in range(0, len(rows), size)]
                return [result for part in parts for result in self._draw(width, part, size)]
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            if size == 1:
                return [(request, Failure("the memory does not suffice for one row of it")) for request, _ in rows]
            self.sizes[width] = size // 2
            if self.model.device.type == "cuda":
                torch.cuda.empty_cache()

    def _draw(self, width: int, rows: Sequence[Row], size: int) -> list[Result]:
        """One batch of `size` rows, those that are left over filled with the first."""
        import torch

        filled = [*rows, *[rows[0]] * (size - len(rows))]
        start_B = [width - len(tokens) for _, tokens in filled]
        mask_BW = torch.tensor([[0] * start + [1] * (width - start) for start in start_B], device=self.model.device)
        ids_BW = torch.tensor([[0] * start + row[1] for start, row in zip(start_B, filled, strict=True)])
        uniform_BT = torch.from_numpy(uniform_rows([request.seed for request, _ in filled], self._limit))
        given = _Given(
            uniform_BT.to(self.model.device).double(),
            float(self.identity["temperature"] or 1.0),
            float(self.identity["top_p"] or 1.0),
        )
        with torch.inference_mode():
            out_BT = self.model.generate(
                input_ids=ids_BW.to(self.model.device), attention_mask=mask_BW, max_new_tokens=self._limit,
                logits_processor=[given],
            )[:, width:].tolist()  # fmt: skip
        logp_BT = torch.stack(given.logp, dim=1).tolist()
        note = "" if size == self.rows else f"a batch of {size} rows, not {self.rows}, for lack of memory"
        return [
            (request, self._completion(drawn, logp, note))
            for (request, _), drawn, logp in zip(rows, out_BT, logp_BT, strict=False)
        ]

    def _completion(self, drawn: list[int], logp: list[float], note: str) -> Completion:
        """What was drawn up to the token that ends it, which counts; what `generate` puts behind it does not."""
        end = next((place for place, token in enumerate(drawn) if token in self.ends), None)
        tokens = len(drawn) if end is None else end + 1
        text = self.tokenizer.decode(drawn[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return Completion(text, tokens, "length" if end is None else "stop", sum(logp[:tokens]), note)


@dataclass(eq=False)
class _Given:
    """A logits processor that leaves one token a row: drawn by inverse transform with the row's own numbers."""

    uniform_BT: Tensor
    temperature: float
    top_p: float
    logp: list[Tensor] = field(default_factory=list)
    """Of each step: log pi of the token, at temperature 1 and whole."""

    def __call__(self, _input_ids: Tensor, scores: Tensor) -> Tensor:
        import torch

        from massflow.lab.sampler import nucleus, pick

        logits_BV = scores.double()  # in fp32 a running sum over a large vocabulary loses the rare tokens
        plain_BV = logits_BV.log_softmax(dim=1)
        drawn_BV = plain_BV if self.temperature == 1.0 else (logits_BV / self.temperature).log_softmax(dim=1)
        if self.top_p < 1.0:
            drawn_BV = nucleus(drawn_BV, self.top_p)
        token_B1 = pick(drawn_BV, self.uniform_BT[:, len(self.logp)])
        self.logp.append(plain_BV.gather(1, token_B1)[:, 0])
        return torch.full_like(scores, -torch.inf).scatter_(1, token_B1, 0.0)


def open_engine(model: str, settings: Settings) -> TransformersEngine:
    """model: a folder as `save_pretrained` writes it, or the hub's name of one, which is fetched.

    Weights are read from safetensors only, and no code of the model's. Raises InputError for what can't be loaded.
    """
    with needs_extra("hf", "the transformers engine"):
        import torch
        import transformers
        from safetensors import SafetensorError
    from massflow.lab.device import check_device

    if settings.max_tokens is None:
        raise InputError("the transformers engine needs --max-tokens: models have no limit of their own")
    if settings.urls:
        raise InputError("the transformers engine has no server: leave --url out")
    device = check_device(settings.device or "cpu")
    folder = _folder(model)
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(f"{model}: transformers can't load a causal model from it: {reason}") from error
    if settings.chat and tokenizer.chat_template is None:
        raise InputError(f"{model}: its tokenizer has no chat template: leave --chat out, or name a --template")
    ends = _ends(loaded.generation_config, tokenizer)
    # its own file may hold top-k, penalties and more, which would make another distribution of it
    loaded.generation_config = transformers.GenerationConfig(
        eos_token_id=list(ends) or None, pad_token_id=ends[0] if ends else 0, do_sample=False
    )
    identity: dict[str, Fact] = {
        "engine": "transformers", "model": model, "model_hash": _sha256(folder), "chat": settings.chat,
        "temperature": settings.temperature, "top_p": settings.top_p, "max_tokens": settings.max_tokens,
        "dtype": "float32", "logprobs": "raw",
    }  # fmt: skip
    context = getattr(loaded.config.get_text_config(), "max_position_embeddings", None)
    return TransformersEngine(loaded.to(device).eval(), tokenizer, identity, ends, context, rows=settings.batch or ROWS)


def _folder(model: str) -> Path:
    """Where the model's files lie. Raises InputError where neither a folder nor the hub has it."""
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(model, allow_patterns=[f"*{suffix}" for suffix in sorted(MODEL_FILES)]))
    except HFValidationError as error:
        raise InputError(f"{model}: there is no such folder, and it is no name of the hub's") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"{model}: there is no such folder, and it can't be fetched: {type(error).__name__}"
        ) from error


def _sha256(folder: Path) -> str:
    """Of the names and bytes of all that makes the model what it is."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.iterdir() if path.suffix in MODEL_FILES):
        with file_errors("read", path), path.open("rb") as file:
            digest.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _ends(generation_config: Any, tokenizer: Any) -> tuple[int, ...]:
    """The tokens that end a completion: as the model's generation settings say, or else its tokenizer."""
    said = generation_config.eos_token_id
    said = tokenizer.eos_token_id if said is None else said
    return tuple(said) if isinstance(said, list) else () if said is None else (said,)

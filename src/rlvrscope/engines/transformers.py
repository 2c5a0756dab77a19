"""Any causal model that transformers can load, in fp32: drawn from as token trees where it reads them, and scored.

Batches hold rows of one width, the length of their prompts rounded up to a multiple of WIDTH tokens. A batch of a fixed
shape is filled up with copies, because matrix products of another shape round differently.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rlvrscope.engines.endings import Endings
from rlvrscope.engines.engine import Completion, Failure, Request, Result
from rlvrscope.engines.memory import BatchSizes
from rlvrscope.engines.samplers import PADDED_ROWS, RowSampler, choose_sampler
from rlvrscope.errors import InputError, WorkError
from rlvrscope.lab.device import check_device
from rlvrscope.lab.pretrained import Pretrained, reason_of
from rlvrscope.scoring import Fact, ScoreRequest, TokenScores
from rlvrscope.seeding import generator, uniform_rows

if TYPE_CHECKING:
    from rlvrscope.engines import Settings

WIDTH = 64
"""Prompts are padded to multiples of this many tokens."""
MAX_GAP = 1e-3
"""Nats by which a text's log-probabilities may differ between two ways of reading it."""
NOT_FINITE = "the model's log-probabilities are not finite: it has diverged, or its weights are damaged"
PromptRow = tuple[Request, list[int]]
"""A request and the tokens of its prompt."""
ScoreRow = tuple[list[int], list[int]]
"""The tokens of a prompt and of a completion."""


@dataclass(eq=False)
class TransformersEngine:
    """Draws from a pretrained model."""

    pretrained: Pretrained
    settings: Settings
    identity: Mapping[str, Fact]
    sampler: RowSampler
    endings: Endings
    batches: BatchSizes
    honours_seeds: bool = True

    def run(self, requests: Iterator[Request]) -> Iterator[Result]:
        """A prompt that leaves no room for a completion is a Failure, as is one whose single row exceeds memory.

        Raises WorkError for a model whose probabilities are not finite.
        """
        waiting: dict[int, list[PromptRow]] = {}
        prompt: str | None = None
        ids: list[int] = []
        for request in requests:
            if request.prompt != prompt:
                prompt, ids = request.prompt, self.pretrained.prompt_ids(request.prompt, self.settings.chat)
            if (reason := self._misfit(ids)) is not None:
                yield request, Failure(reason)
                continue
            width = _padded(len(ids))
            rows = waiting.setdefault(width, [])
            rows.append((request, ids))
            if len(rows) >= self.batches.size(width):
                yield from self._draw_rows(width, waiting.pop(width))
        for width, rows in waiting.items():
            yield from self._draw_rows(width, rows)

    def close(self) -> None:
        """Release the weights."""
        del self.sampler
        self.pretrained.model = self.batches.model = None

    def _misfit(self, ids: Sequence[int]) -> str | None:
        if not ids:
            return "its prompt has no tokens"
        context, limit = self.pretrained.context, self.batches.limit
        if context is not None and len(ids) + limit > context:
            return f"its prompt has {len(ids)} tokens and the completion up to {limit}; the model holds {context}"
        return None

    def _draw_rows(self, width: int, rows: Sequence[PromptRow]) -> list[Result]:
        results = self.batches.run(width, rows, lambda part, size: self._draw_batch(width, part, size))
        if results is None:
            return [(request, Failure("the memory does not suffice for one row of it")) for request, _ in rows]
        return results

    def _draw_batch(self, width: int, rows: Sequence[PromptRow], size: int) -> list[Result]:
        """Draw one batch of at most `size` rows; where its shape is fixed, missing rows are copies of the first."""
        filled = [*rows, *[rows[0]] * (size - len(rows))] if self.sampler.fixed_shape else rows
        uniform_BT = torch.from_numpy(uniform_rows([request.seed for request, _ in filled], self.batches.limit))
        out_BT, logp_BT = self.sampler.draw([ids for _, ids in filled], width, uniform_BT, len(rows))
        note = self._note(size)
        return [
            (request, self._completion(drawn, logps, note))
            for (request, _), drawn, logps in zip(rows, out_BT, logp_BT.tolist(), strict=False)
        ]

    def _completion(self, drawn: list[int], logps: list[float], note: str) -> Completion:
        tokens = self.endings.length(drawn)
        logp = sum(logps[:tokens])
        if not logp > -math.inf:
            raise WorkError(NOT_FINITE)
        at_end = drawn[tokens - 1] in self.pretrained.ends
        text = self.endings.text(drawn[: tokens - at_end])
        cut = self.settings.cut(text)
        finish = "stop" if at_end or cut is not None else "length"
        return Completion(text if cut is None else cut, tokens, finish, logp, note)

    def _note(self, size: int) -> str:
        """Note a device or a fixed shape other than the usual one: the text may differ from another run's."""
        device, max_rows = self.pretrained.device.type, self.batches.max_rows
        if not self.sampler.fixed_shape:
            return "" if device == "cpu" else f"on {device}"
        if size == PADDED_ROWS and device == "cpu":
            return ""
        return f"{size} rows on {device}" + (f", for lack of memory for {max_rows}" if size < max_rows else "")


@dataclass(eq=False)
class TransformersScorer:
    """Scores completions under a pretrained model, in batches padded on the right, which causal models do not read.

    Prompt and completion are tokenised separately. Where that splits a drawn text into other tokens than were drawn,
    the score is that of the new split.
    """

    pretrained: Pretrained
    identity: Mapping[str, Fact]
    chat: bool
    batches: BatchSizes

    def score(self, requests: Sequence[ScoreRequest]) -> list[TokenScores]:
        """Raises InputError for an empty prompt and for a text longer than the model holds; WorkError where a single
        row exceeds memory, and for a model whose probabilities are not finite."""
        rows = [self._row(request) for request in requests]
        places_of: dict[int, list[int]] = {}
        for place, (prompt, completion) in enumerate(rows):
            places_of.setdefault(_padded(len(prompt) + len(completion)), []).append(place)
        score_of: dict[int, TokenScores] = {}
        for width, places in places_of.items():
            scores = self.batches.run(width, [rows[place] for place in places], lambda part, _: self._score(part))
            if scores is None:
                raise WorkError(f"the memory does not suffice to score one text of {width} tokens")
            score_of |= zip(places, scores, strict=True)
        return [score_of[place] for place in range(len(rows))]

    def close(self) -> None:
        """Release the weights."""
        self.pretrained.model = self.batches.model = None

    def _row(self, request: ScoreRequest) -> ScoreRow:
        prompt = self.pretrained.prompt_ids(request.prompt, self.chat)
        completion = self.pretrained.completion_ids(request.completion, request.ended)
        tokens, context = len(prompt) + len(completion), self.pretrained.context
        if not prompt:
            raise InputError(f"problem {request.problem.id!r}: its prompt has no tokens")
        if context is not None and tokens > context:
            raise InputError(
                f"problem {request.problem.id!r}: prompt and completion have {tokens} tokens; the model holds {context}"
            )
        return prompt, completion

    @torch.inference_mode()
    def _score(self, rows: Sequence[ScoreRow]) -> list[TokenScores]:
        width = max(len(prompt) + len(completion) for prompt, completion in rows)
        padded = [[*prompt, *completion] + [0] * (width - len(prompt) - len(completion)) for prompt, completion in rows]
        mask = [[int(place < len(prompt) + len(completion)) for place in range(width)] for prompt, completion in rows]
        device = self.pretrained.device
        logits_BTV = self.pretrained.model(
            input_ids=torch.tensor(padded, device=device),
            attention_mask=torch.tensor(mask, device=device),
            use_cache=False,
        ).logits
        return [_token_scores(logits_TV, *row) for logits_TV, row in zip(logits_BTV, rows, strict=True)]


def _token_scores(logits_TV: Tensor, prompt: Sequence[int], completion: Sequence[int]) -> TokenScores:
    """Scores of one row: the logits at a token predict the next one."""
    first = len(prompt) - 1
    logp_TV = logits_TV[first : first + len(completion)].double().log_softmax(dim=1)
    token_T1 = torch.tensor(completion, dtype=torch.long, device=logits_TV.device)[:, None]
    logps = logp_TV.gather(1, token_T1)[:, 0].tolist()
    if not all(map(math.isfinite, logps)):
        raise WorkError(NOT_FINITE)
    return TokenScores(tuple(completion), tuple(logps))


def open_engine(model: str, settings: Settings) -> TransformersEngine:
    """Open a folder as `save_pretrained` writes it, or a hub model (NAME or NAME@REVISION), to draw from.

    Raises InputError for what can't be loaded, and for a model whose log-probabilities depend on padding or on later
    tokens.
    """
    if settings.max_tokens is None:
        raise InputError(
            "the transformers engine needs --max-tokens (and --stop '\\n' where an answer is a line): models set none"
        )
    return _open(model, settings, settings.max_tokens)


def open_scorer(model: str, settings: Settings) -> TransformersScorer:
    """Open a folder or a hub model to score with, after the same checks as `open_engine`. Raises InputError."""
    if settings.max_tokens is not None or settings.stop:
        raise InputError("a scorer draws nothing: leave max_tokens and stop out")
    engine = _open(model, settings, max_tokens=1)
    identity = {name: engine.identity[name] for name in ("engine", "model", "model_hash", "chat", "dtype")}
    batches = BatchSizes(engine.pretrained.model, engine.batches.max_rows, logits=2, every_token=True)
    return TransformersScorer(engine.pretrained, identity, settings.chat, batches)


def live_scorer(model: Any, tokenizer: Any, ends: Sequence[int], chat: bool, rows: int) -> TransformersScorer:
    """Score with a model in memory, in the dtype of its weights, in batches of at most `rows`."""
    name = str(model.config._name_or_path)
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    pretrained = Pretrained(name, model, tokenizer, tuple(ends), context, sha256="")
    identity = {"engine": "transformers", "model": name, "model_hash": ""}
    return TransformersScorer(pretrained, identity, chat, BatchSizes(model, rows, logits=2, every_token=True))


def _open(model: str, settings: Settings, max_tokens: int) -> TransformersEngine:
    if settings.urls:
        raise InputError("the transformers engine has no server: leave --url out")
    pretrained = Pretrained.load(model, check_device(settings.device or "cpu"))
    if settings.chat and pretrained.tokenizer.chat_template is None:
        raise InputError(f"{model}: its tokenizer has no chat template: leave --chat out, or name a --template")
    if pretrained.context is not None and max_tokens >= pretrained.context:
        raise InputError(f"{model} holds {pretrained.context} tokens: --max-tokens must leave room for a prompt")
    identity: dict[str, Fact] = {
        "engine": "transformers", "model": model, "model_hash": pretrained.sha256, "chat": settings.chat,
        "temperature": settings.temperature, "top_p": settings.top_p, "max_tokens": max_tokens, "dtype": "float32",
        "logprobs": "raw", **settings.stop_facts,
    }  # fmt: skip
    endings = Endings(pretrained, settings)
    sampler = choose_sampler(pretrained, endings)
    max_rows = settings.batch or _usual_rows(sampler.usual_rows(max_tokens), settings.requested)
    batches = BatchSizes(pretrained.model, max_rows, max_tokens, sampler.row_logits)
    engine = TransformersEngine(pretrained, settings, identity, sampler, endings, batches)
    _check_distribution(engine)
    return engine


def _check_distribution(engine: TransformersEngine) -> None:
    """Draw from random prompts, token by token, and read each whole text at once.

    Raises InputError where log-probabilities differ: so for recurrent models that read the padding, and for encoders
    that look ahead.
    """
    name = engine.pretrained.name
    try:
        engine.pretrained.prompt_ids("1 + 1 =", engine.settings.chat)
        gap = _largest_gap(engine)
    except Exception as error:
        raise InputError(f"{name}: it can be loaded, and nothing drawn from it: {reason_of(error)}") from error
    if math.isnan(gap):
        raise InputError(f"{name}: its probabilities are no numbers: it has diverged, or its weights are damaged")
    if gap > MAX_GAP:
        raise InputError(
            f"{name}: its log-probabilities of a text change by {gap:.2g} nats with padding or with later tokens: the "
            "transformers engine can't use it. A server may (--engine openai)."
        )


def _largest_gap(engine: TransformersEngine) -> float:
    """Return the largest difference in nats between the log-probability of a drawn token and that in the whole text."""
    rng = generator(0, "trial")
    model, context = engine.pretrained.model, engine.pretrained.context or 64
    count = min(4, context - 1)
    vocabulary = model.config.get_text_config().vocab_size
    rows = [rng.integers(vocabulary, size=min(10, context - count)).tolist() for _ in range(8)]
    drawn_BT, logp_BT = engine.sampler.draw(rows, min(64, context - count), torch.from_numpy(rng.random((8, count))))
    gap = 0.0
    for row, drawn, logp_T in zip(rows, drawn_BT, logp_BT, strict=True):
        length = engine.endings.length(drawn)
        with torch.inference_mode():
            logits_TV = model(torch.tensor([row + drawn[:length]], device=model.device)).logits[0].double()
        logp_TV = logits_TV[len(row) - 1 : -1].log_softmax(dim=1)
        plain_T = logp_TV.gather(1, torch.tensor(drawn[:length], device=model.device)[:, None])[:, 0]
        gap = max(gap, (plain_T - logp_T[:length]).abs().max().item(), key=lambda value: (math.isnan(value), value))
    return gap


def _usual_rows(most: int, requested: int | None) -> int:
    """Rows of a batch: the power of two that holds all requested samples, which resuming does not change, if below
    `most`."""
    return most if requested is None else min(most, 1 << (requested - 1).bit_length())


def _padded(tokens: int) -> int:
    return -(-tokens // WIDTH) * WIDTH

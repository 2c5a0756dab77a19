"""Any causal model that transformers can load: rows of one shape, in fp32, each drawn with its own cell's numbers.

A row is a prompt, padded on the left to the next multiple of WIDTH; a batch holds rows of one width, filled up with
copies: matrix products of another shape round otherwise. `generate` draws rows jointly, so it is handed its tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rlvrscope.engines.engine import Completion, Fact, Failure, Request, Result
from rlvrscope.engines.memory import is_out_of_memory, rows_that_fit
from rlvrscope.errors import InputError, WorkError
from rlvrscope.extras import needs_extra
from rlvrscope.seeding import generator, uniform_rows

if TYPE_CHECKING:
    from torch import Tensor

    from rlvrscope.engines import Settings

ROWS, WIDTH = 64, 64
"""Rows of a batch, where memory allows it; tokens to whose multiples prompts are padded."""
APART = 1e-3
"""Nats by which one text's log-probabilities may differ between two ways of reading it."""
Row = tuple[Request, list[int]]
"""A cell and the tokens of its prompt."""


@dataclass(eq=False)
class TransformersEngine:
    """A model and its tokenizer. ends: tokens that end a completion. context: tokens that it holds, where it says so.

    rows: of a batch, wanted; sizes: of a batch of each width, as memory allowed. honours_seeds: False for a model whose
    rows look at each other's rounding, such as mixtures of experts: a text may then differ, once in a long while.
    """

    model: Any
    tokenizer: Any
    settings: Settings
    identity: Mapping[str, Fact]
    ends: tuple[int, ...]
    context: int | None
    honours_seeds: bool = True
    rows: int = ROWS
    sizes: dict[int, int] = field(default_factory=dict)

    def run(self, requests: Iterator[Request]) -> Iterator[Result]:
        """A prompt that leaves no room for a completion is a Failure, as is one that one row's memory can't hold.

        Raises WorkError for a model whose probabilities are no numbers.
        """
        waiting: dict[int, list[Row]] = {}
        prompt: str | None = None
        tokens: list[int] = []
        for request in requests:
            if request.prompt != prompt:
                prompt, tokens = request.prompt, self.tokens(request.prompt)
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

    def tokens(self, prompt: str) -> list[int]:
        """As the tokenizer has them; of a chat, in the model's own template, with what begins an answer."""
        if not self.settings.chat:
            return self.tokenizer(prompt)["input_ids"]
        said = [{"role": "user", "content": prompt}]
        text = self.tokenizer.apply_chat_template(said, add_generation_prompt=True, tokenize=False)
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def draw(self, rows: Sequence[Sequence[int]], width: int, uniform_BT: Tensor) -> tuple[list[list[int]], Tensor]:
        """Tokens drawn after each of the rows, and log pi of each, (B, T): T as many as were needed.

        What stands behind the token that ends a row is no part of it. uniform_BT: a number for each token to draw.
        """
        import torch

        from rlvrscope.engines.pretrained import quiet

        device = self.model.device
        start_B = [width - len(row) for row in rows]
        mask_BW = torch.tensor([[0] * start + [1] * (width - start) for start in start_B], device=device)
        ids_BW = torch.tensor(
            [[0] * start + list(row) for start, row in zip(start_B, rows, strict=True)], device=device
        )
        given = _Given(uniform_BT.to(device).double(), self.settings.temperature, self.settings.top_p)
        with torch.inference_mode(), quiet():  # padding is counted as if it were text: no cause for warnings
            out_BT = self.model.generate(
                input_ids=ids_BW, attention_mask=mask_BW, max_new_tokens=uniform_BT.shape[1], logits_processor=[given]
            )
        return out_BT[:, width:].tolist(), torch.stack(given.logp, dim=1)

    def length(self, drawn: Sequence[int]) -> int:
        """Tokens of a completion, with the one that ends it."""
        return next((place + 1 for place, token in enumerate(drawn) if token in self.ends), len(drawn))

    @property
    def _limit(self) -> int:
        return self.settings.max_tokens or 0

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
                return [result for part in parts for result in self._filled(width, part, size)]
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            if size == 1:
                return [(request, Failure("the memory does not suffice for one row of it")) for request, _ in rows]
            self.sizes[width] = size // 2
            if self.model.device.type == "cuda":
                torch.cuda.empty_cache()

    def _filled(self, width: int, rows: Sequence[Row], size: int) -> list[Result]:
        """One batch of `size` rows, those that are left over filled with the first."""
        import torch

        filled = [*rows, *[rows[0]] * (size - len(rows))]
        uniform_BT = torch.from_numpy(uniform_rows([request.seed for request, _ in filled], self._limit))
        out_BT, logp_BT = self.draw([tokens for _, tokens in filled], width, uniform_BT)
        note = self._note(size)
        return [
            (request, self._completion(drawn, logp, note))
            for (request, _), drawn, logp in zip(rows, out_BT, logp_BT.tolist(), strict=False)
        ]

    def _completion(self, drawn: list[int], logp: list[float], note: str) -> Completion:
        count = self.length(drawn)
        total = sum(logp[:count])
        if not total > -float("inf"):
            raise WorkError("the model's log-probabilities are not finite: it has diverged, or its weights are damaged")
        ended = drawn[count - 1] in self.ends
        said = drawn[: count - 1] if ended else drawn
        text = self.tokenizer.decode(said, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return Completion(text, count, "stop" if ended else "length", total, note)

    def _note(self, size: int) -> str:
        """Of another shape or device than the usual one: a text may then differ from another time's."""
        device = self.model.device.type
        if size == ROWS and device == "cpu":
            return ""
        return f"{size} rows on {device}" + (f", for lack of memory for {self.rows}" if size < self.rows else "")


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

        from rlvrscope.lab.decoding import inverse_transform, next_token_logp

        logits_BV = scores.double()  # in fp32 a running sum over a large vocabulary loses the rare tokens
        plain_BV = logits_BV.log_softmax(dim=1)
        drawn_BV = next_token_logp(logits_BV, plain_BV, self.temperature, self.top_p)
        token_B1 = inverse_transform(drawn_BV, self.uniform_BT[:, len(self.logp)])
        self.logp.append(plain_BV.gather(1, token_B1)[:, 0])
        return torch.full_like(scores, -torch.inf).scatter_(1, token_B1, 0.0)


def open_engine(model: str, settings: Settings) -> TransformersEngine:
    """model: a folder as `save_pretrained` writes it, or the hub's name of one (NAME@REVISION), which is fetched.

    Weights are read from safetensors only, and no code of the model's. Raises InputError for what can't be loaded, and
    for a model that does not say the same of a text padded or not, read at once or token by token.
    """
    with needs_extra("hf", "the transformers engine"):
        import transformers

        from rlvrscope.engines.pretrained import context_of, ends_of, find_folder, load, sha256_of
    from rlvrscope.lab.device import check_device

    if settings.max_tokens is None:
        raise InputError("the transformers engine needs --max-tokens: models have no limit of their own")
    if settings.urls:
        raise InputError("the transformers engine has no server: leave --url out")
    device = check_device(settings.device or "cpu")
    folder = find_folder(model)
    loaded, tokenizer = load(folder, model, device)
    if settings.chat and tokenizer.chat_template is None:
        raise InputError(f"{model}: its tokenizer has no chat template: leave --chat out, or name a --template")
    context = context_of(loaded.config)
    if context is not None and settings.max_tokens >= context:
        raise InputError(f"{model} holds {context} tokens: --max-tokens must leave room for a prompt")
    ends = ends_of(loaded.generation_config, tokenizer)
    # its own file may hold top-k, penalties and more, which would make another distribution of it
    loaded.generation_config = transformers.GenerationConfig(
        eos_token_id=list(ends) or None, pad_token_id=0, do_sample=False
    )
    identity: dict[str, Fact] = {
        "engine": "transformers", "model": model, "model_hash": sha256_of(folder), "chat": settings.chat,
        "temperature": settings.temperature, "top_p": settings.top_p, "max_tokens": settings.max_tokens,
        "dtype": "float32", "logprobs": "raw",
    }  # fmt: skip
    engine = TransformersEngine(loaded, tokenizer, settings, identity, ends, context, rows=settings.batch or ROWS)
    engine.honours_seeds = _check_law(engine, model)
    return engine


def _check_law(engine: TransformersEngine, model: str) -> bool:
    """Whether a row is the same, to the last bit, whatever rows are beside it; tried on a prompt of random tokens.

    Raises InputError if what is drawn, padded and token by token, is not what the model says of the whole text read at
    once: so of recurrent models that read the padding, and of those that look ahead.
    """
    from rlvrscope.engines.pretrained import reason_of

    try:
        engine.tokens("1 + 1 =")
        apart, alike = _tried(engine)
    except Exception as error:
        raise InputError(f"{model}: it can be loaded, and nothing drawn from it: {reason_of(error)}") from error
    if apart != apart:
        raise InputError(f"{model}: its probabilities are no numbers: it has diverged, or its weights are damaged")
    if apart > APART:
        raise InputError(
            f"{model}: what it says of a text changes by {apart:.2g} nats with padding or with what follows: "
            "the transformers engine can't sample it. A server may (--engine openai)."
        )
    return alike


def _tried(engine: TransformersEngine) -> tuple[float, bool]:
    """The largest difference of a log-probability from that of the text read at once; and whether bits are alike."""
    import torch

    rng = generator(0, "law")
    vocabulary, room = engine.model.config.get_text_config().vocab_size, engine.context or 64
    count = min(4, room - 1)
    rows = [rng.integers(vocabulary, size=min(10, room - count)).tolist() for _ in range(12)]
    uniform_BT, width = torch.from_numpy(rng.random((8, count))), min(64, room - count)
    once, again = (engine.draw([*rows[:4], *others], width, uniform_BT) for others in (rows[4:8], rows[8:]))
    apart, alike = 0.0, True
    for place, row in enumerate(rows[:4]):
        drawn, logp_T = once[0][place], once[1][place]
        length = engine.length(drawn)
        alike &= drawn[:length] == again[0][place][:length]
        alike &= torch.equal(logp_T[:length], again[1][place][:length])
        whole = torch.tensor([row + drawn[:length]], device=engine.model.device)
        with torch.inference_mode():
            law_TV = engine.model(whole).logits[0].double().log_softmax(dim=1)
        said_T = law_TV[len(row) - 1 : -1].gather(1, whole[0, len(row) :, None])[:, 0]
        apart = max(apart, (said_T - logp_T[:length]).abs().max().item(), key=lambda gap: (gap != gap, gap))
    return apart, alike

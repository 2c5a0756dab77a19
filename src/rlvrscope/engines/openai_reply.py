"""Replies of OpenAI-compatible servers: completions, or the kind of trouble. Nothing in a reply is trusted.

A choice with a finish reason is a sample, whatever its text: drawing again what was cut off inside its reasoning would
make every rate conditional on finishing.
"""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from rlvrscope.engines.engine import LIMIT_WORDS, NO_TEXT, TRUNCATED, Completion
from rlvrscope.files import parse_json

MAX_EXCERPT, MAX_FINISH = 4096, 40
"""Characters of a bad reply that its reason is made of, and of a finish reason that is stored."""
MAX_COUNT, MAX_LOGP = 1 << 31, 1e9
"""Largest number of tokens, and size of a token's log-probability; a choice with larger ones is no sample."""
ABORTED = (
    "abort", "aborted", "error", "timeout", "cancelled", "canceled", "insufficient_system_resource", "network_error",
    "content_filter", "content-filter", "safety", "recitation", "blocklist", "prohibited_content", "spii", "sensitive",
)  # fmt: skip
"""Finish reasons of a text that the server cut short or changed, which is no sample of the model: of DeepSeek and Z.ai,
and of filters (OpenAI's, Gemini's, Z.ai's)."""
MESSAGE_FIELDS = {"content", "reasoning_content", "reasoning", "refusal", "tool_calls"}
"""Fields of a chat's message, at least one of which must be there."""
REFUSAL, TOOL_CALLS = "refusal", "tool calls, not kept"
"""Notes of a completion."""


class TroubleError(Exception):
    """The same request may succeed later.

    wait: seconds that the server asks for. spent: seconds of patience that the request has used up already.
    """

    def __init__(self, reason: str, wait: float = 0.0, spent: float = 0.0) -> None:
        super().__init__(reason)
        self.wait, self.spent = wait, spent


class UnreachedError(TroubleError):
    """No server listens at the address."""


class RefusedError(Exception):
    """This request will never succeed; another one may."""


class HopelessError(Exception):
    """No request will succeed: a wrong key, model or address."""


def read_reply(status: int, headers: Mapping[str, str], body: bytes, limit: int) -> list[Completion]:
    """Return 1 to `limit` completions, in the order of their index.

    Raises TroubleError (408, 409, 425, 429, 5xx, or no usable choice), HopelessError (3xx, 401 to 405) and RefusedError
    (other 4xx).
    """
    if status != 200:
        reason = f"status {status}: {_excerpt(body)}"
        if status in (408, 409, 425, 429) or status >= 500:
            raise TroubleError(reason, retry_after(headers.get("retry-after", "")))
        raise (HopelessError if status < 400 or status in (401, 402, 403, 404, 405) else RefusedError)(reason)
    try:
        reply = parse_json(body)
    except ValueError:
        raise TroubleError(f"no JSON: {_excerpt(body)}") from None
    choices = reply.get("choices") if isinstance(reply, dict) else None
    if not isinstance(choices, list) or not choices:
        raise TroubleError(f"no choices: {_excerpt(body)}")
    by_index: dict[int, Completion] = {}  # a repeated choice counts once
    for place, choice in enumerate(choices):
        completion = _completion(choice, reply.get("usage") if len(choices) == 1 else None)
        index = choice.get("index", place) if isinstance(choice, dict) else place
        if completion is not None and type(index) is int:
            by_index.setdefault(index, completion)
    if not by_index:
        raise TroubleError(f"no choice that is finished and can be read: {_excerpt(body)}")
    return [by_index[index] for index in sorted(by_index)][:limit]


def retry_after(value: str, now: float | None = None) -> float:
    """Return the seconds to wait, from a number or a date; 0 for anything else.

    >>> retry_after("2.5"), retry_after("Thu, 01 Jan 1970 00:01:00 GMT", now=50.0), retry_after("soon")
    (2.5, 10.0, 0.0)
    """
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - (time.time() if now is None else now)
        except (ValueError, OverflowError, TypeError, IndexError):
            return 0.0
    return seconds if 0.0 <= seconds < math.inf else 0.0


class _Message(NamedTuple):
    """The text and the reasoning of a choice."""

    text: str
    reasoning: str = ""
    note: str = ""


def _completion(choice: Any, usage: Any) -> Completion | None:
    """A choice of either API; None if the server aborted it or it can't be read."""
    if not isinstance(choice, dict):
        return None
    message = choice.get("message")
    message = _chat_message(message) if isinstance(message, dict) else _plain_message(choice.get("text"))
    finish = choice.get("finish_reason")
    if message is None or not isinstance(finish, str) or not finish or finish.lower() in ABORTED:
        return None
    finish = TRUNCATED if finish.lower() in LIMIT_WORDS else finish[:MAX_FINISH]
    logps = _token_logps(choice.get("logprobs"))
    tokens = None if logps is None else len(logps)
    if tokens is None and isinstance(usage, dict) and type(usage.get("completion_tokens")) is int:
        tokens = max(0, usage["completion_tokens"])
    numbers = [logp for logp in logps or () if type(logp) in (int, float)]
    if (tokens or 0) > MAX_COUNT or any(MAX_LOGP < abs(number) < math.inf for number in numbers):
        return None
    finite = logps is not None and len(numbers) == len(logps) and all(map(math.isfinite, numbers))
    logp = math.fsum(logps) if logps and finite else None
    silent = finish != TRUNCATED and message.reasoning and not message.text.strip()
    note = message.note or (NO_TEXT if silent else "")
    return Completion(_storable(message.text), tokens, _storable(finish), logp, note, _storable(message.reasoning))


def _plain_message(text: Any) -> _Message | None:
    return _Message(text) if isinstance(text, str) else None


def _chat_message(message: dict[str, Any]) -> _Message | None:
    """The parts of a chat's message. Its content may be null or empty; a refusal is the model's text."""
    content = message.get("content")
    if not message.keys() & MESSAGE_FIELDS:
        return None
    content = "" if content is None else content
    written = _parts(content) if isinstance(content, list) else _plain_message(content)
    if written is None:
        return None
    fields = [message.get(name) for name in ("reasoning_content", "reasoning")]
    reasoning = written.reasoning or next((value for value in fields if isinstance(value, str) and value), "")
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal and not written.text:
        return _Message(refusal, reasoning, REFUSAL)
    return _Message(written.text, reasoning, TOOL_CALLS if message.get("tool_calls") else "")


def _parts(content: list[Any]) -> _Message | None:
    """Content as a list of parts, as Mistral's reasoning models have it; None if one is neither text nor reasoning."""
    texts: list[str | None] = []
    thoughts: list[str | None] = []
    for part in content:
        if isinstance(part, dict) and part.get("type") == "thinking":
            thinking = part.get("thinking")
            thoughts += map(_part_text, thinking) if isinstance(thinking, list) else [None]
        else:
            texts.append(_part_text(part))
    if None in texts or None in thoughts:
        return None
    return _Message("".join(filter(None, texts)), "".join(filter(None, thoughts)))


def _part_text(part: Any) -> str | None:
    text = part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
    return text if isinstance(text, str) else None


def _token_logps(logprobs: Any) -> list[Any] | None:
    """Log-probabilities of the tokens: `token_logprobs` of completions, `content` of chats."""
    if not isinstance(logprobs, dict):
        return None
    if isinstance(logprobs.get("token_logprobs"), list):
        return logprobs["token_logprobs"]
    if isinstance(logprobs.get("content"), list):
        return [token.get("logprob") if isinstance(token, dict) else None for token in logprobs["content"]]
    return None


def _storable(text: str) -> str:
    r"""Replace half a surrogate pair, which JSON can hold and UTF-8 can't, by U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _excerpt(body: bytes) -> str:
    return " ".join(body[:MAX_EXCERPT].decode("utf-8", "replace").split()) or "(nothing)"

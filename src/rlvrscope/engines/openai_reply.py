"""Replies of OpenAI-compatible servers: completions, or the kind of trouble. Nothing in a reply is trusted."""

from __future__ import annotations

import email.utils
import json
import math
import time
from collections.abc import Mapping
from typing import Any

from rlvrscope.engines.engine import Completion

MAX_EXCERPT, MAX_FINISH = 200, 40
"""Maximum length of a bad reply that is shown, and of a finish reason that is stored, in characters."""
ABORTED = "abort", "error", "timeout", "cancelled"
"""Finish reasons of a text that the server cut short, which is no sample of the model."""


class TroubleError(Exception):
    """The same request may succeed later. wait: seconds that the server asks for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


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
        reply = json.loads(body)
    except (ValueError, RecursionError):
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
        raise TroubleError(f"no choice with a text and a reason why it ended: {_excerpt(body)}")
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
        except (ValueError, OverflowError):
            return 0.0
    return seconds if 0.0 <= seconds < math.inf else 0.0


def _completion(choice: Any, usage: Any) -> Completion | None:
    """A choice of either API, or None. An empty text is a sample where the model chose to stop; null is not."""
    if not isinstance(choice, dict):
        return None
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    finish = choice.get("finish_reason")
    if not isinstance(text, str) or not isinstance(finish, str) or not finish or finish in ABORTED:
        return None
    logps = _token_logps(choice.get("logprobs"))
    tokens = None if logps is None else len(logps)
    if tokens is None and isinstance(usage, dict) and type(usage.get("completion_tokens")) is int:
        tokens = max(0, usage["completion_tokens"])
    finite = logps is not None and all(type(logp) in (int, float) and math.isfinite(logp) for logp in logps)
    return Completion(_storable(text), tokens, finish[:MAX_FINISH], math.fsum(logps) if logps and finite else None)


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
    text = " ".join(body[: 4 * MAX_EXCERPT].decode("utf-8", "replace").split())
    return text[:MAX_EXCERPT] or "(nothing)"

"""What a server of OpenAI's API replied: completions, or which kind of trouble. Everything in it may be wrong."""

from __future__ import annotations

import email.utils
import json
import math
import time
from collections.abc import Mapping
from typing import Any

from rlvrscope.engines.engine import Completion

LONGEST_EXCERPT = 200
BROKEN_OFF = "abort", "error", "timeout", "cancelled"
"""Finish reasons of a text that the server cut short: no sample of the model's."""


class TroubleError(Exception):
    """It may work another time. wait: seconds that the server asks for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class UnreachedError(TroubleError):
    """Nobody listens at the address."""


class RefusedError(Exception):
    """This request won't work, here or another time; another one may."""


class HopelessError(Exception):
    """No request will work: a wrong key, model or address."""


def read_reply(status: int, headers: Mapping[str, str], body: bytes, wanted: int) -> list[Completion]:
    """At least one completion, and no more than wanted, in the order of their index.

    Raises TroubleError (408, 409, 425, 429, 5xx, or no usable choice), HopelessError (3xx, 401 to 405) and RefusedError
    (other 4xx).
    """
    if status != 200:
        said = f"status {status}: {_excerpt(body)}"
        if status in (408, 409, 425, 429) or status >= 500:
            raise TroubleError(said, retry_after(headers.get("retry-after", "")))
        raise (HopelessError if status < 400 or status in (401, 402, 403, 404, 405) else RefusedError)(said)
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise TroubleError(f"no JSON: {_excerpt(body)}") from None
    choices = found.get("choices") if isinstance(found, dict) else None
    if not isinstance(choices, list) or not choices:
        raise TroubleError(f"no choices: {_excerpt(body)}")
    by_index: dict[Any, Completion] = {}  # a choice that came twice is one choice
    for place, choice in enumerate(choices):
        said = _completion(choice, found.get("usage") if len(choices) == 1 else None)
        index = choice.get("index", place) if isinstance(choice, dict) else place
        if said is not None and type(index) is int:
            by_index.setdefault(index, said)
    if not by_index:
        raise TroubleError(f"no choice with a text and a reason why it ended: {_excerpt(body)}")
    return [by_index[index] for index in sorted(by_index)][:wanted]


def retry_after(value: str, now: float | None = None) -> float:
    """Seconds to wait, from a number or a date; 0 for neither.

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
    """One choice of either API, or None. An empty text is a sample where the model chose to stop; null is not."""
    if not isinstance(choice, dict):
        return None
    message = choice.get("message")
    text = message.get("content") if isinstance(message, dict) else choice.get("text")
    finish = choice.get("finish_reason")
    if not isinstance(text, str) or not isinstance(finish, str) or not finish or finish in BROKEN_OFF:
        return None
    logps = _logps(choice.get("logprobs"))
    tokens = None if logps is None else len(logps)
    if tokens is None and isinstance(usage, dict) and type(usage.get("completion_tokens")) is int:
        tokens = max(0, usage["completion_tokens"])
    known = logps is not None and all(
        isinstance(logp, int | float) and not isinstance(logp, bool) and math.isfinite(logp) for logp in logps
    )
    return Completion(_storable(text), tokens, finish[:40], math.fsum(logps) if logps and known else None)


def _logps(found: Any) -> list[Any] | None:
    """Of each token: `token_logprobs` of completions, `content` of chats."""
    if not isinstance(found, dict):
        return None
    if isinstance(found.get("token_logprobs"), list):
        return found["token_logprobs"]
    if isinstance(found.get("content"), list):
        return [token.get("logprob") if isinstance(token, dict) else None for token in found["content"]]
    return None


def _storable(text: str) -> str:
    r"""Half a surrogate pair, which JSON can name and UTF-8 can't hold, becomes U+FFFD."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _excerpt(body: bytes) -> str:
    text = " ".join(body[: 4 * LONGEST_EXCERPT].decode("utf-8", "replace").split())
    return text[:LONGEST_EXCERPT] or "(nothing)"

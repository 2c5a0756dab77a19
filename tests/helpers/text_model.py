"""A tiny Llama with a byte-level tokenizer that has learned the form of sums and products."""

from __future__ import annotations

from pathlib import Path

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from random_weights import with_random_weights
from rlvrscope.lab.pretrained import quiet
from rlvrscope.lab.tasks import TextTask
from rlvrscope.seeding import generator

SPECIAL = ("<end>", "<start>")
MERGES = (("1", "2"), ("4", "8"), ("Ġ", "4"), ("Ġ4", "8"), ("Ċ", "Ċ"), ("Ġ", "="))
"""Tokens of several bytes: `12`, `48`, ` 4`, ` 48`, two newlines, ` =`."""


def byte_level_tokenizer(merges: tuple[tuple[str, str], ...] = MERGES) -> transformers.PreTrainedTokenizerFast:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*SPECIAL, *alphabet, *("".join(pair) for pair in merges)]
    tokenizer = Tokenizer(models.BPE({piece: place for place, piece in enumerate(pieces)}, list(merges)))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in SPECIAL])
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=SPECIAL[0], bos_token=SPECIAL[1], pad_token=SPECIAL[0]
    )


def tiny_llama(vocab_size: int, context: int = 128) -> transformers.LlamaForCausalLM:
    config = transformers.LlamaConfig(
        vocab_size=vocab_size, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=context, bos_token_id=1, eos_token_id=0, pad_token_id=0,
        tie_word_embeddings=True,
    )  # fmt: skip
    return with_random_weights(transformers.LlamaForCausalLM(config))


def save_text_model(folder: Path, task: TextTask | None = None, steps: int = 250, context: int = 128) -> Path:
    """Write a folder as `save_pretrained` does. With a task, the model has learned the form of its answers."""
    tokenizer = byte_level_tokenizer()
    model = tiny_llama(len(tokenizer), context)
    if task is not None:
        _learn(model, tokenizer, task, steps)
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder


def _learn(model: transformers.LlamaForCausalLM, tokenizer, task: TextTask, steps: int) -> None:
    """Steps of AdamW on questions of the train split with an answer to another question each."""
    questions, rng = task.questions("train"), generator(0, "examples")
    answers = [next(iter(task.answers(question))) for question in questions]
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(steps):
        asked, answered = rng.integers(len(questions), size=(2, 16))
        rows = []
        for place, other in zip(asked, answered, strict=True):
            answer = answers[place if rng.random() < 0.5 else other]
            rows.append((tokenizer(task.prompt(questions[place]))["input_ids"], tokenizer(f"{answer}\n")["input_ids"]))
        width = max(len(prompt) + len(answer) for prompt, answer in rows)
        ids = torch.tensor([[*prompt, *answer] + [0] * (width - len(prompt) - len(answer)) for prompt, answer in rows])
        targets = torch.full_like(ids, -100)
        for target, (prompt, answer) in zip(targets, rows, strict=True):
            target[len(prompt) : len(prompt) + len(answer)] = torch.tensor(answer)
        loss = model(input_ids=ids, labels=targets).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

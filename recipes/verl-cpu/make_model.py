# pyright: reportMissingImports=false
"""A Llama of 0.2 M parameters with a byte tokenizer, trained to add with some success, and its problems."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEMPLATE = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
END, UPDATES, ROWS = "<|end|>", 400, 32


def byte_tokenizer() -> PreTrainedTokenizerFast:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=END)
    fast.chat_template = TEMPLATE
    return fast


def problem(first: int, second: int) -> dict[str, str]:
    return {"id": f"{first}+{second}", "prompt": f"{first}+{second}=", "answer": str(first + second)}


def main(folder: Path) -> None:
    """Write the model and two files of problems."""
    random = torch.Generator().manual_seed(0)
    pairs = [(first, second) for first in range(1, 30) for second in range(1, 30)]
    order = torch.randperm(len(pairs), generator=random).tolist()
    for name, part in (("train", order[:600]), ("validation", order[600:640])):
        lines = [json.dumps(problem(*pairs[place])) for place in part]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    tokenizer = byte_tokenizer()
    torch.manual_seed(0)  # noqa: TID251  transformers draws the weights
    sizes = {"hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4}
    ids = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.eos_token_id}
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=64, tie_word_embeddings=True, **sizes, **ids)
    )
    train(model, tokenizer, [pairs[place] for place in order[:600]], random)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")


def train(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, pairs: list[tuple[int, int]], random: torch.Generator
) -> None:
    prompts = [f"{problem(*pair)['prompt']}\n" for pair in pairs]
    texts = [f"{prompt}\\boxed{{{sum(pair)}}}{END}" for prompt, pair in zip(prompts, pairs, strict=True)]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    places = torch.arange(batch.input_ids.shape[1])
    lengths, ends = (torch.tensor([len(ids) for ids in tokenizer(rows).input_ids]) for rows in (prompts, texts))
    is_answer = (places >= lengths[:, None]) & (places < ends[:, None])
    labels = batch.input_ids.masked_fill(~is_answer, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(UPDATES):
        rows = torch.randint(len(pairs), (ROWS,), generator=random)
        loss = model(
            input_ids=batch.input_ids[rows], attention_mask=batch.attention_mask[rows], labels=labels[rows]
        ).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

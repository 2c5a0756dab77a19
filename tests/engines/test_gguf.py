"""Conversion of GGUF files: the same logits and tokens as the file, or one line that says why not."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from typer.testing import CliRunner

pytest.importorskip("gguf")

from gguf import GGMLQuantizationType, TokenType

from rlvrscope.cli.main import app
from rlvrscope.engines.gguf import convert
from rlvrscope.lab.pretrained import Pretrained
from tiny_gguf import TEMPLATE, TOKENS, gguf_fields, gguf_tensors, tiny_llama, write_gguf

IDS = torch.tensor([[7, 250, 3, 99, 12, 262, 1, 80]])
TEXT = "12 the\n\n12 + 1 =\n<|im_start|>ü 漢<|im_end|>"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "tiny.gguf", gguf_fields(), gguf_tensors(tiny_llama()))


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    return model(IDS).logits


@pytest.mark.parametrize("tied", [True, False])
def test_the_logits_are_those_of_the_written_weights(tied: bool, tmp_path: Path):
    model = tiny_llama(tied)
    path = write_gguf(tmp_path / "tiny.gguf", gguf_fields(), gguf_tensors(model))
    convert(path, tmp_path / "out")
    converted = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert torch.equal(logits(converted), logits(model))
    assert converted.config.tie_word_embeddings is tied


@pytest.mark.parametrize(
    ("quantization", "tolerance"), [(GGMLQuantizationType.F16, 2**-11), (GGMLQuantizationType.Q8_0, 1 / 254 + 2**-10)]
)
def test_quantized_weights_are_within_their_rounding(
    quantization: GGMLQuantizationType, tolerance: float, tmp_path: Path
):
    """F16 keeps 11 bits; Q8_0 rounds to 1/127 of the largest value of a block, whose scale is fp16."""
    model = tiny_llama()
    convert(write_gguf(tmp_path / "tiny.gguf", gguf_fields(), gguf_tensors(model), quantization), tmp_path / "out")
    converted = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    for (name, weight), other in zip(model.named_parameters(), converted.parameters(), strict=True):
        gap = (weight - other).abs().max().item()
        assert gap <= tolerance * weight.abs().max().item(), name
        assert gap > 0 or weight.ndim == 1, name


def test_digits_are_tokens_of_their_own(tiny: Path, tmp_path: Path):
    """Line breaks before a digit are one token, as without a digit: GPT-2's splits would part them."""
    convert(tiny, tmp_path / "out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.tokenize(TEXT)[:10] == ["1", "2", "Ġthe", "ĊĊ", "1", "2", "Ġ", "+", "Ġ", "1"]
    assert tokenizer.decode(tokenizer(TEXT)["input_ids"]) == TEXT
    assert tokenizer.convert_ids_to_tokens(range(len(tokenizer))) == TOKENS


def test_the_gpt2_pre_tokenizer_is_kept(tmp_path: Path):
    path = write_gguf(
        tmp_path / "tiny.gguf", gguf_fields() | {"tokenizer.ggml.pre": "gpt-2"}, gguf_tensors(tiny_llama())
    )
    convert(path, tmp_path / "out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.tokenize("12 the\n\n12") == ["12", "Ġthe", "Ċ", "Ċ", "12"]


def test_functions_of_tokens_are_kept(tmp_path: Path):
    types = [TokenType.CONTROL, TokenType.CONTROL, TokenType.CONTROL, TokenType.USER_DEFINED]
    fields = gguf_fields() | {
        "tokenizer.ggml.eot_token_id": 0,
        "tokenizer.ggml.token_type": [*types, *[TokenType.NORMAL] * (len(TOKENS) - 4)],
    }
    convert(write_gguf(tmp_path / "tiny.gguf", fields, gguf_tensors(tiny_llama())), tmp_path / "out")
    pretrained = Pretrained.load(str(tmp_path / "out"), torch.device("cpu"))
    tokenizer = pretrained.tokenizer
    assert pretrained.ends == (2, 0)
    assert pretrained.context == 128
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 2)
    assert tokenizer.chat_template == TEMPLATE
    assert pretrained.prompt_ids("1", chat=True) == [1, TOKENS.index("1"), 2]
    assert tokenizer.decode([1, 3, 2, 0], skip_special_tokens=True) == TOKENS[3]


def edited(edit: Callable[[dict[str, Any], dict[str, np.ndarray]], object]) -> Callable[[Path], Path]:
    """A GGUF file whose fields and tensors are changed by `edit`."""

    def write(folder: Path) -> Path:
        fields, tensors = gguf_fields(), gguf_tensors(tiny_llama())
        edit(fields, tensors)
        return write_gguf(folder / "bad.gguf", fields, tensors)

    return write


def field(name: str, value: Any) -> Callable[[Path], Path]:
    return edited(lambda fields, tensors: fields.update({name: value}))


def without(prefix: str) -> Callable[[Path], Path]:
    def drop(fields: dict[str, Any], tensors: dict[str, np.ndarray]) -> None:
        for part in (fields, tensors):
            for name in [name for name in part if name.startswith(prefix)]:
                del part[name]

    return edited(drop)


def content(size: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = write_gguf(folder / "bad.gguf", gguf_fields(), gguf_tensors(tiny_llama()))
        path.write_bytes(size(path.read_bytes()))
        return path

    return write


BAD_FILES = {
    "no such file": lambda folder: folder / "nowhere.gguf",
    "is no GGUF file": content(lambda _: b"text, and no model at all" * 9),
    "is no GGUF file, or a damaged": content(lambda _: b""),
    "or a damaged one": content(lambda whole: whole[:300]),
    "a damaged one": content(lambda whole: whole[:-100]),
    "its architecture is 'qwen2'": lambda folder: write_gguf(
        folder / "bad.gguf", gguf_fields(), gguf_tensors(tiny_llama()), architecture="qwen2"
    ),
    "there is no tokenizer in it": without("tokenizer."),
    "its tokenizer is 'llama'": field("tokenizer.ggml.model", "llama"),
    "the pre-tokenizer 'qwen2'": field("tokenizer.ggml.pre", "qwen2"),
    "its tokenizer lacks merges": without("tokenizer.ggml.merges"),
    "has add_bos_token": field("tokenizer.ggml.add_bos_token", True),
    "its tokens must differ": field("tokenizer.ggml.tokens", ["a"] * len(TOKENS)),
    "is not among its 266 tokens": field("tokenizer.ggml.eos_token_id", 266),
    "its vocabulary, settings or weights are damaged": field("tokenizer.ggml.merges", ["漢 字"]),
    "its settings lack llama.block_count": without("llama.block_count"),
    "the setting llama.rope.scaling.type": field("llama.rope.scaling.type", "yarn"),
    "must be equal, and are [8, 16]": field("llama.attention.key_length", 16),
    "it lacks the tensor blk.1.ffn_up.weight": without("blk.1.ffn_up"),
    "lacks the tensor output_norm.weight": without("output_norm"),
    "'rope_freqs.weight' is not part of a Llama model": edited(
        lambda fields, tensors: tensors.update({"rope_freqs.weight": np.ones(4, np.float32)})
    ),
    "blk.0.ffn_up.weight must have the shape (64, 32) and has (64, 31)": edited(
        lambda fields, tensors: tensors.update({"blk.0.ffn_up.weight": np.ones((64, 31), np.float32)})
    ),
}  # fmt: skip


@pytest.mark.parametrize("message", BAD_FILES)
def test_a_bad_file_is_one_line(message: str, tmp_path: Path):
    path = BAD_FILES[message](tmp_path)
    before = set(tmp_path.iterdir())
    done = CliRunner().invoke(app, ["lab", "convert", "--out", str(tmp_path / "out"), str(path)])
    assert done.exit_code == 2, done.output
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert set(tmp_path.iterdir()) == before


def test_a_folder_that_holds_something_is_kept(tiny: Path, tmp_path: Path):
    for out, content in ((tmp_path / "full", "full/notes"), (tmp_path / "file", "file")):
        (tmp_path / content).parent.mkdir(exist_ok=True)
        (tmp_path / content).write_text("mine")
        done = CliRunner().invoke(app, ["lab", "convert", "--out", str(out), str(tiny)])
        assert done.exit_code == 2
        assert "exists already" in done.stderr
        assert (tmp_path / content).read_text() == "mine"
    (tmp_path / "empty").mkdir()
    convert(tiny, tmp_path / "empty")
    assert (tmp_path / "empty" / "config.json").exists()


def run_convert(path: Path, out: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "rlvrscope", "lab", "convert", "--out", str(out), str(path)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, **options)


@pytest.mark.parametrize("limit", [100, 20_000])
def test_a_full_disk_leaves_nothing(limit: int, tiny: Path, tmp_path: Path):
    """A limit on the size of files, which the settings exceed, or the weights only."""
    done = run_convert(
        tiny, tmp_path / "out", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: cannot write {tmp_path / 'out'}: ")
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == [tiny]


KILLED = """
import os, signal, sys
from pathlib import Path
from rlvrscope.engines import gguf

gguf.os.rename = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
gguf.convert(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_kill_leaves_no_folder_and_the_next_run_clears_up(tiny: Path, tmp_path: Path):
    """Killed when all files are written, and the folder has not got its name."""
    out = tmp_path / "out"
    assert subprocess.run([sys.executable, "-c", KILLED, tiny, out], timeout=120, check=False).returncode == -9
    assert not out.exists()
    assert len(list(tmp_path.iterdir())) == 2
    convert(tiny, out)
    assert set(tmp_path.iterdir()) == {tiny, out}


def test_files_are_readable_as_umask_says_and_no_bars_are_printed(tiny: Path, tmp_path: Path):
    done = run_convert(tiny, tmp_path / "out", preexec_fn=lambda: os.umask(0o027))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{tmp_path / 'out'}: converted from {tiny}\n"
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o640}
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o750
    load = "import sys, torch; from rlvrscope.lab.pretrained import Pretrained as P; P.load(sys.argv[1], 'cpu')"
    loaded = subprocess.run(
        [sys.executable, "-c", load, tmp_path / "out"], capture_output=True, text=True, timeout=120, check=True
    )
    assert (loaded.stdout, loaded.stderr) == ("", "")


def test_a_missing_package_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("rlvrscope.engines.gguf.PACKAGE", "llm-smollm3")
    done = CliRunner().invoke(app, ["lab", "convert", "--out", str(tmp_path / "out")])
    assert done.exit_code == 2
    assert "the extra smollm2 is not installed" in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()

"""Small pieces shared by tests: a tiny recipe, a tiny model, and one finished experiment."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from hypothesis import settings

from random_weights import with_random_weights
from rlvrscope import config
from rlvrscope.errors import InputError
from rlvrscope.experiment.runner import run_experiment
from rlvrscope.lab.model import Transformer
from rlvrscope.lab.recipe import Recipe
from rlvrscope.lab.tasks import Mul
from rlvrscope.seeding import generator

settings.register_profile("rlvrscope", deadline=None)  # no test asserts a time
settings.load_profile("rlvrscope")

Once = Callable[[str, Callable[[Path], object]], Path]
TINY = """
format_version = 2
name = "tiny"
[task]
name = "line"
steps = 2
[model]
width = 32
layers = 1
heads = 2
[pretrain]
steps = 700
batch_size = 64
learning_rate = 5e-3
warmup_steps = 20
[train]
steps = 6
prompts = 64
prompts_per_step = 8
group_size = 4
learning_rate = 1e-3
[evaluate]
prompts = 24
every = 2
temperatures = [0.7, 1.0]
[compare]
objectives = ["grpo", "grpo-p"]
bases = [0]
seeds = [0]
gains = [0.001]
"""


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c() -> None:
    """Commands that tests interrupt inherit SIGINT; a shell ignores it in background jobs."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _output_settings():
    """The same output whatever terminal or CI the tests run in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            patch.delenv(name, raising=False)
        yield


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """once(name, make): a folder made by `make(folder)` in one of pytest-xdist's workers, for all of them."""
    own = tmp_path_factory.getbasetemp()
    common = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, mark = common / name, common / f"{name}.made"
        with FileLock(common / f"{name}.lock"):
            if not mark.exists():
                make(folder)
                mark.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def cache(once: Once):
    """A cache of bases for this session, also seen by worker processes and by commands."""
    with pytest.MonkeyPatch.context() as patch:
        folder = once("cache", Path.mkdir)
        patch.setenv("RLVRSCOPE_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def recipe(recipe_file: Path) -> Recipe:
    return config.load(recipe_file, Recipe)


@pytest.fixture
def model(recipe: Recipe) -> Transformer:
    """Random weights, large enough that distributions are far from uniform."""
    task = recipe.token_task
    made = Transformer(recipe.model, task.vocab_size, task.prompt_length + task.completion_length)
    made.initialise(generator(0, "test weights"))
    with torch.no_grad():
        made.head.weight.mul_(20.0)
    return made


@pytest.fixture(scope="session")
def experiment(cache: Path, recipe: Recipe, once: Once) -> Path:  # noqa: ARG001
    """A finished experiment's folder. Tests read it and write nothing there."""
    return once("experiment", lambda out: run_experiment(recipe, out, 2, "cpu", lambda event: None))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `save_pretrained` writes it: a causal model of 14 words, which says the same on every machine.

    Its generation settings hold what would change what is drawn, were they heeded.
    """
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    names = ["<unk>", "<s>", "</s>", *"0123456789", "boxed"]
    words = Tokenizer(models.WordLevel({name: place for place, name in enumerate(names)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    folder = tmp_path_factory.mktemp("tiny_model")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>",
        chat_template="{% for message in messages %}<s> {{ message.content }} {% endfor %}0 ",
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    config = transformers.LlamaConfig(
        vocab_size=len(names), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=256, bos_token_id=1, eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    model = with_random_weights(transformers.LlamaForCausalLM(config))
    model.generation_config = transformers.GenerationConfig(
        do_sample=True, top_k=3, temperature=0.8, repetition_penalty=1.2, bos_token_id=1, eos_token_id=2, pad_token_id=2
    )
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def text_model(once: Once) -> Path:
    """A folder as `save_pretrained` writes it: a tiny Llama that writes numbers after products, a few of them right."""
    pytest.importorskip("transformers")
    from text_model import save_text_model

    return once("text_model", lambda folder: save_text_model(folder, Mul(largest=20)))


@pytest.fixture(scope="session")
def smollm2(once: Once) -> Path:
    """SmolLM2-135M-Instruct as `rlvrscope lab convert` writes it; tests that use it are marked `real`."""
    gguf = pytest.importorskip("rlvrscope.engines.gguf", exc_type=ImportError)
    try:
        path = gguf.find_gguf()
    except InputError as error:
        pytest.skip(str(error))
    return once("smollm2", lambda folder: gguf.convert(path, folder))

"""Damaged run data: one line with the file, the row, the field and what to do; nothing damaged counts as done."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from quick_run import quick_base, quick_recipe, quick_run
from rlvrscope.errors import InputError, RlvrscopeError
from rlvrscope.experiment.tuning import Tuning
from rlvrscope.lab import checkpoint
from rlvrscope.lab.finished import read_run
from rlvrscope.lab.run import train
from rlvrscope.lab.wise import read_source
from rlvrscope.runs import EvaluationRow, RunFolder, TelemetryRow, read_json

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return quick_run(tmp_path_factory.mktemp("runs") / "whole").path


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def refused(work: Callable[[], object]) -> str:
    with pytest.raises(RlvrscopeError) as error:
        work()
    assert "\n" not in str(error.value)
    return str(error.value)


def change_row(run: Path, file: str, row: int, *path: str | int, to: Any) -> None:
    """Set a value in a row of a file; `...` removes it."""
    lines = [json.loads(line) for line in (run / file).read_text().splitlines()]
    *outer, last = path
    inner: Any = lines[row]
    for key in outer:
        inner = inner[key]
    if to is ...:
        del inner[last]
    else:
        inner[last] = to
    (run / file).write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(
    ("file", "path", "value", "message"),
    [
        ("telemetry.jsonl", ["reward"], "0.5", "line 2: reward: Input should be a valid number"),
        ("telemetry.jsonl", ["reward"], [0.5], "line 2: reward: Input should be a valid number"),
        ("telemetry.jsonl", ["reward"], float("nan"), "line 2: reward: must be a finite number; got nan"),
        (
            "telemetry.jsonl",
            ["positive_share"],
            5.0,
            "positive_share: must be a finite number from 0 to 1",
        ),
        (
            "telemetry.jsonl",
            ["grad_norm"],
            -1.0,
            "grad_norm: must be a finite number of at least 0; got -1",
        ),
        ("telemetry.jsonl", ["step"], "2", "line 2: step: Input should be a valid integer"),
        ("telemetry.jsonl", ["step"], 1e300, "line 2: step: "),
        ("telemetry.jsonl", ["step"], 1, "does not reach step 2"),
        ("timing.jsonl", ["sample"], "soon", "timing.jsonl is damaged: line 2: sample: "),
        ("timing.jsonl", ["cpu"], -3.0, "cpu: must be a finite number of at least 0"),
        ("evaluation.jsonl", ["held_out"], None, "line 2: held_out: "),
        ("evaluation.jsonl", ["held_out"], {}, "line 2: held_out: "),
        (
            "evaluation.jsonl",
            ["held_out", 0, "success_P"],
            "all",
            "held_out.0.success_P: must be a list of",
        ),
        ("evaluation.jsonl", ["held_out", 0, "success_P", 0], 5.0, "must be a list of probabilities"),
        ("evaluation.jsonl", ["held_out", 0, "success_P", 0], None, "must be a list of finite numbers"),
        ("evaluation.jsonl", ["held_out", 0, "success_P", 0], "0.5", "must be a list of finite numbers"),
        ("evaluation.jsonl", ["held_out", 0, "success_P", 0], {}, "must be a list of finite numbers"),
        ("evaluation.jsonl", ["held_out", 0, "success_P", 0], 10**400, "must be a list of finite numbers"),
        ("evaluation.jsonl", ["held_out", 0, "success_P", 0], ..., "must have a value for each of 7 prompts; got 8"),
        (
            "evaluation.jsonl",
            ["held_out", 0, "mass", "rare", 0],
            2.0,
            "mass.rare: must be a list of masses",
        ),
        ("evaluation.jsonl", ["held_out", 0, "k"], 0, "held_out.0.k: "),
        ("evaluation.jsonl", ["held_out", 0, "temperature"], 0.5, "scores other prompts or temperatures"),
        ("evaluation.jsonl", ["training"], [], "step 1: it scores other prompts or temperatures"),
        ("interpolation.jsonl", ["alpha"], 1.5, "line 1: alpha: "),
        ("interpolation.jsonl", ["held_out", 0, "mass", "rare"], ..., "it scores other prompts or temperatures"),
    ],
)
def test_a_wrong_value_is_named_with_its_file_row_and_field(
    run: Path, file: str, path: list[str | int], value: Any, message: str
):
    row = 0 if file == "interpolation.jsonl" else 1
    change_row(run, file, row, *path, to=value)
    said = refused(lambda: read_run(run))
    assert message in said
    assert "un again" in said or "does not reach" in said


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("telemetry.jsonl", b"\xff\xfe\n", "line 1: Invalid JSON"),
        ("telemetry.jsonl", b"[" * 5000 + b"]" * 5000 + b"\n", "line 1: "),
        ("telemetry.jsonl", b"null\n", "line 1: "),
        ("recipe.toml", b"\xff", "not valid TOML"),
        ("recipe.toml", b"x = " + b"[" * 5000 + b"]" * 5000, "nested more than 100 levels"),
        ("recipe.toml", b"x = " + b"9" * 5000, "a whole number must fit 64 bits"),
        ("recipe.toml", b"train.seed = 18446744073709551616", "train.seed: a whole number must fit 64 bits"),
        ("recipe.toml", b"train.seed = 9223372036854775807\n[train.objective]\nbase = 3", "objective"),
    ],
)
def test_a_file_that_is_no_such_file_is_one_line(run: Path, file: str, content: bytes, message: str):
    (run / file).write_bytes(content)
    assert message in refused(lambda: read_run(run))


def test_a_missing_row_0_is_one_line(run: Path):
    lines = (run / "evaluation.jsonl").read_text().splitlines(keepends=True)
    (run / "evaluation.jsonl").write_text("".join(lines[1:]))
    assert "evaluation.jsonl lacks row 0, of the base" in refused(lambda: read_run(run))


@pytest.mark.parametrize("content", ["[]", "3", "[" * 2000, '{"format_version": 3, "gains": {}, "arms": []}', "\ud800"])
@pytest.mark.parametrize("name", ["tuning.json", "environment.json"])
def test_a_list_for_an_object_is_one_line(tmp_path: Path, name: str, content: str):
    (tmp_path / name).write_bytes(content.encode("utf-8", "surrogatepass"))
    if name == "tuning.json":
        assert "tuning.json" in refused(lambda: Tuning.read(tmp_path / name))
    elif not content.startswith("{"):
        assert "environment.json is damaged" in refused(lambda: read_json(tmp_path / name))


@pytest.mark.parametrize("size", [0, 4, 100, -1])
def test_a_cut_final_checkpoint_is_no_finished_run(run: Path, size: int):
    folder = RunFolder(run)
    whole = folder.final_checkpoint.read_bytes()
    folder.final_checkpoint.write_bytes(whole[:size])
    assert not folder.done
    assert "final.safetensors is empty or cut short" in refused(lambda: read_run(run))
    recipe = quick_recipe()
    train(recipe, quick_base(recipe), folder)
    assert folder.final_checkpoint.read_bytes() == whole


def test_flipped_weights_are_found(run: Path):
    path = RunFolder(run).final_checkpoint
    content = bytearray(path.read_bytes())
    content[-100] ^= 16
    path.write_bytes(content)
    assert "its weights differ from their checksum" in refused(lambda: read_source(run, CPU))


class KilledError(Exception):
    """Ends a run after a step."""


@pytest.fixture
def killed(tmp_path: Path) -> RunFolder:
    """A run that was killed after step 2 of 3, with its resume checkpoint of step 2."""
    folder, recipe = RunFolder(tmp_path / "killed"), quick_recipe(train={"steps": 3})

    def kill(step: int, metrics: object) -> None:  # noqa: ARG001
        if step == 2:
            raise KilledError

    with pytest.raises(KilledError):
        train(recipe, quick_base(recipe), folder, kill)
    return folder


def resumed(folder: RunFolder) -> None:
    recipe = quick_recipe(train={"steps": 3})
    train(recipe, quick_base(recipe), folder)


@pytest.mark.parametrize("step", [-1, 0, 4, "2", None, 2.0, True])
def test_a_resume_step_that_cannot_be_is_refused(killed: RunFolder, step: Any):
    model, extra, _ = checkpoint.load(killed.resume_checkpoint, CPU)
    checkpoint.save(killed.resume_checkpoint, model, extra, kind="resume", step=step)
    assert "its step must be from 1 to 3" in refused(lambda: resumed(killed))


def test_a_resume_checkpoint_is_checked_before_it_is_used(killed: RunFolder):
    whole = killed.resume_checkpoint.read_bytes()
    model, extra, header = checkpoint.load(killed.resume_checkpoint, CPU)
    flipped = bytearray(whole)
    flipped[len(flipped) // 2] ^= 1
    killed.resume_checkpoint.write_bytes(flipped)
    assert "differ from their checksum" in refused(lambda: resumed(killed))
    for lost in ("ledger", "head.weight.exp_avg", "head.weight.step"):
        rest = {name: tensor for name, tensor in extra.items() if name != lost}
        checkpoint.save(killed.resume_checkpoint, model, rest, kind="resume", step=2)
        assert "lacks the" in refused(lambda: resumed(killed))
    killed.resume_checkpoint.write_bytes(whole)
    for kind in (TelemetryRow, EvaluationRow):
        rows = killed.file(kind).read_text()
        killed.file(kind).write_text("".join(rows.splitlines(keepends=True)[1:]))
        assert "must have one row per" in refused(lambda: resumed(killed))
        killed.file(kind).write_text(rows)
    assert header["step"] == 2
    resumed(killed)
    assert killed.done


@pytest.mark.parametrize(
    "claims",
    [
        {"model": {"width": 65536, "layers": 2, "heads": 2}},
        {"model": {"width": 16, "layers": 1024, "heads": 2}},
        {"model": {"width": 10**12, "layers": 1, "heads": 2}},
        {"vocab_size": 10**12},
        {"context": 10**12},
        {"vocab_size": -5},
        {"context": "many"},
        {"model": [1, 2]},
        {"model": None},
        {"crc32": "x"},
    ],
)
def test_a_header_that_claims_too_much_allocates_nothing(run: Path, claims: dict[str, Any]):
    """Weights of terabytes in a header are compared with the tensors that are there, and never made."""
    import resource

    model, _, header = checkpoint.load(RunFolder(run).final_checkpoint, CPU)
    path = run / "big.safetensors"
    tensors = {f"model.{name}": tensor.detach() for name, tensor in model.module.named_parameters()}
    checkpoint._write(path, tensors, {**header, **claims})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "big.safetensors" in refused(lambda: checkpoint.load(path, CPU))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_a_checkpoint_of_before_has_no_checksum_and_is_read(run: Path):
    model, _, header = checkpoint.load(RunFolder(run).final_checkpoint, CPU)
    tensors = {f"model.{name}": tensor.detach() for name, tensor in model.module.named_parameters()}
    checkpoint._write(run / "old.safetensors", tensors, {name: v for name, v in header.items() if name != "crc32"})
    assert checkpoint.load(run / "old.safetensors", CPU)[0].vocab_size == model.vocab_size


def test_an_error_log_of_any_bytes_is_one_line(tmp_path: Path):
    (tmp_path / "error.log").write_bytes(b"\xff" * 100_000)
    assert len(RunFolder(tmp_path).failure or "") <= 4096


def test_pipes_and_devices_are_no_run_data(run: Path):
    for name in ("telemetry.jsonl", "recipe.toml"):
        (run / name).unlink()
        (run / name).symlink_to("/dev/zero")
        assert "not an ordinary file" in refused(lambda: read_run(run))


def test_no_message_is_raised_for_a_whole_run(whole: Path):
    assert [row.step for row in read_run(whole).evaluation] == [0, 1, 2]
    with pytest.raises(InputError, match="is not finished"):
        read_run(Path(shutil.copytree(whole, whole.parent / "open", ignore=shutil.ignore_patterns("*.safetensors"))))

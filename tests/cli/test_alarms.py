"""`rlvrscope boundary --fail-if` and `--fail-under`: exit code 3 after the output."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rlvrscope.cli.main import app


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, right in {"base": 2, "better": 6}.items():
        rows = "".join(f"p{problem},8,{right + problem % 2}\n" for problem in range(60))
        (tmp_path / f"{name}.csv").write_text(f"problem,n,c\n{rows}")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["base.csv", "better.csv", "--fail-if", "shrunk"], 0, ""),
        (["base.csv", "better.csv", "--fail-if", "expanded@1"], 3, "alarm: better: pass@1 is expanded"),
        (["better.csv", "base.csv", "--fail-if", "shrunk"], 3, "alarm: base: pass@1 is shrunk; base: pass@2 is shrunk"),
        (["base.csv", "better.csv", "--fail-under", ".9@1"], 3, "alarm: better: pass@1 is 0.812, under 0.9"),
        (["base.csv", "better.csv", "--fail-under", ".8@1", "--fail-under", "1"], 0, ""),
        (["base.csv", "better.csv", "--fail-if", "shrink"], 2, "error: --fail-if shrink: unknown verdict 'shrink'"),
        (["base.csv", "better.csv", "--fail-if", "shrunk@x"], 2, "error: --fail-if shrunk@x: after @ stands a k"),
        (["base.csv", "better.csv", "--fail-if", "shrunk@3"], 2, "error: an alarm at k = 3 needs that k in the table"),
        (["base.csv", "better.csv", "--fail-under", "low"], 2, "error: --fail-under takes a pass@k, such as .4"),
    ],
)
def test_alarms(words: list[str], code: int, message: str):
    done = CliRunner().invoke(app, ["boundary", *words])
    assert (done.exit_code, done.stderr.startswith(message)) == (code, True), done.stderr
    assert (code == 2) == (done.stdout == "")


def test_json_names_the_bytes_that_were_read():
    done = CliRunner().invoke(app, ["boundary", "base.csv", "better.csv", "--json"])
    sources = json.loads(done.stdout)["sources"]
    assert [source["sha256"] for source in sources] == [
        {name: hashlib.sha256(Path(name).read_bytes()).hexdigest()} for name in ("base.csv", "better.csv")
    ]

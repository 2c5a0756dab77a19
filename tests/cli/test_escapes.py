"""Outside text on a terminal: no escape sequence of a verifier's reason reaches it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rlvrscope.cli.main import app


def test_the_reason_of_an_item_is_shown_without_escapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("def judge(text, problem):\n    raise ValueError('\\x1b[2J\\x1b]0;owned\\x07')\n")
    Path("one.jsonl").write_text('{"prompt": "?", "answer": "1", "text": "1"}\n')
    done = CliRunner().invoke(app, ["verify", "one.jsonl", "--verifier", "mine.py:judge", "--explain", "1"])
    assert done.exit_code == 0, done.output
    assert "owned" in done.output
    assert "\x1b" not in done.output
    assert "\x07" not in done.output

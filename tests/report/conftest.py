"""One start of Chromium for several pages."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

Drawn = dict[str, tuple[str, str]]
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
    --disable-component-update --disable-sync --virtual-time-budget=30000 --enable-logging=stderr --dump-dom"""
HARNESS = """<body><script>
for (const name of NAMES) {
  const frame = document.createElement("iframe");
  Object.assign(frame, {src: name + ".html", width: 1100, height: 900});
  document.body.append(frame);
  let ready = 0;
  const poll = setInterval(() => {
    const page = frame.contentDocument;
    if (!page || !page.body || !page.body.dataset.charts || ++ready < 15) return;
    clearInterval(poll);
    const shown = document.createElement("pre");
    shown.id = name;
    shown.textContent = page.documentElement.outerHTML;
    document.body.append(shown);
  }, 100);
}
</script></body>"""


@pytest.fixture(scope="session")
def chromium() -> str:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        assert "CI" not in os.environ, "CI must have chromium"
        pytest.skip("no chromium on this machine: install Debian's, or Chrome, to test the page")
    return path


@pytest.fixture(scope="session")
def draw(chromium: str) -> Callable[..., Drawn]:
    """draw(folder, pages, *flags): each page 1.5 s after it was drawn, and what it wrote to the console."""

    def drawn(folder: Path, pages: Mapping[str, str], *flags: str) -> Drawn:
        folder.mkdir()
        for name, page in pages.items():
            (folder / f"{name}.html").write_text(page)
        whole = folder / "whole.html"
        whole.write_text(HARNESS.replace("NAMES", repr(list(pages))))
        command = [chromium, *FLAGS.split(), "--allow-file-access-from-files", *flags]
        done = subprocess.run(
            [*command, f"--user-data-dir={folder / 'chromium'}", f"file://{whole}"], capture_output=True, timeout=240
        )
        console = re.findall(r".*CONSOLE.*\n", done.stderr.decode(errors="replace"))
        dumps = re.findall(r'<pre id="([\w-]+)">(.*?)</pre>', done.stdout.decode(), re.DOTALL)
        pages_by_name = {name: html.unescape(text) for name, text in dumps}
        return {
            name: (pages_by_name.get(name, ""), "".join(line for line in console if f"{name}.html" in line))
            for name in pages
        }

    return drawn

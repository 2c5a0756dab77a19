"""Build the wheel, install it alone in a clean environment, import it and ask for help: the core needs no extra."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHECK = """
import sys, rlvrscope
assert "torch" not in sys.modules and "altair" not in sys.modules
import numpy as np
rewards = np.array([[1.0, 0.0, 0.0, 0.0]])
print(rlvrscope.__version__, rlvrscope.objectives.advantages(rewards, rlvrscope.objectives.OBJECTIVES["grpo-n"]))
"""


def run(*command: str | Path, expect: int = 0) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=tempfile.gettempdir())
    if done.returncode != expect:
        sys.exit(f"{command} ended with {done.returncode}, not {expect}:\n{done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run(sys.executable, "-m", "build", "--wheel", "--outdir", folder / "dist", ROOT)
        (wheel,) = (folder / "dist").glob("rlvrscope-*.whl")
        venv.create(folder / "clean", with_pip=True)
        python = folder / "clean" / "bin" / "python"
        run(python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", wheel)
        print(run(python, "-c", CHECK).strip())
        assert "demo" in run(folder / "clean" / "bin" / "rlvrscope", "--help")
        refusal = run(folder / "clean" / "bin" / "rlvrscope", "demo", expect=2)
        assert "pip install '.[lab]'" in refusal, refusal
        assert "Traceback" not in refusal, refusal
        print(f"{wheel.name}: imports, helps and names the extra it lacks, in a clean environment")


if __name__ == "__main__":
    main()

"""`rlvrscope verify` on a store: the verdicts that are missing by today's rules; samples stay as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rlvrscope.cli.shared.console import MESSAGES, print_json, say


def verify_store(path: Path, verifier: str | None, workers: int | None, timeout: float, as_json: bool) -> None:
    """Raises InputError for a verifier that is code and was not named."""
    from rlvrscope.sampling import SampleStore
    from rlvrscope.sampling.store.check import stats
    from rlvrscope.sampling.verdicts import check_plugin_verifiers, use_verifiers, verify_missing
    from rlvrscope.verify import VerifierPool

    with SampleStore(path) as store, VerifierPool(workers, timeout) as pool:
        problems = list(store.problems().values())
        check_plugin_verifiers(problems, {verifier or ""})
        use_verifiers(store, problems)
        with MESSAGES.status("verifying"):
            new = sum(verify_missing(store, run, problems, pool) for run in store.runs())
        runs = {run: _kept(facts) for run, facts in stats(store)["runs"].items()}
    if as_json:
        print_json({"format_version": 1, "file": str(store.path), "new_verdicts": new, "runs": runs})
        return
    say(f"{new:,} new verdicts in {store.path}")
    for run, facts in runs.items():
        told = ", ".join(f"{outcome} {count:,}" for outcome, count in facts["outcomes"].items() if count)
        say(f"run {run}: {facts['samples']:,} samples; {told}; correct: {facts['rate'] or 0.0:.4f}")


def _kept(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in ("samples", "outcomes", "rate")}

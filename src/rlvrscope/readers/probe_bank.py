"""Banks of stored completions: from stores of samples, or every right answer where a task lists them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rlvrscope.errors import InputError
from rlvrscope.monitor import Bank
from rlvrscope.problem import Problem
from rlvrscope.problems.templates import template_of
from rlvrscope.readers.store_table import StoreTable
from rlvrscope.sampling.store.sample_store import SampleStore
from rlvrscope.scoring import Fact, Scorer, ScoreRequest

WRONG_PER_PROMPT = 4
"""At most this many wrong completions of a prompt are stored: the likeliest by their number of draws."""

SCORED_WITH = ("lab", "tokens")
"""Metadata by which the lab scores a completion."""


def identity_of(path: Path) -> Mapping[str, Fact]:
    """What identifies the distribution that the samples of a store were drawn from. Raises InputError for several."""
    if not path.exists():
        raise InputError(f"{path}: there is no such store of samples")
    with SampleStore(path, write=False) as store:
        runs = store.runs()
    if len(runs) != 1:
        raise InputError(f"{path} holds {len(runs)} runs, and a bank is of one base: name a store of its samples alone")
    return next(iter(runs.values()))


def build_bank(path: Path, scorer: Scorer, later: Sequence[Path] = ()) -> Bank:
    """Build a bank from a verified store of the base's samples; right answers of later stores are discoveries.

    Raises InputError for a store of another model than the scorer's, and for samples without a verdict.
    """
    identity = identity_of(path)
    drawn_from, scored_with = identity.get("model_hash"), scorer.identity.get("model_hash")
    if drawn_from and scored_with and drawn_from != scored_with:
        raise InputError(
            f"{path} was drawn from another model than {scorer.identity.get('model')}: their weights differ"
        )
    right, wrong = Counter[ScoreRequest](), Counter[ScoreRequest]()
    cut_off = 0
    for request, correct, whole in _requests(path):
        if whole:
            (right if correct else wrong)[request] += 1
        cut_off += correct and not whole
    if cut_off and not right:
        raise InputError(
            f"all {cut_off:,} right completions of {path} were cut off by the token limit, and a bank stores whole "
            "ones: sample with a higher limit (--max-tokens)"
        )
    kept: Counter[str] = Counter()
    few: dict[ScoreRequest, int] = {}
    for request, times in wrong.most_common():
        kept[request.problem.id] += 1
        if kept[request.problem.id] <= WRONG_PER_PROMPT:
            few[request] = times
    if not _is_plain(identity):
        right, few = Counter(dict.fromkeys(right, 0)), dict.fromkeys(few, 0)
    discovered = [request for other in later for request, correct, whole in _requests(other) if correct and whole]
    return Bank.of(scorer, right, few, discovered)


def enumerated_bank(problems: Sequence[Problem], scorer: Scorer) -> Bank:
    """Build a bank of every right answer of problems that list them (`lists_answers`): its masses are exact."""
    requests = []
    for problem in problems:
        answers = (problem.answer, *problem.metadata["also"])
        alone = replace(problem, metadata={key: problem.metadata[key] for key in SCORED_WITH})
        requests += [ScoreRequest(alone, alone.prompt, text) for text in answers]
    return Bank.of(scorer, dict.fromkeys(requests, 0), {})


def lists_answers(problems: Sequence[Problem]) -> bool:
    """Return whether the problems list all their right answers, in tokens: those of the lab's own tasks do."""
    return all({"also", *SCORED_WITH} <= problem.metadata.keys() for problem in problems)


def _is_plain(identity: Mapping[str, Fact]) -> bool:
    """Whether samples are draws at temperature 1, untruncated, so that importance weights are theirs."""
    return identity.get("temperature") == 1.0 and identity.get("top_p") == 1.0


def _requests(path: Path) -> Iterator[tuple[ScoreRequest, bool, bool]]:
    """Yield each sample as a request to score it; whether it is right; whether it ended by itself."""
    template = identity_of(path).get("template")
    with SampleStore(path, write=False) as store:
        problems = store.problems()
    prompts = {
        name: problem.prompt if template is None else template_of(str(template)).render(problem)
        for name, problem in problems.items()
    }
    names = ["problem", "correct", "text", "finish"]
    for batch in StoreTable.open(path).batches(names):
        for name, correct, text, finish in zip(*(batch.columns[column].list() for column in names), strict=True):
            request = ScoreRequest(problems[name], prompts[name], text, ended=finish == "stop")
            yield request, correct, finish != "length"

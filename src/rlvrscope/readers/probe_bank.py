"""Banks of stored completions from stores of samples: the base's right and wrong ones, and what later models found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rlvrscope.errors import InputError
from rlvrscope.monitor import Bank
from rlvrscope.problems.templates import template_of
from rlvrscope.readers.store_table import StoreTable
from rlvrscope.sampling.store.sample_store import SampleStore
from rlvrscope.scoring import Fact, Scorer, ScoreRequest

WRONG_PER_PROMPT = 4
"""At most this many wrong completions of a prompt are stored: the likeliest by their number of draws."""


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
    for request, correct in _requests(path):
        (right if correct else wrong)[request] += 1
    kept: Counter[str] = Counter()
    few: dict[ScoreRequest, int] = {}
    for request, times in wrong.most_common():
        kept[request.problem.id] += 1
        if kept[request.problem.id] <= WRONG_PER_PROMPT:
            few[request] = times
    if not _is_plain(identity):
        right, few = Counter(dict.fromkeys(right, 0)), dict.fromkeys(few, 0)
    found = [request for other in later for request, correct in _requests(other) if correct]
    return Bank.of(scorer, right, few, found)


def _is_plain(identity: Mapping[str, Fact]) -> bool:
    """Whether samples are draws at temperature 1, untruncated, so that importance weights are theirs."""
    return identity.get("temperature") == 1.0 and identity.get("top_p") == 1.0


def _requests(path: Path) -> Iterator[tuple[ScoreRequest, bool]]:
    """Yield each sample that ended by itself, as a request to score it, with its verdict."""
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
            if finish != "length":
                yield ScoreRequest(problems[name], prompts[name], text, ended=finish == "stop"), correct

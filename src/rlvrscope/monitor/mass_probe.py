"""Mass probe: how much probability a model gives to stored completions, class by class, without generating anything."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from rlvrscope.arrays import Floats
from rlvrscope.errors import InputError
from rlvrscope.files import parse_json, read_bounded
from rlvrscope.problem import Problem
from rlvrscope.runs.rows import ClassMass, ProbeRow
from rlvrscope.scoring import Fact, Scorer, ScoreRequest, TokenScores

FORMAT_VERSION = 1
MAX_BANK_BYTES = 1 << 30
"""Size of a bank, which is read whole."""
Kind = Literal["dominant", "other", "rare", "discovered", "wrong"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Classes of stored completions. dominant: the right one of a prompt that is likeliest under the base; rare: right, not
dominant, and below RARE under the base; other: the other right ones; discovered: right, first seen in a later model;
wrong."""
RARE = 1.0 / 256
"""Probability below which a right answer is rare: 256 samples miss it with probability .37 or more."""

PROBE_EVERY = 10
"""Steps between probes of a run, by default. Three completions of each of 64 prompts then take about 2 % of the lab's
time of training, with 5 % as the limit (`benchmarks/monitor.py`); the monitor speaks from the eighth probe on."""


@dataclass(frozen=True)
class Stored:
    """One stored completion. base_logp: its log-probability under the base, nats. drawn: how often it was sampled."""

    request: ScoreRequest
    kind: Kind
    base_logp: float
    drawn: int = 1


@dataclass(frozen=True)
class Bank:
    """Stored completions of a base, with the facts that identify it; those of one prompt stand together.

    tokens: a digest of their token ids, which a model with another tokenizer would not give.
    """

    base: Mapping[str, Fact]
    completions: Sequence[Stored]
    tokens: str = ""

    @classmethod
    def of(
        cls,
        scorer: Scorer,
        right: Mapping[ScoreRequest, int],
        wrong: Mapping[ScoreRequest, int],
        discovered: Iterable[ScoreRequest] = (),
    ) -> Bank:
        """Score the completions of a base and sort them into classes.

        right, wrong: distinct completions with the number of times each was drawn. discovered: right ones of later
        models; those that are among the base's are left out. Raises InputError without a right one.
        """
        if not right:
            raise InputError("a bank needs right completions, and there are none: draw more samples from the base")
        later = [request for request in dict.fromkeys(discovered) if request not in right]
        requests = [*right, *wrong, *later]
        score_of = dict(zip(requests, scorer.score(requests), strict=True))
        logp = {request: score.logp for request, score in score_of.items()}
        best: dict[str, float] = {}
        for request in right:
            best[request.problem.id] = max(best.get(request.problem.id, -math.inf), logp[request])
        stored = [Stored(r, _kind(logp[r], best[r.problem.id]), logp[r], times) for r, times in right.items()]
        stored += [Stored(r, "wrong", logp[r], times) for r, times in wrong.items()]
        stored += [Stored(r, "discovered", logp[r], 0) for r in later]
        place = {problem: place for place, problem in enumerate(dict.fromkeys(r.problem.id for r in requests))}
        stored.sort(key=lambda one: place[one.request.problem.id])
        return cls(dict(scorer.identity), stored, _digest(score_of[one.request] for one in stored))

    def save(self, path: Path) -> None:
        """Write JSON Lines: a header, then a line for each completion. Raises WorkError if it can't be written."""
        from rlvrscope.runs.files import write_atomic

        header = {"rlvrscope": "bank", "format_version": FORMAT_VERSION, "base": dict(self.base), "tokens": self.tokens}
        lines: list[dict[str, Any]] = [header]
        lines += [_line(one) for one in self.completions]
        write_atomic(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))

    @classmethod
    def load(cls, path: Path) -> Bank:
        """Raises InputError for a file that is no bank, is damaged or has a newer format."""
        texts = read_bounded(path, MAX_BANK_BYTES, InputError).splitlines()
        try:
            header, *lines = map(parse_json, texts)
            if header["rlvrscope"] != "bank":
                raise KeyError("rlvrscope")
            if header["format_version"] > FORMAT_VERSION:
                raise InputError(f"{path} has format {header['format_version']}; this version reads {FORMAT_VERSION}")
            return cls(header["base"], [_stored(line) for line in lines], header["tokens"])
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{path} is no bank of stored completions: make one with `rlvrscope probe build`"
            ) from error


@dataclass
class MassProbe:
    """Scores a bank under one model after the other."""

    bank: Bank
    scorer: Scorer
    _before: ProbeRow | None = field(default=None, init=False)

    def score(self, step: int = 0) -> ProbeRow:
        """Score the model; flows are relative to the row before.

        With m_P the stored mass of a class on a prompt, sum_y pi(y): log_mass is the mean of log m_P over the P prompts
        that have the class. left is the share of the class's mass under the base that is left: of a sampled bank, the
        mean over the samples in the class of pi(y) / base(y), importance weights that count what was not stored too
        (samples at temperature 1, untruncated); of an enumerated one, the ratio of the stored masses. Errors are
        standard errors over prompts. Importance weights have a heavy tail: where a few answers that the base hardly
        ever gives take over, a bank that lacks them shows less than is left, with an error that is too small; look at
        the discovered ones. Raises InputError for a step that does not rise.
        """
        if step <= self._before_step:
            raise InputError(f"steps must rise; got step {step} after {self._before_step}")
        scores = self.scorer.score([one.request for one in self.bank.completions])
        if self.bank.tokens and self.bank.tokens != _digest(scores):
            raise InputError(
                "the model has another tokenizer than the one the bank was built with, so its log-probabilities are of "
                "other tokens: build a bank with a model of this family"
            )
        logp_Y = np.array([score.logp for score in scores])
        classes = {kind: mass for kind in KINDS if (mass := self._class(kind, logp_Y, step)) is not None}
        rare = classes.get("rare")
        self._before = ProbeRow(step=step, classes=classes, rare_log_mass=math.nan if rare is None else rare.log_mass)
        return self._before

    def resume(self, row: ProbeRow) -> None:
        """Continue after a row of an earlier process: the next flows are relative to it."""
        self._before = row

    def _class(self, kind: Kind, logp_Y: Floats, step: int) -> ClassMass | None:
        places = [place for place, one in enumerate(self.bank.completions) if one.kind == kind]
        if not places:
            return None
        stored = [self.bank.completions[place] for place in places]
        number = {name: number for number, name in enumerate(dict.fromkeys(one.request.problem.id for one in stored))}
        prompt_Y = np.array([number[one.request.problem.id] for one in stored])
        base_Y = np.array([one.base_logp for one in stored])
        drawn_Y = np.array([one.drawn for one in stored], dtype=np.float64)
        mass_P = np.bincount(prompt_Y, np.exp(logp_Y[places]))
        log_mass_P = np.log(np.maximum(mass_P, np.finfo(np.float64).tiny))
        if drawn_Y.any():
            left_P = np.bincount(prompt_Y, drawn_Y * np.exp(logp_Y[places] - base_Y)) / np.bincount(prompt_Y, drawn_Y)
        else:
            left_P = mass_P / np.bincount(prompt_Y, np.exp(base_Y))
        log_mass = float(log_mass_P.mean())
        before = None if self._before is None else self._before.classes.get(kind)
        return ClassMass(
            prompts=len(number),
            log_mass=log_mass,
            log_mass_error=_error(log_mass_P),
            mass=float(mass_P.mean()),
            left=float(left_P.mean()),
            left_error=_error(left_P),
            flow=math.nan if before is None else (log_mass - before.log_mass) / (step - self._before_step),
        )

    @property
    def _before_step(self) -> int:
        return -1 if self._before is None else self._before.step


def _digest(scores: Iterable[TokenScores]) -> str:
    return hashlib.sha256(json.dumps([score.token_ids for score in scores]).encode()).hexdigest()[:16]


def _error(values_P: Floats) -> float:
    """Standard error of the mean; NaN for one value."""
    return float(values_P.std(ddof=1) / math.sqrt(len(values_P))) if len(values_P) > 1 else math.nan


def _kind(logp: float, best: float) -> Kind:
    if logp == best:
        return "dominant"
    return "rare" if logp < math.log(RARE) else "other"


def _line(one: Stored) -> dict[str, Any]:
    request = one.request
    problem = {
        "id": request.problem.id, "prompt": request.problem.prompt, "answer": request.problem.answer,
        "verifier": request.problem.verifier, "cluster": request.problem.cluster,
        "metadata": dict(request.problem.metadata),
    }  # fmt: skip
    return {
        "problem": problem, "prompt": request.prompt, "completion": request.completion, "ended": request.ended,
        "kind": one.kind, "base_logp": one.base_logp, "drawn": one.drawn,
    }  # fmt: skip


def _stored(line: Mapping[str, Any]) -> Stored:
    if line["kind"] not in KINDS:
        raise KeyError(line["kind"])
    request = ScoreRequest(Problem(**line["problem"]), line["prompt"], line["completion"], line["ended"])
    return Stored(request, line["kind"], float(line["base_logp"]), int(line["drawn"]))

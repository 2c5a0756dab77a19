"""All models of a boundary against each other, and the ranks that the comparisons leave open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from rlvrscope.experiment.boundary import Boundary, by_unique_name
from rlvrscope.stats import Comparison
from rlvrscope.stats.comparison import EXPANDED, SHRUNK


@dataclass(frozen=True)
class Ranking:
    """Comparisons of every pair (first, second), second - first, as one family of claims.

    ks: those of the boundary. models: the base first.
    """

    ks: tuple[int, ...]
    models: tuple[str, ...]
    comparisons: Mapping[tuple[str, str], Comparison]

    @classmethod
    def of(cls, boundary: Boundary) -> Ranking:
        """Compare all pairs at the ks of the boundary."""
        counts = {name: model.counts for name, model in by_unique_name(boundary.models).items()}
        pairs = {(one, other): (counts[one], counts[other]) for one, other in combinations(counts, 2)}
        return cls(boundary.ks, tuple(counts), boundary.question.compare(pairs, boundary.ks, "pairs"))

    def values(self, index: int) -> dict[str, float]:
        """pass@k of each model at the index-th k."""
        values: dict[str, float] = {}
        for (one, other), comparison in self.comparisons.items():
            values[one] = float(comparison.base.estimate[index])
            values[other] = float(comparison.trained.estimate[index])
        return values

    def ranks(self, index: int) -> dict[str, tuple[int, int]]:
        """(best, worst) rank of each model at the index-th k.

        best: one more than the models that are certainly better; worst: all models less those certainly worse. All
        ranges hold at once, as the comparisons do. Source: Mogstad, Romano, Shaikh and Wilhelm, Review of Economic
        Studies 91 (2024).
        """
        better, worse = dict.fromkeys(self.models, 0), dict.fromkeys(self.models, 0)
        for (one, other), comparison in self.comparisons.items():
            verdict = comparison.verdicts[index]
            for winner, loser, name in ((other, one, EXPANDED), (one, other, SHRUNK)):
                if verdict == name:
                    better[loser] += 1
                    worse[winner] += 1
        return {name: (1 + better[name], len(self.models) - worse[name]) for name in self.models}

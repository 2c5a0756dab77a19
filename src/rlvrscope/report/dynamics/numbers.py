"""What is read off trajectories: the rows behind figures and tables."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlvrscope.dynamics import Trajectory
from rlvrscope.report.dynamics.setting import BEST, Case

Row = dict[str, Any]
SHARES = (0.1, 0.5, 0.9)
FLOOR = 1e-5
"""The least mass that a logarithmic axis shows."""


def mass_rows(case: Case, path: Trajectory) -> list[Row]:
    """A row for each action and recorded step: the 10, 50 and 90 % quantile of its mass over seeds."""
    if path.probs_STV is None:
        return quantile_rows(case, "best actions", path.steps_T, path.masses[BEST])
    best = case.setting.best
    names = [f"a{v + 1}{' (best)' if v in best else ''}" for v in range(path.probs_STV.shape[2])]
    return [
        row for v, name in enumerate(names) for row in quantile_rows(case, name, path.steps_T, path.probs_STV[:, :, v])
    ]


def quantile_rows(case: Case, name: str, steps_T: Any, mass_ST: Any) -> list[Row]:
    """A row for each step: the 10, 50 and 90 % quantile over seeds."""
    low, median, high = np.quantile(mass_ST, SHARES, axis=0)
    return [
        {
            "objective": case.objective.name,
            "action": name,
            "step": int(step),
            "low": float(low[t]),
            "median": float(median[t]),
            "high": float(high[t]),
        }
        for t, step in enumerate(steps_T)
    ]


def passage_row(case: Case, path: Trajectory) -> Row:
    """When the best actions are there, how often never; medians over seeds of their least and their last mass."""
    early, middle, late = (whole(value) for value in path.passage_quantiles(BEST, SHARES))
    return {
        "objective": case.objective.name,
        "seeds": len(path.seeds),
        "steps_10": early,
        "steps_50": middle,
        "steps_90": late,
        "never": path.share_never(BEST),
        "lowest": float(np.median(path.lowest[BEST])),
        "final": float(np.median(path.masses[BEST][:, -1])),
        "final_entropy": float(path.entropy_ST[:, -1].mean()),
    }


def share_rows(case: Case, path: Trajectory) -> list[Row]:
    """A row a seed: the last best action's share of the mass of all best ones, at the end."""
    rare = case.setting.best[-1]
    share_S = path.mass([rare])[:, -1] / path.mass(case.setting.best)[:, -1]
    return [
        {
            "objective": case.objective.name,
            "learning_rate": case.setting.learning_rate,
            "seed": int(s),
            "share": float(x),
        }
        for s, x in zip(path.seeds, share_S, strict=True)
    ]


def spread_row(case: Case, path: Trajectory) -> Row:
    """Of the same share: its mean and its spread (std) over seeds, and the mass of all best actions."""
    shares = np.array([row["share"] for row in share_rows(case, path)])
    return {
        "objective": case.objective.name,
        "learning_rate": case.setting.learning_rate,
        "steps": case.setting.steps,
        "seeds": len(shares),
        "mean_share": float(shares.mean()),
        "spread": float(shares.std()),
        "right": float(path.masses[BEST][:, -1].mean()),
    }


def whole(value: float) -> int | None:
    return None if np.isnan(value) else int(value)

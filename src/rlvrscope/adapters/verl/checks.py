# pyright: reportMissingImports=false
"""Checks before a run: verl's version, the plug-in, the rollout engine and the GPUs of this machine."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from importlib import metadata

from rlvrscope.adapters.verl.names import OBJECTIVE_VARIABLE, registered_name, to_environment
from rlvrscope.adapters.verl.recipe import VerlRecipe
from rlvrscope.errors import InputError
from rlvrscope.extras import needs_extra
from rlvrscope.objectives import Objective

TESTED = "0.9"
"""Minor version of verl that the plug-in is tested with."""
_ENGINES = {"vllm": "vllm", "sglang": "sglang", "trtllm": "tensorrt_llm"}


def check_verl() -> None:
    """Raise MissingExtraError without verl, InputError with another version than the tested one."""
    with needs_extra("verl", "rlvrscope verl"):
        importlib.import_module("verl")
    version = metadata.version("verl")
    if version.split(".")[:2] != TESTED.split("."):
        raise InputError(f"this plug-in is tested with verl {TESTED}.x, and {version} is installed: install '.[verl]'")


def check_plugin(objective: Objective) -> None:
    """Check that verl has registered the objective in this process. Raises InputError with the reason that it hides.

    Must be called before anything else imports verl: verl loads plug-ins once.
    """
    os.environ[OBJECTIVE_VARIABLE] = to_environment(objective)
    check_verl()
    reason = missing_registration(objective)
    if reason is not None:
        raise InputError(f"verl did not register {registered_name(objective)!r}: {reason}")


def missing_registration(objective: Objective) -> str | None:
    """Return why verl lacks the loss or the estimator of an objective in this process; None if it has both."""
    from verl.trainer.ppo import core_algos

    name = registered_name(objective)
    if name in core_algos.POLICY_LOSS_REGISTRY and name in core_algos.ADV_ESTIMATOR_REGISTRY:
        return None
    policy = os.environ.get("VERL_USE_EXTERNAL_PLUGINS", "auto")
    if policy.lower() != "auto" and "rlvrscope" not in policy:
        return f"VERL_USE_EXTERNAL_PLUGINS={policy} leaves the plug-in 'rlvrscope' out"
    if not any(point.name == "rlvrscope" for point in metadata.entry_points(group="verl.plugins")):
        return "its entry point is not installed: run pip install '.[verl]' in your clone of rlvrscope"
    try:
        importlib.import_module("rlvrscope.adapters.verl.plugin")
    except Exception as error:  # noqa: BLE001  verl swallows any, and the reason is what the user needs
        return f"{type(error).__name__}: {error}"
    return "the plug-in was imported, and registered other objectives"


def check_machine(recipe: VerlRecipe) -> None:
    """Raise InputError where this machine lacks the rollout engine or, for one node, the GPUs, or Ray can't start."""
    from verl.plugin.platform.platform_manager import get_platform
    from verl.workers.rollout.base import _ROLLOUT_REGISTRY

    if " " in sys.executable:
        raise InputError(
            f"Ray starts its workers by an unquoted command, so the path of Python must hold no space; got "
            f"{sys.executable!r}: make the environment in another folder"
        )
    engine = recipe.cluster.rollout
    known = sorted({name for name, _ in _ROLLOUT_REGISTRY})
    if engine not in known:
        raise InputError(f"cluster.rollout must be one of {', '.join(known)}; got {engine!r}")
    if engine in _ENGINES and importlib.util.find_spec(_ENGINES[engine]) is None:
        raise InputError(f"verl's rollout engine {engine!r} is not installed: install {_ENGINES[engine]} beside verl")
    present = get_platform().device_count()
    if recipe.cluster.nodes == 1 and present < recipe.cluster.gpus_per_node:
        raise InputError(
            f"cluster.gpus_per_node is {recipe.cluster.gpus_per_node}, and this machine has {present}. "
            "For a cluster set cluster.nodes, and start it with `ray start` first."
        )

# pyright: reportMissingImports=false
"""A run of verl, from a recipe to its end."""

from __future__ import annotations

import sys
from pathlib import Path

from rlvrscope import config as toml
from rlvrscope.adapters.verl.checks import check_machine, check_plugin
from rlvrscope.adapters.verl.configuration import VerlConfig, compose, validate
from rlvrscope.adapters.verl.data_sets import problems_of, write_problems
from rlvrscope.adapters.verl.recipe import VerlRecipe
from rlvrscope.adapters.verl.run_paths import RunPaths
from rlvrscope.errors import RlvrscopeError, WorkError
from rlvrscope.runs import RunFolder


def with_overrides(recipe: VerlRecipe, overrides: list[str]) -> VerlRecipe:
    """Return the recipe with further hydra overrides, applied after its own."""
    cluster = recipe.cluster.model_copy(update={"overrides": (*recipe.cluster.overrides, *overrides)})
    return recipe.model_copy(update={"cluster": cluster})


def resolved(recipe: VerlRecipe, out: Path) -> VerlConfig:
    """Check the plug-in and return verl's configuration of a recipe, validated. Starts and writes nothing."""
    check_plugin(recipe.objective)
    paths = RunPaths(out.absolute())
    config = compose(recipe, paths, paths.next_metrics())
    validate(config)
    return config


def run(recipe: VerlRecipe, out: Path) -> None:
    """Train in a run folder, from its last checkpoint if it has one.

    Raises InputError before Ray starts for what can't run, and WorkError with verl's reason for a run that failed.
    """
    config = resolved(recipe, out)
    check_machine(recipe)
    paths = RunPaths(out.absolute())
    RunFolder(paths.path).claim(toml.dumps(recipe))
    write_data(recipe, paths)
    Path(config.ray_kwargs.ray_init.runtime_env.env_vars.VERL_FILE_LOGGER_PATH).parent.mkdir(exist_ok=True)
    _run_verl(config)


def write_data(recipe: VerlRecipe, paths: RunPaths) -> None:
    """Write the problems of a recipe for verl, unless they are there: a run folder belongs to one recipe."""
    for task, path, needed in (
        (recipe.data.train, paths.train_data, recipe.train.prompts_per_step),
        (recipe.data.validation, paths.validation_data, 1),
    ):
        if not path.exists():
            write_problems(problems_of(task, needed), Path(task.task).stem, recipe.data.instruction, path)


def _run_verl(config: VerlConfig) -> None:
    """Run verl in this process, on the running Ray cluster, or on a new local one that ends with the run."""
    import ray
    from verl.trainer.main_ppo import run_ppo
    from verl.utils.device import auto_set_device

    from rlvrscope.adapters.verl.task_runner import GroupTaskRunner

    auto_set_device(config)
    try:
        run_ppo(config, task_runner_class=GroupTaskRunner)
    except ray.exceptions.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, RlvrscopeError):
            raise cause from error
        first, *_ = f"{type(cause).__name__}: {cause}".splitlines()
        print(error, file=sys.stderr)
        reason = " ".join(first.split())[:500]
        raise WorkError(f"verl's run ended: {reason}. Its traceback is above.") from error
    except ray.exceptions.RayError as error:
        raise WorkError(f"Ray ended the run: {str(error).splitlines()[0]}") from error
    finally:
        ray.shutdown()

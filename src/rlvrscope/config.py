"""Recipes: TOML files read into frozen pydantic models, with errors that name the file, the key and the fix.

Each layer owns the model of its part of a recipe; this module only loads and writes.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeGuard, TypeVar, get_args

import tomli_w
from pydantic import BaseModel, ConfigDict, Tag, ValidationError

from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.files import parse_toml, read_bounded

MAX_MESSAGE = 1000
"""Characters of a reason: it may quote a value of any length."""


class Section(BaseModel):
    """Base of recipe models: frozen, unknown keys refused, numbers finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


AnySection = TypeVar("AnySection", bound=Section)


def load(path: Path, model: type[AnySection], overrides: Sequence[str] = ()) -> AnySection:
    """Read a recipe and apply `--set a.b=value` overrides in order.

    Raises InputError with the file, the key, its value and what is allowed.
    """
    try:
        values = parse_toml(read_bounded(path, kind=InputError).decode("utf-8"))
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from error
    for override in overrides:
        _apply(values, override)
    return parse(values, model, f"{path} with --set {' '.join(overrides):.300}" if overrides else str(path))


def parse(values: dict[str, Any], model: type[AnySection], where: str) -> AnySection:
    """Validate plain values. Raises InputError with one line for the first mistake."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{where}: {_explain(error, model)}") from error


def dumps(section: Section) -> str:
    """Resolved recipe as TOML: all defaults written out, None left out."""
    return tomli_w.dumps(section.model_dump(mode="json", exclude_none=True))


def digest(*sections: Section | str) -> str:
    """Twelve hexadecimal digits that change when any setting changes."""
    parts = [part if isinstance(part, str) else part.model_dump(mode="json") for part in sections]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    path = [part.strip() for part in key.split(".")]
    if not equals or not all(path):
        raise InputError(f"--set takes KEY=VALUE with a dotted key, such as train.steps=50; got {override!r}")
    try:
        value = parse_toml(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()  # a bare word is a string: --set train.objective=grpo-n
    except ValueError as error:
        raise InputError(f"--set {key.strip()}: {error}") from error
    for part in path[:-1]:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise InputError(f"--set {override}: {part!r} is a single value, not a table with keys")
    values[path[-1]] = value


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    details = error.errors(include_url=False)
    first = details[0]
    path, keys = _place(model, [str(part) for part in first["loc"]])
    key = ".".join(path)
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"unknown key {key!r}. {did_you_mean(path[-1], keys)}{more}"
    if first["type"] == "missing":
        return f"{key}: missing. It must be given.{more}"
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    message = message if len(message) <= MAX_MESSAGE else f"{message[:MAX_MESSAGE]}..."
    value = "" if first["type"] == "value_error" else f"; got {first['input']!r:.200}"
    return f"{key}: {message}{value}{more}" if key else f"{message}{more}"


def _place(model: type[BaseModel], location: Sequence[str]) -> tuple[list[str], list[str]]:
    """The user's keys from pydantic's location, and the keys allowed at the last one.

    For a discriminated union, pydantic inserts the discriminator's value, or a tag: task.line.steps.
    """
    path, keys = [], []
    fields = model.model_fields
    parts = iter(location)
    for part in parts:
        path.append(part)
        keys, field = list(fields), fields.get(part)
        inner = field.annotation if field else None
        if field and isinstance(field.discriminator, str):
            inner = _member(get_args(inner), field.discriminator, next(parts, ""))
        elif any(isinstance(note, Tag) for kind in get_args(inner) for note in get_args(kind)):
            inner = _tagged(get_args(inner), next(parts, ""))
        inner = next((kind for kind in (inner, *get_args(inner)) if _is_model(kind)), None)  # of `Section | None`
        fields = inner.model_fields if inner else {}
    return path, keys


def _is_model(kind: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _tagged(union: Sequence[Any], tag: str) -> Any:
    """Member of a union of `Annotated[kind, Tag(...)]`."""
    return next((get_args(member)[0] for member in union if Tag(tag) in get_args(member)), None)


def _member(union: Sequence[type[BaseModel]], key: str, value: str) -> type[BaseModel] | None:
    return next((member for member in union if member.model_fields[key].default == value), None)

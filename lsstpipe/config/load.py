"""Read a campaign from YAML; say in one sentence what is wrong with it."""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from lsstpipe.config.campaign import Campaign, Stages, campaign_model
from lsstpipe.errors import ConfigError
from lsstpipe.stages import STAGES

_UNITS = {
    "deg": "degrees",
    "arcmin": "arcmin",
    "arcsec": "arcsec",
    "pix": "pixels",
    "mjd": "days (MJD)",
    "njy": "nJy",
    "mag": "mag",
    "mmag": "mmag",
    "s": "seconds",
    "sigma": "sigma",
}
_ALLOWED = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "string_pattern_mismatch": "letters, digits, '_', '.' and '-'",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    "finite_number": "a finite number",
}
_KINDS = (
    ("int", "a whole number"),
    ("float", "a number"),
    ("bool", "true or false"),
    ("string", "text"),
    ("tuple", "a list"),
    ("list", "a list"),
    ("dict", "settings by name"),
    ("mapping", "settings by name"),
    ("model", "settings by name"),
)


class _Loader(yaml.SafeLoader):
    """YAML in which a key may stand once only, and in which 1e-3 is a number."""


def _construct_mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key '{key}' stands twice", key_node.start_mark
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def load_campaign(source: str | Path, stages: Stages = STAGES) -> Campaign:
    """Read a campaign.

    Parameters
    ----------
    source
        A YAML file, or ``-`` for the standard input.
    stages
        The table of stages.

    Raises
    ------
    ConfigError
        If the file is absent, is not YAML, or a setting is unknown, missing, or of the wrong
        type.
    """
    try:
        text = sys.stdin.read() if str(source) == "-" else Path(source).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise ConfigError(f"The campaign {source} cannot be read: {reason}.") from error
    try:
        value = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"The campaign {source}{where} is not valid YAML: {problem}.") from error
    return parse_campaign(value, stages)


def parse_campaign(value: object, stages: Stages = STAGES, only: str | None = None) -> Campaign:
    """Check the settings of a campaign.

    Parameters
    ----------
    value
        Settings by name, as YAML gives them.
    stages
        The table of stages.
    only
        The one stage whose tasks are wanted, as for `campaign_model`.

    Raises
    ------
    ConfigError
        If a setting is unknown, missing, of the wrong type or out of range.
    """
    model = campaign_model(stages, only)
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"A campaign is settings by name, got {_show(value)}; allowed are "
            f"{', '.join(model.model_fields)}."
        )
    try:
        # As JSON, so that lists may be tuples while every other type is taken strictly.
        return model.model_validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError as error:
        raise ConfigError(_explain(model, error)) from None


def _explain(model: type[BaseModel], error: ValidationError) -> str:
    """Say what is wrong with the first setting that is wrong."""
    first = error.errors(include_url=False)[0]
    kind, given = first["type"], first["input"]
    path = ".".join(str(part) for part in first["loc"])
    key = str(first["loc"][-1]) if first["loc"] else ""
    allowed = _find_model(model, first["loc"][:-1]).model_fields
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(key, allowed, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        what = f"'{path}' is not a setting (given {_show(given)})"
        return f"{what}: {hint}Allowed: {', '.join(allowed)}."
    if kind == "missing":
        doc = allowed[key].description if key in allowed else None
        return f"'{path}' is missing and has no default" + (f": {doc}" if doc else ".")
    if kind in _ALLOWED:
        limit = _ALLOWED[kind].format(**first.get("ctx", {}))
        return f"'{path}' must be {limit}, got {_show(given)}."
    if kind == "value_error":
        return f"'{path}' {first['ctx']['error']}."
    expected = next((text for start, text in _KINDS if kind.startswith(start)), None)
    if expected is None:
        return f"'{path}' is {_show(given)}: {first['msg']}."
    unit = _unit(key)
    if unit and isinstance(given, str):
        return f"'{path}' must be {expected} in {unit}, without a unit, got {_show(given)}."
    return f"'{path}' must be {expected}, got {_show(given)}."


def _unit(key: str) -> str:
    """Tell the unit that a key's suffix names; empty for none."""
    return _UNITS.get(key.rsplit("_", 1)[-1], "") if "_" in key else ""


def _find_model(model: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel]:
    """Walk down to the model that a part of the settings belongs to."""
    for part in path:
        if not isinstance(part, str) or part not in model.model_fields:
            continue
        inner = find_models(model.model_fields[part].annotation)
        if not inner:
            break
        model = inner[0]
    return model


def find_models(annotation: object) -> list[type[BaseModel]]:
    """Find the models within an annotation such as ``tuple[Tract, ...]`` or ``Pointing | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in find_models(part)]


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."

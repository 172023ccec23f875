"""Holds the values of a composed configuration against the defaults in the YAML files, which are its schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segbench.core.errors import ConfigError, nearest

OPEN_NODES = ("logger", "augment")
"""Groups whose content is a free collection of parts, checked when they are built."""


def check_values(
    values: Mapping[str, Any], reference: Mapping[str, Any], written: Mapping[str, Any], path: str = ""
) -> None:
    """Raise a ConfigError for the first key that has no default, or value that is of another type than its default.

    Args:
        values: The composed configuration, plain and resolved.
        reference: The same group choices without any value override.
        written: The composed configuration before resolving; what follows from other settings has no type of its own.
        path: The key that all belong to, ending in a dot, for the message.
    """
    for name, value in values.items():
        key = f"{path}{name}"
        if name not in reference:
            if "_target_" in reference or key in OPEN_NODES:
                continue  # an argument of that class: its signature decides when it is built
            raise ConfigError(f"there is no setting '{key}'{nearest(name, reference)}")
        default = reference[name]
        if isinstance(written[name], str) and "${" in written[name]:
            continue
        if isinstance(default, Mapping) and key not in OPEN_NODES:
            if not isinstance(value, Mapping):
                raise ConfigError(f"{key} is a group of settings and cannot be set to {value!r}")
            check_values(value, default, written[name], f"{key}.")
        else:
            _check_type(key, value, default)


def _check_type(key: str, value: Any, default: Any) -> None:
    if default is None or _fits(value, default):
        return
    shown = "nothing" if value is None or value == "" else repr(value)
    raise ConfigError(f"{key} must be {_wanted(default)}, got {shown}")


def _fits(value: Any, default: Any) -> bool:
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, int):
        return isinstance(value, int)
    if isinstance(default, float):
        return isinstance(value, int | float)
    if isinstance(default, list):
        return isinstance(value, list) and all(_fits(item, default[0]) for item in value if default)
    if isinstance(default, Mapping):
        return isinstance(value, Mapping)
    return isinstance(value, type(default))


def _wanted(default: Any) -> str:
    if isinstance(default, bool):
        return "true or false"
    if isinstance(default, int):
        return f"a whole number (the default is {default})"
    if isinstance(default, float):
        return f"a number (the default is {default})"
    if isinstance(default, list):
        return f"a list such as {default}".replace("'", "")
    return f"a name (the default is {default})"

"""Holds the values of a composed configuration against the defaults in the YAML files, which are its schema."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import Any

from segbench.core.errors import ConfigError, nearest

OPEN_NODES = ("logger", "augment", "data.labels")
"""Nodes whose content is a free collection, checked when it is used."""

COMPUTED = ("${heads:", "${in_channels:")
"""Defaults that follow from task, inputs and classes, so that another value could only be wrong."""

LARGEST = 2**63 - 1
"""Whole numbers are held in 64 bits by everything that they are given to."""

LONGEST_NAME = 150
"""Characters of a run's name; most file systems take 255 bytes, and a number may come before it."""

MOST_TAGS, LONGEST_TAG, LONGEST_NOTE = 20, 40, 500
TAG = re.compile(r"[^\s,=!\[\]]+")
"""What `compare --filter tags=one,two` can name."""


def check_values(
    values: Mapping[str, Any], reference: Mapping[str, Any], written: Mapping[str, Any], defaults: Mapping[str, Any]
) -> None:
    """Raise a ConfigError for the first key that has no default, or value that is of another type than its default.

    Args:
        values: The composed configuration, plain and resolved.
        reference: The same group choices without any value override.
        written: The composed configuration before resolving.
        defaults: The reference before resolving; a default that is looked up elsewhere has no type of its own.
    """
    _check_node(values, reference, written, defaults, "")
    check_numbers(values)
    check_name(values["name"])
    check_parts(values)


def check_parts(values: Mapping[str, Any]) -> None:
    """Raise a ConfigError for tags, a note, plugins or loggers that are none."""
    check_remarks(values.get("tags", []), values.get("note"))
    check_plugins(values["plugins"])
    for name, part in (values["logger"] or {}).items():
        if not isinstance(part, Mapping) or "_target_" not in part:
            raise ConfigError(f"logger.{name} must describe a logger, with its class as _target_, got {shown(part)}")


def check_numbers(value: Any, key: str = "") -> None:
    """Raise a ConfigError for a number that is not finite, or a whole number of more than 64 bits, at any depth."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            check_numbers(item, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list | tuple):
        for item in value:
            check_numbers(item, key)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{key} must be a finite number, got {value}")
    elif isinstance(value, int) and not -LARGEST <= value <= LARGEST:
        raise ConfigError(f"{key} must be a whole number of at most 64 bits, got {shown(value)}")


def check_type(key: str, value: Any, default: Any) -> None:
    """Raise a ConfigError if a value is of another type than its default; a default of null takes any."""
    if default is not None and not _fits(value, default):
        raise ConfigError(f"{key} must be {_wanted(default)}, got {shown(value)}")


def shown(value: Any) -> str:
    """Return a value for a message: 'nothing' where it is empty, and never more than a line of it."""
    if value is None or value == "":
        return "nothing"
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:80]}... ({len(text):,} characters)"


def _check_node(
    values: Mapping[str, Any],
    reference: Mapping[str, Any],
    written: Mapping[str, Any],
    defaults: Mapping[str, Any],
    path: str,
) -> None:
    for name, value in values.items():
        key = f"{path}{name}"
        if name not in reference:
            if "_target_" in reference or key in OPEN_NODES:
                continue  # an argument of that class: its signature decides when it is built
            raise ConfigError(f"there is no setting '{key}'{nearest(name, reference)}")
        default, looked_up = reference[name], _looks_up(defaults[name])
        if looked_up and written[name] == defaults[name]:
            continue
        if looked_up and defaults[name].startswith(COMPUTED):
            raise ConfigError(f"{key} follows from task, inputs and data.classes, and is not set by itself")
        if isinstance(default, Mapping) and isinstance(written[name], Mapping) and key not in OPEN_NODES:
            inner = reference if looked_up else defaults
            _check_node(value, default, written[name], inner[name], f"{key}.")
        elif isinstance(default, Mapping) and not isinstance(value, Mapping):
            raise ConfigError(f"{key} is a group of settings and cannot be set to {shown(value)}")
        else:
            check_type(key, value, default)


def _looks_up(default: Any) -> bool:
    return isinstance(default, str) and "${" in default


def check_name(name: Any) -> None:
    """Raise a ConfigError if a run's name is no path of a folder below outputs."""
    if not isinstance(name, str):
        raise ConfigError(f"name must be a folder's name, got {shown(name)}")
    path = PurePosixPath(name)
    if not path.name or path.is_absolute() or ".." in path.parts or len(name) > LONGEST_NAME:
        raise ConfigError(
            f"name must be a folder's name of 1 to {LONGEST_NAME} characters, below outputs, got {shown(name)}"
        )


def check_remarks(tags: Any, note: Any) -> None:
    """Raise a ConfigError for tags that are no short words, or a note that is no short line of text."""
    for tag in tags if isinstance(tags, list) else [tags]:
        if not isinstance(tag, str) or not TAG.fullmatch(tag) or not tag.isprintable() or len(tag) > LONGEST_TAG:
            raise ConfigError(
                f"tags must be words of 1 to {LONGEST_TAG} characters without spaces and , = ! [ ], such as"
                f" tags=[paper,draft], got {shown(tag)}"
            )
    if len(tags) > MOST_TAGS:
        raise ConfigError(f"a run has at most {MOST_TAGS} tags, got {len(tags)}")
    if note is not None and not (isinstance(note, str) and note.isprintable() and len(note) <= LONGEST_NOTE):
        raise ConfigError(f"note must be a line of at most {LONGEST_NOTE} characters, got {shown(note)}")


def check_plugins(plugins: Any) -> None:
    """Raise a ConfigError for plugins that are no names of packages."""
    if not isinstance(plugins, list):
        raise ConfigError(f"plugins must be a list such as [mylab], got {shown(plugins)}")
    for name in plugins:
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(f"plugins must be names of packages such as [mylab], got {shown(name)}")
        if not _exists(name):
            raise ConfigError(f"plugins={name}: there is no package of this name; install it, or set PYTHONPATH to it")


def _exists(package: str) -> bool:
    """Whether there is a package or module of this name; none is imported, since that would run it."""
    top, *inner = package.split(".")
    found = find_spec(top)
    for part in inner:
        if found is None or found.submodule_search_locations is None:
            return False
        found = PathFinder.find_spec(f"{found.name}.{part}", found.submodule_search_locations)
    return found is not None


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

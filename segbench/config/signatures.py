"""The arguments of a class, with those that it hands on to its bases."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints


def known_parameters(kind: type) -> list[str]:
    """Return the names of a class's parameters, with those of its bases where it hands others on to them."""
    found: dict[str, None] = {}
    for one in kind.__mro__:
        make = vars(one).get("__init__")
        if make is None:
            continue
        try:
            parameters = list(inspect.signature(make).parameters.values())[1:]
        except (TypeError, ValueError):
            break
        found |= {p.name: None for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return list(found)


def argument_hints(target: type) -> dict[str, Any]:
    """Return the annotations of a class's arguments, with those of its bases where it passes others on to them."""
    found: dict[str, Any] = {}
    for one in target.__mro__:
        make = vars(one).get("__init__")
        if make is None:
            continue
        try:
            found = {**get_type_hints(make, include_extras=True), **found}
            passes_on = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(make).parameters.values())
        except (NameError, TypeError, ValueError, AttributeError):
            return found  # annotations that only a type checker can read
        if not passes_on:
            break
    return found

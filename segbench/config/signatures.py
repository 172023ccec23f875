"""The arguments of a class, with those that it hands on to its bases."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import get_type_hints


def known_parameters(kind: type) -> list[str]:
    """Return the names of a class's parameters, with those of its bases where it hands others on to them."""
    found: dict[str, None] = {}
    for _, parameters in _constructors(kind):
        found |= {p.name: None for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return list(found)


def argument_hints(target: type) -> dict[str, object]:
    """Return the annotations of a class's arguments, with those of its bases where it hands others on to them."""
    found: dict[str, object] = {}
    for make, parameters in _constructors(target):
        try:
            hints = get_type_hints(make, include_extras=True)
        except (NameError, TypeError, ValueError, AttributeError):
            return found  # annotations that only a type checker can read
        others = {p.name for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)} | {"return"}
        found = {**{name: hint for name, hint in hints.items() if name not in others}, **found}
    return found


def _constructors(kind: type) -> Iterator[tuple[Callable[..., None], list[inspect.Parameter]]]:
    """Yield `__init__` of a class, without `self`, and of its bases as far as each hands unknown names on."""
    for one in kind.__mro__:
        make = vars(one).get("__init__")
        if make is None:
            continue
        try:
            parameters = list(inspect.signature(make).parameters.values())[1:]
        except (TypeError, ValueError):
            return  # written in another language
        yield make, parameters
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return

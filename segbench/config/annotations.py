"""Holds the arguments of a class against its annotations, so that `data.root=5` is refused before it is used."""

from __future__ import annotations

import inspect
import types
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from segbench.config.check import shown
from segbench.core.errors import ConfigError

WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    type(None): "null",
}


def check_types(target: type, values: Mapping[str, Any], where: str) -> None:
    """Raise a ConfigError for the first argument that is not what the class's annotations say.

    Only what can be read off plain data is checked: numbers, text, true or false, null, lists and mappings of these. An
    annotation of another kind, or none, takes everything.

    Args:
        target: The class.
        values: Its keyword arguments; lists stand for tuples, whole numbers for numbers.
        where: The configuration key of the node, for the message.
    """
    hints = _hints(target)
    for name, value in values.items():
        if name in hints and not fits(value, hints[name]):
            raise ConfigError(f"{where}.{name} must be {_wanted(hints[name])}, got {shown(value)}")


def _hints(target: type) -> dict[str, Any]:
    """Return the annotations of a class's arguments, with those of its bases where it passes others on to them."""
    found: dict[str, Any] = {}
    for one in target.__mro__:
        make = vars(one).get("__init__")
        if make is None:
            continue
        try:
            found = {**get_type_hints(make), **found}
            passes_on = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(make).parameters.values())
        except (NameError, TypeError, ValueError, AttributeError):
            return found  # annotations that only a type checker can read
        if not passes_on:
            break
    return found


def fits(value: Any, hint: Any) -> bool:
    """Return whether plain data is what an annotation asks for; True for an annotation that is not understood."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if hint in (bool, int, float, str, type(None)):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number if hint is float else isinstance(value, hint) and (hint is bool or not isinstance(value, bool))
    if hint is Path:
        return isinstance(value, str | Path)
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(fits(item, inner[-1]) for item in value.values() if inner)
    if inspect.isclass(origin) and issubclass(origin, Collection):
        return isinstance(value, list | tuple) and _items_fit(value, origin, inner)
    return True


def _items_fit(values: Collection[Any], origin: type, inner: tuple[Any, ...]) -> bool:
    if origin is tuple and inner and inner[-1] is not Ellipsis:
        return len(values) == len(inner) and all(map(fits, values, inner))
    return all(fits(value, inner[0]) for value in values if inner)


def _wanted(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(_wanted(one) for one in inner))
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if hint in WORDS:
        return WORDS[hint]
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return "a group of settings"
    if origin is tuple and inner and inner[-1] is not Ellipsis:
        return f"a list of {len(inner)}, {', '.join(dict.fromkeys(map(_wanted, inner)))} each"
    if inspect.isclass(origin) and issubclass(origin, Collection):
        return f"a list ({_wanted(inner[0])} each)" if inner else "a list"
    return getattr(hint, "__name__", str(hint))

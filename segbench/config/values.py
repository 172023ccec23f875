"""The one check of a value against what is declared, and the words that a declaration is told in.

A declaration is a type annotation: of a field of a section (`segbench.config.schema`), or of an argument of a class
that a configuration names. For a part whose class has not been imported yet it is the kind of the default in its YAML.
"""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from segbench.core.choices import one_of
from segbench.core.errors import ConfigError

LARGEST = 2**63 - 1
"""Whole numbers are held in 64 bits by everything that they are given to."""

WORDS: dict[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
    list: "a list",
    type(None): "null",
}


@dataclass(frozen=True)
class Range:
    """Bounds of a number, as in `Annotated[int, Range(least=1)]`."""

    least: float | None = None
    """The smallest value."""
    most: float | None = None
    """The largest value."""
    above: float | None = None
    """A bound that the value must be larger than."""
    below: float | None = None
    """A bound that the value must be smaller than."""

    def holds(self, value: float) -> bool:
        """Return whether a number lies within the bounds; what is not finite, `check_numbers` refuses in its words."""
        if isinstance(value, float) and not math.isfinite(value):
            return True
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            return f"from {self.least:,} to {self.most:,}"
        bounds = {"of at least": self.least, "of at most": self.most, "above": self.above, "below": self.below}
        return " and ".join(f"{word} {bound:,}" for word, bound in bounds.items() if bound is not None)


@dataclass(frozen=True)
class Like:
    """An example that a message shows, as in `Annotated[list[int], Like("64,128,192")]`."""

    example: str
    """The example, as it is typed."""

    def __str__(self) -> str:
        return f"such as {self.example}"


def check(value: object, hint: object, *, key: str, default: object = None) -> None:
    """Raise a ConfigError for plain data that is not what a declaration asks for.

    Only what can be read off plain data is checked: numbers, text, true or false, null, words of an enumeration, lists
    and mappings of these. A declaration of another kind takes everything.

    Args:
        value: Plain data; lists stand for tuples, whole numbers for numbers.
        hint: The declaration.
        key: The setting by its dotted name, for the message.
        default: What is shown as the default; None for nothing.
    """
    if fits(value, hint):
        return
    choices = choices_of(hint)
    if choices and isinstance(value, str):
        one_of(choices, value, what=key)
    told = ""
    if default is not None and not isinstance(default, bool | Mapping):
        told = f" (the default is {default})"
    raise ConfigError(f"{key} must be {wanted(hint)}{told}, got {shown(value)}")


def fits(value: object, hint: object) -> bool:
    """Return whether plain data is what a declaration asks for; True for a declaration that is not understood."""
    origin = get_origin(hint)
    inner = get_args(hint)
    if origin is Annotated:
        ranges = [one for one in inner[1:] if isinstance(one, Range)]
        return fits(value, inner[0]) and all(isinstance(value, int | float) and one.holds(value) for one in ranges)
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if isinstance(hint, type) and hint in (bool, int, float, str, list, type(None)):
        return _is_plain(value, hint)
    if hint is Path:
        return isinstance(value, str | Path)
    if inspect.isclass(hint) and issubclass(hint, StrEnum):
        return isinstance(value, str) and value in list(hint)
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return isinstance(value, Mapping) and all(fits(item, inner[-1]) for item in value.values())
    if inspect.isclass(origin) and issubclass(origin, Collection):
        return isinstance(value, list | tuple) and _items_fit(value, origin, inner=inner)
    return True


def is_understood(hint: object) -> bool:
    """Return whether a declaration is one of plain data alone, at any depth: not `float | Tensor`, which takes all."""
    origin = get_origin(hint)
    inner = get_args(hint)
    if origin is Annotated:
        return is_understood(inner[0])
    if origin is Literal or hint in (bool, int, float, str, list, type(None), Path, Any, object, Ellipsis):
        return True
    if inspect.isclass(hint) and issubclass(hint, StrEnum):
        return True
    is_collection = inspect.isclass(origin) and issubclass(origin, Collection)
    return (is_collection or origin in (Union, types.UnionType)) and all(map(is_understood, inner))


def _is_plain(value: object, hint: type) -> bool:
    if hint is bool or isinstance(value, bool):
        return hint is bool and isinstance(value, bool)
    if hint is float:
        return isinstance(value, int | float)
    if hint is list:
        return isinstance(value, list | tuple)
    return isinstance(value, hint)


def _items_fit(values: Collection[object], origin: type, *, inner: Sequence[object]) -> bool:
    if origin is tuple and inner[-1] is not Ellipsis:
        return len(values) == len(inner) and all(map(fits, values, inner))
    return all(fits(value, inner[0]) for value in values)


def choices_of(hint: object) -> tuple[StrEnum, ...]:
    """Return the words that a declaration takes; nothing where it is no enumeration, also one that may be null."""
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(word for one in get_args(hint) for word in choices_of(one))
    if inspect.isclass(hint) and issubclass(hint, StrEnum):
        return tuple(hint)
    return ()


def wanted(hint: object) -> str:
    """Return what a declaration asks for in words, such as `a whole number of at least 1 or null`."""
    origin = get_origin(hint)
    inner = get_args(hint)
    if origin is Annotated:
        return " ".join([wanted(inner[0]), *(str(one) for one in inner[1:] if isinstance(one, Range | Like))])
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(wanted(one) for one in inner))
    if choices := choices_of(hint):
        several = "one of " if len(choices) > 1 else ""
        return f"{several}{', '.join(choices)}"
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if hint in WORDS:
        return WORDS[hint]
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return "a group of settings"
    if origin is tuple and inner[-1] is not Ellipsis:
        return f"a list of {len(inner)}, {', '.join(dict.fromkeys(map(wanted, inner)))} each"
    if inspect.isclass(origin) and issubclass(origin, Collection):
        if not inner or inner[0] in (Any, object):
            return "a list"
        return f"a list ({wanted(inner[0])} each)"
    return getattr(hint, "__name__", str(hint))


def declared_by(default: object) -> object:
    """Return the declaration that a default stands for; one of null takes anything."""
    if default is None:
        return Any
    if isinstance(default, list):
        if not default or default[0] is None:
            return list
        return list[declared_by(default[0])]  # type: ignore[misc]
    if isinstance(default, Mapping):
        return Mapping[str, object]
    return type(default)


def check_numbers(value: object, key: str = "") -> None:
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


def shown(value: object) -> str:
    """Return a value for a message: 'nothing' where it is empty, and never more than a line of it."""
    if value is None or value == "":
        return "nothing"
    text = repr(value.value if isinstance(value, StrEnum) else value)
    if len(text) <= 100:
        return text
    return f"{text[:80]}... ({len(text):,} characters)"

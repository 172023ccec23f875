"""Callbacks of the user's own, by configuration: built like all parts, and kept in checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytorch_lightning as pl
from torch import Tensor

from segbench.config.instantiate import build
from segbench.config.schema import Part
from segbench.core.errors import ConfigError


def make_callbacks(parts: Mapping[str, Part] | None, *, plugins: Sequence[str]) -> list[pl.Callback]:
    """Return the callbacks that a configuration names, in its order.

    Raises:
        ConfigError: for what is no callback of Lightning, or two that would keep their state at one place.
    """
    found: dict[str, pl.Callback] = {}
    for name, part in (parts or {}).items():
        where = f"callbacks.{name}"
        made = build(part, plugins=plugins, where=where)
        if not isinstance(made, pl.Callback):
            raise ConfigError(
                f"{where} ({type(made).__name__}) is no callback; derive it from pytorch_lightning.Callback"
            )
        if made.state_key in found:
            raise ConfigError(
                f"{where} keeps its state where another callback does ({made.state_key}): give {type(made).__name__} a"
                " property state_key that differs"
            )
        found[made.state_key] = made
        check_plain({made.state_key: made.state_dict()})
    return list(found.values())


def check_plain(states: Mapping[str, object]) -> None:
    """Raise a ConfigError for the state of a callback that no checkpoint can hold, as it would have to run code."""
    for name, state in states.items():
        strange = _strange(state)
        if strange is not None:
            raise ConfigError(
                f"the callback {name} has a {type(strange).__name__} in its state_dict; a checkpoint holds numbers,"
                " text, tensors, and lists and mappings of these"
            )


def _strange(value: object) -> object | None:
    """Return the first thing in a value that is no plain data."""
    if value is None or type(value) in (bool, int, float, str) or isinstance(value, Tensor):
        return None
    if type(value) in (list, tuple):
        inner: Sequence[object] = value  # type: ignore[assignment]
    elif type(value) is dict:
        inner = [*value.keys(), *value.values()]
    else:
        return value
    return next((one for one in map(_strange, inner) if one is not None), None)

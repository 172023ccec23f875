"""What an argument of a part must be: of the kind of its default in YAML, or else what its class says."""

from __future__ import annotations

from collections.abc import Sequence

from segbench.config.instantiate import find_class
from segbench.config.signatures import argument_hints
from segbench.config.values import check, declared_by, fits, is_understood
from segbench.core.errors import ConfigError


def check_argument(value: object, default: object, *, key: str, target: object, plugins: Sequence[str] = ()) -> None:
    """Raise a ConfigError for an argument that is neither of the kind of its default nor what its class takes.

    The class is imported, with torch, only where the kind alone does not decide: null, a list or a group of settings
    may be as good as the default. Text for a number is refused at once. A declaration that names more than plain data,
    such as a number or a tensor, says nothing of what YAML may hold: there the default's kind decides.

    Args:
        value: Plain data.
        default: The value in YAML.
        key: The setting by its dotted name.
        target: The class that takes it, by its full name; anything else for none.
        plugins: The user's own packages.
    """
    declared = declared_by(default)
    if fits(value, declared):
        return
    is_mistyped = isinstance(value, str) and isinstance(default, bool | int | float)
    if not is_mistyped and isinstance(target, str):
        of_class = _declaration(target, key.rpartition(".")[2], plugins=plugins)
        if of_class is not None and is_understood(of_class):
            declared = of_class
    check(value, declared, key=key, default=default)


def _declaration(target: str, name: str, *, plugins: Sequence[str]) -> object:
    """Return the annotation of an argument; None where there is none."""
    try:
        return argument_hints(find_class(target, plugins)).get(name)
    except ConfigError:  # a class that cannot be had is refused where it is built
        return None

"""Whether two configurations are of the same experiment."""

from __future__ import annotations

from collections.abc import Mapping

from segbench.config.schema import RunConfig
from segbench.core.plain import Plain
from segbench.core.settings import LENGTH, TRAINED, is_surrounding
from segbench.core.tasks import Task


def differing_settings(before: Mapping[str, object], now: RunConfig) -> list[str]:
    """Return the settings in which `now` is another experiment than `before`, such as `loss.smooth (1.0 -> 0.5)`.

    Args:
        before: The configuration that a run was started with, plain and resolved.
        now: The configuration that it would be continued with.
    """
    old = flatten(before)
    new = flatten(now.plain())
    if now.task is Task.MASK:  # what concerns depth is not used
        old, new = ({k: v for k, v in part.items() if not k.startswith("loss.depth")} for part in (old, new))
    trained = [f"trainer.{name}" for name in TRAINED]
    if now.resolution is not None:  # its phases are shares of the length
        trained += ["trainer.max_epochs", "trainer.max_steps"]
    return [
        f"{key} ({old.get(key)} -> {new.get(key)})"
        for key in sorted({*old, *new})
        if (key in trained or not (is_surrounding(key) or key.startswith("trainer."))) and old.get(key) != new.get(key)
    ]


def other_length(before: Mapping[str, object], now: RunConfig) -> list[str]:
    """Return the settings of the length that differ, which a resume may change: a schedule stretches from there on.

    Args:
        before: The configuration that a run was started with, plain and resolved.
        now: The configuration that it is continued with.
    """
    old, new = (flatten({"trainer": config.get("trainer")}) for config in (before, now.plain()))
    names = [f"trainer.{name}" for name in LENGTH]
    return [f"{name} ({old.get(name)} -> {new.get(name)})" for name in names if old.get(name) != new.get(name)]


def flatten(node: object, prefix: str = "") -> Plain:
    """Return nested mappings as one, with dotted keys."""
    if not isinstance(node, dict):
        return {prefix: node}
    found: Plain = {}
    for name, value in node.items():
        found.update(flatten(value, f"{prefix}.{name}" if prefix else str(name)))
    return found

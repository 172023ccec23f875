"""Holds a composed configuration against the defaults in the YAML files: which settings there are, and their kinds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from segbench.config.arguments import check_argument
from segbench.config.labels import check_plugins
from segbench.config.schema import RunConfig, hints_of
from segbench.config.values import check_numbers
from segbench.core.errors import ConfigError, nearest

OPEN_NODES = ("logger", "callbacks", "metrics", "augment", "data.labels", "data.lists", "data.splits", "data.storage")
"""Nodes whose content is a free collection, checked when it is used."""

SWEEPS = ("sweep", "launcher")
"""Groups that say how several runs are chosen and started, which is no matter of a single one."""

COMPUTED = ("${heads:", "${in_channels:")
"""Defaults that follow from task, inputs and classes, so that another value could only be wrong."""

Values = Mapping[str, object]


def check_values(values: Values, reference: Values, *, written: Values, defaults: Values) -> RunConfig:
    """Return a composed configuration as it was checked.

    Args:
        values: The composed configuration, plain and resolved.
        reference: The same group choices without any value override.
        written: The composed configuration before resolving.
        defaults: The reference before resolving; a default that is looked up elsewhere has no type of its own.

    Raises:
        ConfigError: for the first setting that does not exist, or that is not what it must be.
    """
    _Checking(check_plugins(values["plugins"])).node(values, reference, written=written, defaults=defaults)
    checked = RunConfig.of({name: node for name, node in values.items() if name not in SWEEPS}, reference)
    check_numbers(values)
    return checked


@dataclass(frozen=True)
class _Checking:
    plugins: tuple[str, ...]
    """The user's own packages."""

    def node(self, values: Values, reference: Values, *, written: Values, defaults: Values, path: str = "") -> None:
        """Check the settings of a node, and of those within it."""
        for name, value in values.items():
            key = f"{path}{name}"
            if name not in reference:
                if "_target_" in reference or key in OPEN_NODES:
                    continue  # an argument of that class: its signature decides when it is built
                raise ConfigError(f"there is no setting '{key}'{nearest(name, reference)}")
            default = reference[name]
            declared = defaults[name]
            told = written[name]
            looked_up = _looks_up(declared)
            if looked_up and told == declared:
                continue
            if isinstance(declared, str) and declared.startswith(COMPUTED):
                raise ConfigError(
                    f"{key} follows from task, inputs, data.classes and data.bands, and is not set by itself"
                )
            inner = default if looked_up else declared
            if (
                isinstance(value, Mapping)
                and isinstance(default, Mapping)
                and isinstance(told, Mapping)
                and isinstance(inner, Mapping)
                and key not in OPEN_NODES
            ):
                self.node(value, default, written=told, defaults=inner, path=f"{key}.")
            elif not in_schema(key):
                check_argument(value, default, key=key, target=values.get("_target_"), plugins=self.plugins)


def in_schema(key: str) -> bool:
    """Return whether the schema says what a setting must be; of parts, their defaults say it."""
    return key in hints_of(RunConfig) or key.startswith(("trainer.", "resume.", "evaluate.", "weights."))


def _looks_up(default: object) -> bool:
    return isinstance(default, str) and "${" in default

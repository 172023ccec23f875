"""The options of the groups as their YAML files describe them, and the arguments that each one's class takes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from segbench.config.check import COMPUTED
from segbench.config.instantiate import find_class
from segbench.config.paths import conf_dir
from segbench.config.signatures import argument_hints, known_parameters
from segbench.config.values import declared_by
from segbench.core.errors import ConfigError

NOT_GROUPS = ("experiment", "sweep", "launcher")
NOT_SETTINGS = ("params", "parameters", "self")
"""Arguments that a training gives, such as the weights that an optimizer changes."""

FURTHER: Mapping[str, Mapping[str, object]] = {
    "loss": {"depth": Any},
    "model": {"init_from": str | None},
    "optimizer": {"encoder_lr_factor": float, "layer_decay": float, "decay_norms": bool},
}
"""Settings of a group that no class takes: `loss.depth` is a part of its own, the others are read before."""

_ARGUMENT = re.compile(r"^ {4}(\w+): (.+(?:\n {8,}.+)*)", re.MULTILINE)


@dataclass(frozen=True)
class Argument:
    """A setting of a part."""

    name: str
    """As it is typed."""
    hint: object
    """Its declaration."""
    meaning: str
    """What the docstring of the class says of it; empty where it says nothing."""


class Options:
    """The shipped options, and those of further folders.

    Args:
        folders: Folders with a folder for each group, as `hydra.searchpath` has them.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        self.folders = (conf_dir(), *folders)

    @cached_property
    def _files(self) -> dict[str, dict[str, Path]]:
        found: dict[str, dict[str, Path]] = {}
        for folder in self.folders:
            for file in sorted(folder.rglob("*/*.yaml")):
                group = file.parent.relative_to(folder).as_posix()
                if group.split("/")[0] not in NOT_GROUPS:
                    found.setdefault(group, {})[file.stem] = file
        return found

    def groups(self) -> list[str]:
        """Return the names of the groups."""
        return list(self._files)

    def of(self, group: str) -> list[str]:
        """Return the names of the options of a group."""
        return list(self._files.get(group, {}))

    def node(self, group: str, option: str) -> Mapping[str, object]:
        """Return what the YAML file of an option holds, with what it is based on."""
        return _read(self._files[group][option])

    def arguments(self, group: str, option: str, *, plugins: Sequence[str]) -> list[Argument]:
        """Return the arguments that can be set: those of the class, and those that YAML names."""
        node = self.node(group, option)
        kind = _class_of(node, plugins)
        declared = {name: declared_by(value) for name, value in node.items()}
        if kind is not None:
            declared |= dict.fromkeys(known_parameters(kind), Any)
            declared |= argument_hints(kind)
        declared |= FURTHER.get(group, {})
        meanings = {} if kind is None else _meanings(kind)
        return [
            Argument(name, hint, meanings.get(name, ""))
            for name, hint in declared.items()
            if name not in ("_target_", "return", *NOT_SETTINGS) and not _is_computed(node.get(name))
        ]

    def is_open(self, group: str, option: str, *, plugins: Sequence[str]) -> bool:
        """Return whether an option may have arguments that nothing names."""
        kind = _class_of(self.node(group, option), plugins)
        return kind is None or _takes_more(kind)


def _read(file: Path) -> Mapping[str, object]:
    loaded = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    based_on = [name for name in loaded.pop("defaults", []) if isinstance(name, str) and name != "_self_"]
    found: dict[str, object] = {}
    for name in based_on:
        base = file.parent / f"{name}.yaml"
        found |= _read(base if base.is_file() else conf_dir() / file.parent.name / base.name)
    return found | {str(name): value for name, value in loaded.items()}


def _class_of(node: Mapping[str, object], plugins: Sequence[str]) -> type | None:
    try:
        return find_class(node.get("_target_", ""), plugins)
    except ConfigError:  # of a package that is not installed, or not named as a plugin
        return None


def _takes_more(kind: type) -> bool:
    """Whether the last constructor of a chain that hands its keyword arguments on takes any."""
    for one in kind.__mro__:
        make = vars(one).get("__init__")
        if make is None:
            continue
        try:
            parameters = inspect.signature(make).parameters.values()
        except (TypeError, ValueError):
            return False
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return False
    return True


def _meanings(kind: type) -> dict[str, str]:
    """Return what the docstrings of a class and its bases say of the arguments."""
    found: dict[str, str] = {}
    for one in kind.__mro__:
        _, _, arguments = inspect.cleandoc(one.__doc__ or "").partition("\nArgs:\n")
        for name, text in _ARGUMENT.findall(arguments.partition("\n\n")[0]):
            found.setdefault(name, " ".join(text.split()))
    return found


def _is_computed(default: object) -> bool:
    return isinstance(default, str) and default.startswith(COMPUTED)

"""The schema of a run: every setting with its type, its bounds and its meaning, written once.

The YAML files of `conf/` hold the values. What is checked is a `RunConfig`, which is all that the rest of the project
sees of a configuration. A part (the data set, the network, a loss, ...) is described by its own class: the arguments
of its constructor, with their annotations, are its settings.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated, TypeVar, get_args, get_type_hints

from segbench.config.evaluation import EvaluationSettings
from segbench.config.labels import check_name, check_note, check_plugins, check_tags
from segbench.config.trainer_settings import TrainerSettings
from segbench.config.values import Like, Range, check, check_numbers, choices_of, fits, shown
from segbench.config.weights import WeightsSettings
from segbench.core.errors import ConfigError, nearest
from segbench.core.plain import Plain
from segbench.core.tasks import Inputs, Task

Section = TypeVar("Section")


@dataclass(frozen=True, kw_only=True)
class Part:
    """Something that is built from a configuration: a class and the arguments of its constructor."""

    target: str
    """The class by its full name: `_target_` in YAML."""
    arguments: Plain
    """The arguments; one may describe a part in turn, as plain data."""

    @classmethod
    def of(cls, node: object, key: str) -> Part:
        """Return the part that a node of a configuration describes; raises ConfigError where it describes none."""
        if not isinstance(node, Mapping) or not isinstance(node.get("_target_"), str):
            raise ConfigError(f"{key} must describe a part, with its class as _target_, got {shown(node)}")
        return cls(target=node["_target_"], arguments={k: v for k, v in node.items() if k != "_target_"})

    def plain(self) -> Plain:
        """Return the node."""
        return {"_target_": self.target, **self.arguments}


@dataclass(frozen=True, kw_only=True)
class Losses:
    """What is minimised."""

    mask: Part
    """The loss of the mask, for a task that has one."""
    depth: Part | None
    """The loss of the depth, for a task that has one; `loss.depth` in YAML."""

    @classmethod
    def of(cls, node: object, key: str) -> Losses:
        """Return the losses that the node `loss` describes; raises ConfigError where it describes none."""
        whole = Part.of(node, key)
        depth = whole.arguments.get("depth")
        mask = Part(target=whole.target, arguments={k: v for k, v in whole.arguments.items() if k != "depth"})
        return cls(mask=mask, depth=None if depth is None else Part.of(depth, f"{key}.depth"))

    def plain(self) -> Plain:
        """Return the node."""
        return {**self.mask.plain(), **({} if self.depth is None else {"depth": self.depth.plain()})}


@dataclass(frozen=True, kw_only=True)
class ResumeSettings:
    """How a run is continued."""

    force: bool
    """Continue with other settings or other data all the same; recorded in environment.json."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A checked configuration of one run."""

    data: Part
    """The data set; a class of `segbench.data`, or of an own package."""
    model: Part
    """The network."""
    loss: Losses
    """What is minimised."""
    optimizer: Part
    """How weights are changed; its first argument, the parameters, is not a setting."""
    scheduler: Part
    """How the learning rate changes with the step."""
    weights: WeightsSettings
    """Where pretrained weights are looked up."""
    trainer: TrainerSettings
    """How long is trained, on what, and what is written while it is."""
    augment: Part
    """Random changes of training samples; val and test are never augmented."""
    callbacks: Mapping[str, Part] | None
    """Callbacks of Lightning from an own package, by a name of one's own; they may change what is trained."""
    metrics: Mapping[str, Part] | None
    """Metrics of torchmetrics or from an own package, by a name of one's own: further scores of val and test."""
    logger: Mapping[str, Part] | None
    """Trackers, and loggers of Lightning, beside metrics.csv, by a name of one's own."""
    seed: int
    """Key of the first weights, the order of samples and augmentation; the data itself is keyed by data.seed."""
    task: Task
    """What the network predicts."""
    depth_weight: Annotated[float, Range(above=0)]
    """Weight of loss.depth beside the mask's loss, for task=mask_depth."""
    inputs: Inputs
    """What the network is given; `image+background` has the channels of both."""
    resolution: Annotated[tuple[int, ...], Like("64,128,192")] | int | None
    """Shorter sides of training images by phase, in pixels; val and test keep data.size. Null: data.size throughout."""
    evaluate: EvaluationSettings
    """How pictures are looked at where they are scored, and what is scored when."""
    resume: ResumeSettings
    """How a run is continued."""
    tags: Annotated[tuple[str, ...], Like("[paper,draft]")]
    """Words to find the run by, such as [paper,draft]: `compare --filter tags=paper`. They change nothing."""
    note: str | None
    """A remark, shown beside the run. It changes nothing."""
    plugins: tuple[str, ...]
    """Own packages whose classes a `_target_` may name."""
    name: str
    """Folder of the run below outputs, where hydra.run.dir is not given."""

    def __post_init__(self) -> None:
        check_name(self.name)
        check_tags(self.tags)
        check_note(self.note)
        check_plugins(self.plugins)

    @classmethod
    def of(cls, values: Mapping[str, object], defaults: Mapping[str, object] | None = None) -> RunConfig:
        """Return the configuration that plain values make up.

        Args:
            values: Resolved, with a value for every setting.
            defaults: What messages show as the defaults.

        Raises:
            ConfigError: for the first setting that is missing, unknown, or not what it must be.
        """
        read = read_section(cls, values, key="", defaults=defaults or {})
        check_numbers(values)  # after the types, which say more of a wrong one
        return read

    def plain(self) -> Plain:
        """Return the values that `of` takes."""
        return {field.name: as_plain(getattr(self, field.name)) for field in fields(self)}


def read_section(kind: type[Section], values: object, *, key: str, defaults: object = None) -> Section:
    """Return a section of the schema, with a value for each of its fields.

    Args:
        kind: The dataclass of the section.
        values: Plain data.
        key: The section by its dotted name, for messages; empty for the whole.
        defaults: What messages show as the defaults.

    Raises:
        ConfigError: for the first setting that is missing, unknown, or not what it must be.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{key} is a group of settings and cannot be set to {shown(values)}")
    section: type = kind
    hints = hints_of(section)
    shown_defaults: Mapping[str, object] = {}
    if isinstance(defaults, Mapping):
        shown_defaults = defaults
    for name in values:
        if name not in hints:
            raise ConfigError(f"there is no setting '{_join(key, name)}'{nearest(str(name), hints)}")
    for name in hints:
        if name not in values:
            raise ConfigError(f"{_join(key, name)} is missing: give {_join(key, name)}=...")
    read = {
        name: _read(values[name], hint, key=_join(key, name), default=shown_defaults.get(name))
        for name, hint in hints.items()
    }
    return kind(**read)


def _read(value: object, hint: object, *, key: str, default: object) -> object:
    if hint is Part:
        return Part.of(value, key)
    if hint is Losses:
        return Losses.of(value, key)
    section = _section(hint)
    if section is not None and not (value is None and fits(None, hint)):
        return read_section(section, value, key=key, defaults=default)
    if Part in [inner for one in get_args(hint) for inner in get_args(one)]:
        check(value, Mapping[str, object] | None, key=key, default=default)
        nodes = value if isinstance(value, Mapping) else {}
        return {name: Part.of(node, f"{key}.{name}") for name, node in nodes.items()}
    check(value, hint, key=key, default=default)
    for word in choices_of(hint):
        if word == value:
            return word
    if not isinstance(value, list):
        return value
    return tuple(value)


def _section(hint: object) -> type | None:
    """Return the section that a declaration asks for, also one that may be null; None for a single setting."""
    kinds = (hint, *get_args(hint))
    return next((kind for kind in kinds if inspect.isclass(kind) and is_dataclass(kind)), None)


def as_plain(value: object) -> object:
    """Return a value of the schema as YAML and JSON have it."""
    if isinstance(value, Part | Losses):
        return value.plain()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): as_plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(item) for item in value]
    if isinstance(value, StrEnum):
        return value.value
    return value


@cache
def hints_of(kind: type[object]) -> dict[str, object]:
    """Return the declarations of a section by the names of its settings."""
    return get_type_hints(kind, include_extras=True)


def _join(key: str, name: object) -> str:
    if key:
        return f"{key}.{name}"
    return str(name)

"""The one place where a `_target_` becomes an object: an allowlist of packages and of kinds, never a free import.

Only classes are built, only from known packages, only of kinds that an experiment consists of. A configuration from
an untrusted run folder can therefore choose among parts, but cannot call a function or reach another module.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from segbench.config.schema import Part
from segbench.config.signatures import argument_hints, known_parameters
from segbench.config.unnamed import Unnamed
from segbench.config.values import check
from segbench.core.errors import ConfigError, SegbenchError, nearest

PACKAGES = (
    "segbench.data",
    "segbench.models",
    "segbench.losses",
    "segbench.tracking",
    "segbench.training.schedules",
    "torch.nn",
    "torch.optim",
    "timm.optim",
    "schedulefree",
    "torchmetrics.classification",
    "torchmetrics.regression",
    "torchmetrics.segmentation",
    "torchvision.models",
    "albumentations",
    "pytorch_lightning.loggers",
    "segmentation_models_pytorch",
)
"""Packages whose classes a configuration may name. `plugins=[mylab]` on the command line adds one's own."""

KINDS = {
    "torch.nn": "Module",
    "torch.optim": "Optimizer",
    "torch.optim.lr_scheduler": "LRScheduler",
    "pytorch_lightning": "LightningDataModule",
    "pytorch_lightning.callbacks": "Callback",
    "torchmetrics": "Metric",
    "pytorch_lightning.loggers": "Logger",
    "albumentations": "BasicTransform",
    "albumentations.core.composition": "BaseCompose",
    "segbench.tracking.tracker": "Tracker",
    "segbench.training.schedules": "Schedule",
    "segbench.data.loading.augment": "Augment",
}

REFUSALS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a class raises at arguments that it cannot work with."""

MEMORY = ("can't allocate memory", "not enough memory", "out of memory")


def build(node: object, *arguments: object, plugins: Sequence[str] = (), where: str = "", **extra: object) -> Any:
    """Return the object that a configuration node describes; nested nodes are built first.

    Args:
        node: A part, or plain data; a mapping with `_target_` becomes an object, all else is returned as it is.
        *arguments: Positional arguments for the outermost object, such as the parameters of an optimizer.
        plugins: The user's own packages, beside `PACKAGES`.
        where: The configuration key of the node, for messages.
        **extra: Keyword arguments for the outermost object.

    Raises:
        ConfigError: for a target that is not allowed or does not exist, or an argument that it does not take.
    """
    if isinstance(node, Part):
        node = node.plain()
    if isinstance(node, Mapping):
        values = {
            str(name): build(value, plugins=plugins, where=f"{where}.{name}".lstrip("."))
            for name, value in node.items()
            if name != "_target_"
        }
        if "_target_" not in node:
            return values
        target = find_class(node["_target_"], plugins, where=where)
        values.update(extra)
        _check_arguments(target, arguments, values=values, where=where)
        _check_types(target, values, where=where)
        return _call(target, arguments, values=values, where=where)
    if isinstance(node, list | tuple):
        return [build(item, plugins=plugins, where=f"{where}[{place}]") for place, item in enumerate(node)]
    return node


def find_class(target: object, plugins: Sequence[str] = (), *, where: str = "") -> type:
    """Return the class called `target`, if its package, the class itself and its kind are allowed; else ConfigError."""
    name = str(target)
    prefix = f"{where}._target_".lstrip(".")
    if not name:
        raise ConfigError(f"{prefix} must be the name of a class, got nothing")
    if not _allowed(name, plugins):
        raise ConfigError(
            f"{prefix}={name} is not in a package that a configuration may name ({', '.join([*PACKAGES, *plugins])});"
            f" give plugins=[{name.split('.')[0]}] on the command line if you trust it"
        )
    module_name, _, attribute = name.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a user's own package may raise anything
        raise ConfigError(f"{prefix}={name} cannot be imported: {_reason(error)}") from error
    found = getattr(module, attribute, None)
    if found is None:
        names = [n for n, value in vars(module).items() if inspect.isclass(value)]
        raise ConfigError(f"{prefix}: there is no {attribute} in {module_name}{nearest(attribute, names)}")
    home = f"{getattr(found, '__module__', '')}.{getattr(found, '__qualname__', '')}"
    if not inspect.isclass(found) or not _allowed(home, plugins) or not issubclass(found, _kinds()):
        raise ConfigError(f"{prefix}={name} is not a class that an experiment is made of ({', '.join(KINDS.values())})")
    return found


def _allowed(name: str, plugins: Sequence[str]) -> bool:
    return any(name.startswith(f"{package}.") for package in (*PACKAGES, *plugins))


def _kinds() -> tuple[type, ...]:
    return tuple(getattr(importlib.import_module(module), name) for module, name in KINDS.items() if _needed(module))


def _needed(module: str) -> bool:
    # albumentations takes seconds to import; a class from it can only exist once it was imported
    return module.split(".")[0] in ("torch", "pytorch_lightning", "segbench") or module in sys.modules


def _check_arguments(target: type, arguments: Sequence[object], *, values: Mapping[str, object], where: str) -> None:
    parameters = inspect.signature(target).parameters.values()
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    free = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for name in values:
        if name not in named and not free:
            raise _refusal(target, name, where=where)
    given = {*values, *named[: len(arguments)]}
    missing = [p.name for p in parameters if p.name in named and p.default is p.empty and p.name not in given]
    if missing:
        raise ConfigError(f"{where} ({target.__name__}) needs a value for {', '.join(missing)}")


def _check_types(target: type, values: Mapping[str, object], *, where: str) -> None:
    """Raise a ConfigError for the first argument that is not what the class's annotations say."""
    hints = argument_hints(target)
    for name, value in values.items():
        if name in hints:
            check(value, hints[name], key=f"{where}.{name}")


def _refusal(target: type, name: str, *, where: str) -> ConfigError:
    return ConfigError(f"{where} ({target.__name__}) takes no '{name}'{nearest(name, known_parameters(target))}")


def _call(target: type, arguments: Sequence[object], *, values: Mapping[str, object], where: str) -> Any:
    # the keywords of a logger go to a program of its own, which is not started yet
    later = any(kind.__module__.startswith("pytorch_lightning.loggers") for kind in target.__mro__)
    names = []
    if not later:
        names = [name for name in values if name not in inspect.signature(target).parameters]
    try:
        with Unnamed(names) as unnamed:
            built = target(*arguments, **values)
        for name in sorted(unnamed.unused_by(built)):
            raise _refusal(target, name, where=where)
        return built
    except SegbenchError:
        raise
    except REFUSALS as error:
        raise ConfigError(f"{where} ({target.__name__}) cannot be built: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or any(words in text for words in MEMORY):
        return "it needs more memory than there is"
    return text[:200] or type(error).__name__

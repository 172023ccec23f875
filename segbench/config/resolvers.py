"""The functions that YAML files may call as `${name:...}`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from omegaconf import DictConfig, OmegaConf

from segbench.core import tasks
from segbench.core.choices import one_of
from segbench.core.errors import DataError

MAX_RECORD = 4_000_000
"""Bytes of the record of an export that are read."""
NO_EXPORT = {
    "entries": ["image", "mask"],
    "classes": ["background", "foreground"],
    "size": [64, 64],
    "mean": [0.5, 0.5, 0.5],
    "std": [0.25, 0.25, 0.25],
    "bands": None,
}
"""What is shown for data=shards while data.root is not set."""


def stamp() -> str:
    """Return the local time to the millisecond, as used in the names of run folders."""
    return datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")[:-3]


def _heads(task: str, names: Sequence[str]) -> DictConfig:
    return OmegaConf.create(tasks.heads(task, list(names)))


def _num_classes(_root_: DictConfig) -> int:
    found = tasks.heads(str(_root_.task), list(_root_.data.classes))
    return sum(found.values())


def _in_channels(inputs: str, _root_: DictConfig) -> int:
    bands = OmegaConf.select(_root_, "data.bands")
    return tasks.in_channels(inputs, 3 if bands is None else len(bands))


def _settings() -> str:
    from segbench.config.reference import help_text  # only --help asks for it

    return help_text()


def _loss_name(task: str, mask: str, depth: str, /) -> str:
    names = {tasks.Head.MASK: mask, tasks.Head.DEPTH: depth}
    return "_".join(names[head] for head in one_of(tasks.Task, task, what="task").heads)


def _of_export(root: str | None, storage: DictConfig | None, name: str, /) -> object:
    """Return what the export at `root` says of itself under `name`; without a root, something that a check accepts."""
    if root is None:
        return OmegaConf.create({"value": NO_EXPORT[name]}).value
    import fsspec

    address = f"{str(root).rstrip('/')}/dataset.json"
    options = {}
    if "://" in address:
        options = {str(key): value for key, value in (storage or {}).items()}
    try:
        with fsspec.open(address, "rb", **options) as file:
            found = json.loads(file.read(MAX_RECORD))[name]
    except FileNotFoundError:
        raise DataError(f"data.root={root} holds no dataset.json; give the folder of an export of shards") from None
    except Exception as error:  # what the package of an object storage raises is its own
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{address} cannot be read: {type(error).__name__}: {reason}") from None
    return OmegaConf.create({"value": found}).value


def register() -> None:
    """Make the resolvers known: `${heads:task,classes}`, `${in_channels:inputs}` and those that make up names.

    `${num_classes:}` is the channels that a network of another library has to give: 1 for two classes.
    These are `${loss_name:task,mask loss,depth loss}`, `${padded:number}` and `${stamp:}`.
    """
    OmegaConf.register_new_resolver("of_export", _of_export, replace=True, use_cache=True)
    OmegaConf.register_new_resolver("loss_name", _loss_name, replace=True)
    OmegaConf.register_new_resolver("settings", _settings, replace=True)
    OmegaConf.register_new_resolver("heads", _heads, replace=True)
    OmegaConf.register_new_resolver("num_classes", _num_classes, replace=True)
    OmegaConf.register_new_resolver("in_channels", _in_channels, replace=True)
    OmegaConf.register_new_resolver("padded", "{:03d}".format, replace=True)
    OmegaConf.register_new_resolver("stamp", stamp, replace=True, use_cache=True)

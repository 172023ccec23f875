"""The functions that YAML files may call as `${name:...}`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from omegaconf import DictConfig, OmegaConf

from segbench.core import tasks


def stamp() -> str:
    """Return the local time to the millisecond, as used in the names of run folders."""
    return datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")[:-3]


def _heads(task: str, names: Sequence[str]) -> DictConfig:
    return OmegaConf.create(tasks.heads(task, list(names)))


def _loss_name(task: str, mask: str, depth: str) -> str:
    names = {"mask": mask, "depth": depth}
    return "_".join(names[head] for head in tasks.TASKS.get(task, ("mask",)))


def register() -> None:
    """Make the resolvers known: `${heads:task,classes}`, `${in_channels:inputs}` and those that make up names.

    These are `${loss_name:task,mask loss,depth loss}`, `${padded:number}` and `${stamp:}`.
    """
    OmegaConf.register_new_resolver("loss_name", _loss_name, replace=True)
    OmegaConf.register_new_resolver("heads", _heads, replace=True)
    OmegaConf.register_new_resolver("in_channels", tasks.in_channels, replace=True)
    OmegaConf.register_new_resolver("padded", "{:03d}".format, replace=True)
    OmegaConf.register_new_resolver("stamp", stamp, replace=True, use_cache=True)

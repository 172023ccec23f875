"""`resume`: the command line that continues a run in its own folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from omegaconf import OmegaConf

from segbench.config.compose import parse
from segbench.config.saved import read_saved_config
from segbench.core.errors import ConfigError
from segbench.runs.folder import RunFolder, open_run

FREE = ("trainer.", "data.num_workers", "data.pin_memory", "logger", "name", "about", "plugins")
"""Settings that may change at a resume; all others decide what is trained, and must stay."""


def resume_overrides(path: str, new: Sequence[str]) -> list[str]:
    """Return the overrides of the run at `path`, then the new ones, then the run's folder.

    Raises:
        ConfigError: if there is no run, or it was started by another version with other files.
    """
    run = open_run(path)
    recorded = run.hydra / "overrides.yaml"
    if not recorded.is_file():
        raise ConfigError(f"{run.path} has no .hydra/overrides.yaml, so its experiment is not known")
    loaded = OmegaConf.to_container(OmegaConf.create(recorded.read_text()))
    if not isinstance(loaded, list) or not all(isinstance(item, str) for item in loaded):
        raise ConfigError(f"{recorded} must be a list of overrides")
    trusted = [item for item in parse(loaded) if not item.key_or_group.startswith(("hydra", "plugins"))]
    return [*(item.input_line or "" for item in trusted), *new, f"hydra.run.dir={quoted(str(run.path))}"]


def quoted(value: str) -> str:
    """Return a value in the quotes that Hydra's grammar needs for any path."""
    escaped = value.replace("\\", "\\\\") if value.endswith("\\") else value
    return "'" + escaped.replace("'", "\\'") + "'"


def check_same_experiment(run: RunFolder, config: dict[str, Any]) -> None:
    """Raise a ConfigError that names the settings in which `config` differs from what the run was started with."""
    before, now = flatten(read_saved_config(run.config)), flatten(config)
    if config["task"] == "mask":  # what concerns depth is not used, and runs of earlier versions do not have it
        before, now = ({k: v for k, v in part.items() if not k.startswith("loss.depth")} for part in (before, now))
    length = tuple(f"trainer.{name}" for name in ("max_epochs", "max_steps") if config["resolution"] is not None)
    differing = [key for key in sorted({*before, *now})
                 if (key in length or not key.startswith(FREE)) and before.get(key) != now.get(key)]  # fmt: skip
    if differing:
        shown = ", ".join(f"{key} ({before.get(key)} -> {now.get(key)})" for key in differing[:5])
        raise ConfigError(f"{run.path} was started with other settings: {shown}; a resume cannot change them")


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one, with dotted keys."""
    if not isinstance(node, dict):
        return {prefix: node}
    found: dict[str, Any] = {}
    for name, value in node.items():
        found.update(flatten(value, f"{prefix}.{name}" if prefix else str(name)))
    return found

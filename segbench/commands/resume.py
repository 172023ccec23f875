"""`resume`: the command line that continues a run in its own folder."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import Override

from segbench.config.compose import compose_config, groups, parse
from segbench.config.quoting import rendered
from segbench.config.saved import is_cache, looks_up, read_plain_yaml, read_saved_config
from segbench.core.errors import ConfigError
from segbench.runs.folder import RunFolder, open_run

if TYPE_CHECKING:
    from rich.console import Console

NEVER = ("hydra", "plugins", "resume")
"""What a run folder cannot decide: where and how Hydra runs, and whose code is trusted."""

MAX_OVERRIDES = 16_000
"""The largest list of overrides in bytes; the time of Hydra's parser grows with the square of a list's length."""


log = logging.getLogger("segbench")


def continue_run(path: str, words: Sequence[str], console: Console) -> RunFolder:
    """Continue the run at `path` to its end, with the settings in `words`, and return it; raises SegbenchError."""
    from segbench.training.job import train_in

    config = compose_config(resume_overrides(path, words))
    train_in(Path(config.hydra.run.dir), config, console)
    return open_run(path)


def resume_overrides(path: str, new: Sequence[str]) -> list[str]:
    """Return the overrides of the run at `path`, then the new ones, then the run's folder.

    The run may be somebody else's: its overrides choose what is trained, but not where is written, what is looked up
    in the environment, whose code runs, or which server is asked.

    Raises:
        ConfigError: if there is no run, or its files are not what a run has.
    """
    run = open_run(path)
    if "${" in str(run.path):
        raise ConfigError(f"{run.path} has ${{ in its path, which Hydra would take for a setting; rename the folder")
    run.check_writable_inside()
    recorded = run.hydra / "overrides.yaml"
    if not recorded.is_file():
        raise ConfigError(f"{run.path} has no .hydra/overrides.yaml, so its experiment is not known")
    words = [word for item in _recorded(recorded) if (word := _taken_over(item, run)) is not None]
    return [*words, *new, f"hydra.run.dir={rendered(str(run.path))}"]


def _recorded(path: Path) -> list[Override]:
    loaded = read_plain_yaml(path, MAX_OVERRIDES)
    if not isinstance(loaded, list) or not all(isinstance(item, str) for item in loaded):
        raise ConfigError(f"{path} must be a list of overrides")
    try:
        return parse(loaded)
    except (ConfigError, RecursionError):
        raise ConfigError(f"{path} holds what cannot be read as settings, which are given as key=value") from None


def _taken_over(item: Override, run: RunFolder) -> str | None:
    """Return a recorded override as it is given to Hydra again, or None if the person has to give it."""
    word, key, room = item.input_line or "", item.key_or_group, _root(item.key_or_group)
    if item.package is not None and _root(item.package) in NEVER:
        raise ConfigError(f"{run.path} was started with {key}@{item.package}, which a resume does not take over")
    if item.is_sweep_override():
        raise ConfigError(f"{run.path} was started with several values of {key}, but a run has one")
    if room in NEVER:
        return None
    value = item.value()
    if (
        ("logger" in (room, item.package and _root(item.package)) and not _is_shipped_logger(item))
        or (key == "data.download" and value not in (False, None))
        or (key == "data.cache" and value is not None and not is_cache(value))
    ):
        log.warning("%s was started with %s, which reaches beyond the run folder and is not taken over;"
                    " give it again if it is to hold", run.path, key)  # fmt: skip
        return None
    return _resolved(item, run) if "${" in word or looks_up(value) else word


def _root(key: str) -> str:
    return re.split("[./]", key.lstrip("/"))[0]


def _is_shipped_logger(item: Override) -> bool:
    return item.key_or_group == "logger" and item.package is None and item.value() in [*groups()["logger"], None]


def _resolved(item: Override, run: RunFolder) -> str:
    """Return the override with the value that the run had, so that nothing is looked up a second time."""
    config = read_saved_config(run.config)
    key = item.key_or_group
    node: Any = config
    names = ["about", "choices", key] if key in groups() else key.split(".")
    for name in names:
        if item.package is not None or not isinstance(node, dict) or name not in node:
            raise ConfigError(
                f"{run.path} was started with ${{...}} for {key}, and its config.yaml does not say what that was"
            )
        node = node[name]
    sign = "+" if item.is_add() else "++" if item.is_force_add() else ""
    return f"{sign}{key}={rendered(node)}"

"""One composed configuration trained in one folder, with its log. Imports no torch until it starts."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from segbench.config.compose import chosen_options, experiment_config
from segbench.core.errors import ConfigError
from segbench.core.text import harmless
from segbench.core.versions import check_versions
from segbench.runs.environment import git_commit, versions
from segbench.runs.folder import RunFolder
from segbench.runs.lock import LOCK


@dataclass(frozen=True)
class Begin:
    """Makes the folder of a run, and writes what it says about where it came from. config: with its `hydra` node."""

    config: DictConfig

    @cached_property
    def plain(self) -> dict[str, Any]:
        """The resolved configuration of the experiment."""
        return experiment_config(self.config)

    def __call__(self, run: RunFolder) -> None:
        """Make the folder, then write configuration, command line and log."""
        if any(path.name != LOCK for path in run.path.iterdir()) and not run.exists():
            raise ConfigError(f"{run.path} is not empty and holds no run; give a new folder as hydra.run.dir")
        run.create()
        hydra = self.config.hydra
        about = {"choices": chosen_options(self.config), "versions": versions(), "git_commit": git_commit()}
        task = OmegaConf.masked_copy(self.config, [str(key) for key in self.config if key != "hydra"])
        for path, content in (
            (run.config, OmegaConf.create({**self.plain, "about": about})),
            (run.hydra / "config.yaml", task),
            (run.hydra / "hydra.yaml", OmegaConf.create({"hydra": hydra})),
            (run.hydra / "overrides.yaml", hydra.overrides.task),
        ):
            run.write_text(path, OmegaConf.to_yaml(content))
        run.add_command(sys.orig_argv)
        file = logging.FileHandler(run.log)
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logging.getLogger("segbench").addHandler(file)


def train_in(folder: Path, config: DictConfig, console: Console, **further: Any) -> dict[str, Any]:
    """Train a composed configuration in a folder, with its log there and on the console; return the results.

    Args:
        folder: The run folder; a stopped run in it is continued.
        config: As composed, with its `hydra` node.
        console: Where progress goes.
        **further: Further arguments of `segbench.training.fit.train`.
    """
    check_versions()
    logger = _log_to(console)
    try:
        from segbench.training.fit import train  # torch is imported here, once everything light has been checked

        begin = Begin(config)
        logger.info("preparing %s", begin.plain["name"])
        return train(begin.plain, RunFolder(folder), begin, console, **further)
    finally:
        _close(logger)


def _log_to(console: Console) -> logging.Logger:
    logger = logging.getLogger("segbench")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = _ConsoleHandler(console)
    logger.handlers[:] = [handler]
    return logger


class _ConsoleHandler(logging.Handler):
    """Prints above the progress bar instead of through it."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        self.console.print(harmless(self.format(record), keep="\n"), markup=False, highlight=False, soft_wrap=True)


def _close(logger: logging.Logger) -> None:
    for handler in logger.handlers:
        handler.close()
    logger.handlers.clear()

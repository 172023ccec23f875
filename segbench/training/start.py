"""One composed configuration trained in one folder, with its log. Imports no torch until it starts."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from segbench.config.compose import chosen_options, run_config
from segbench.config.schema import RunConfig
from segbench.core.collector import imports_kept
from segbench.core.errors import ConfigError
from segbench.core.text import printable, say
from segbench.core.versions import check_versions
from segbench.core.world import World
from segbench.runs.environment import git_commit, versions
from segbench.runs.folder import RunFolder
from segbench.runs.results import Results
from segbench.training.finished import unchanged_results
from segbench.training.run_log import RunLog


@dataclass(frozen=True)
class Begin:
    """Makes the folder of a run, or goes on in one, and writes what it says about where it came from."""

    config: RunConfig
    """The checked configuration."""
    choices: dict[str, str]
    """The option that was chosen of each group."""
    hydra: DictConfig | None = None
    """The configuration as Hydra composed it, with its `hydra` node; None where a run is continued from its folder."""
    command: tuple[str, ...] = field(default_factory=lambda: tuple(sys.orig_argv))
    """The command line, wherever the run comes to be trained."""

    @classmethod
    def composed(cls, config: DictConfig) -> Begin:
        """Return that of a configuration which Hydra has composed."""
        return cls(run_config(config), chosen_options(config), config)

    def __call__(self, run: RunFolder) -> None:
        """Write configuration, command line and log.

        The first file is config.yaml: a run that is killed here can be told from what is none, and started again.
        """
        if not run.exists() and not run.is_blank():
            raise ConfigError(f"{run.path} is not empty and holds no run; give a new folder as hydra.run.dir")
        run.checkpoints.mkdir(parents=True, exist_ok=True)
        about = {"choices": self.choices, "versions": versions(), "git_commit": git_commit()}
        run.write_text(run.config, OmegaConf.to_yaml(OmegaConf.create({**self.config.plain(), "about": about})))
        run.create()
        if self.hydra is not None:
            self._write_hydra(run, self.hydra)
        run.add_command(self.command)
        file = RunLog(run.log)
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logging.getLogger("segbench").addHandler(file)

    def _write_hydra(self, run: RunFolder, config: DictConfig) -> None:
        task = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
        for name, content in (
            ("config.yaml", task),
            ("hydra.yaml", OmegaConf.create({"hydra": config.hydra})),
            ("overrides.yaml", config.hydra.overrides.task),
        ):
            run.write_text(run.hydra / name, OmegaConf.to_yaml(content))


def train_in(
    folder: Path, begin: Begin, *, console: Console, prepare: Callable[[], None] | None = None, **further: Any
) -> Results:
    """Train a configuration in a folder, with its log there and on the console; return the results.

    Args:
        folder: The run folder; a stopped run in it is continued.
        begin: Knows the configuration, and writes it.
        console: Where progress goes.
        prepare: Called once there is a log.
        **further: Further arguments of `segbench.training.run.train`.
    """
    check_versions()
    with logging_to(console) as logger:
        run = RunFolder(folder)
        if (results := unchanged_results(run, begin.config)) is not None:
            return results
        logger.info("preparing %s", begin.config.name)
        if prepare is not None:
            prepare()
        return start(begin.config, run, begin=begin, console=console, **further)


def start(
    config: RunConfig,
    run: RunFolder,
    *,
    begin: Callable[[RunFolder], None],
    console: Console,
    watch: Callable[[int, float], None] | None = None,
    **further: Any,
) -> Results:
    """Train as `segbench.training.run.train` does: in this process, or in several that are started here."""
    if config.trainer.devices > 1 and not World.here().is_launched:
        from segbench.training.distributed.launch import Request, launch

        quiet = console.quiet or console.file is not sys.stdout
        return launch(Request(config, run.path.absolute(), begin, quiet, watch))
    with imports_kept():
        from segbench.training.run import train  # torch is imported here, once everything light has been checked

    return train(config, run, begin=begin, console=console, watch=watch, **further)


@contextmanager
def logging_to(console: Console) -> Iterator[logging.Logger]:
    """Let what a run says go to a console, and to the files that are added meanwhile."""
    logger = logging.getLogger("segbench")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = _ConsoleHandler(console)
    logger.handlers[:] = [handler]
    try:
        yield logger
    finally:
        for one in logger.handlers:
            one.close()
        logger.handlers.clear()


class _ConsoleHandler(logging.Handler):
    """Prints above the progress bar instead of through it."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        say(self.console, printable(self.format(record), keep="\n"))

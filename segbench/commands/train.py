"""`train`: one run of a composed configuration."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from segbench.config.compose import chosen_options, plain_config
from segbench.core.errors import ConfigError
from segbench.runs.environment import git_commit, versions
from segbench.runs.folder import RunFolder
from segbench.runs.lock import LOCK


def run_training(config: DictConfig, before: frozenset[Path]) -> float:
    """Train a composed configuration in the folder that Hydra chose; return its best val score, for sweepers.

    Args:
        config: As composed by Hydra.
        before: The folders that were there before Hydra made this one; no other is ever removed.
    """
    folder = Path(HydraConfig.get().runtime.output_dir)
    plain = plain_config(config)
    begin = Begin(config, plain)
    console = Console()
    logger = _log_to(console)
    logger.info("preparing %s", plain["name"])
    try:
        from segbench.training.fit import train  # torch is imported here, once everything light has been checked

        results = train(plain, RunFolder(folder), begin, console)
    finally:
        _remove_empty(folder, before)
        _close(logger)
    return float(results["metrics"][results.get("monitor", "val/mean_iou")]["best"])


@dataclass(frozen=True)
class Begin:
    """Writes what a run folder says about where it came from, at the moment when the run really starts.

    config: as composed. plain: the same, resolved.
    """

    config: DictConfig
    plain: dict[str, Any]

    def __call__(self, run: RunFolder) -> None:
        """Make the folder, then write configuration, command line and log."""
        if any(path.name != LOCK for path in run.path.iterdir()) and not run.exists():
            raise ConfigError(f"{run.path} is not empty and holds no run; give a new folder as hydra.run.dir")
        if run.exists():
            run.check_writable_inside()
        run.create()
        hydra = HydraConfig.get()
        about = {
            "choices": chosen_options(OmegaConf.create({"hydra": hydra})),
            "versions": versions(),
            "git_commit": git_commit(),
        }
        for path, content in (
            (run.config, OmegaConf.create({**self.plain, "about": about})),
            (run.hydra / "config.yaml", self.config),
            (run.hydra / "hydra.yaml", OmegaConf.create({"hydra": hydra})),
            (run.hydra / "overrides.yaml", hydra.overrides.task),
        ):
            run.write_text(path, OmegaConf.to_yaml(content))
        run.add_command(sys.orig_argv)
        file = logging.FileHandler(run.log)
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logging.getLogger("segbench").addHandler(file)


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
        text = "".join(sign if sign.isprintable() or sign == "\n" else "?" for sign in self.format(record))
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


def _close(logger: logging.Logger) -> None:
    for handler in logger.handlers:
        handler.close()
    logger.handlers.clear()


def _remove_empty(folder: Path, before: frozenset[Path]) -> None:
    # Hydra makes the folder before anything is checked; a refused run leaves nothing behind, and takes nothing away
    for path in (folder, *folder.parents):
        try:
            if path in before:
                return
            path.rmdir()
        except OSError:
            return

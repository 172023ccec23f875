"""Loggers beside metrics.csv: their packages may be missing, and their servers or stores may refuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytorch_lightning.loggers import Logger

from segbench.config.instantiate import build
from segbench.config.schema import Part
from segbench.core.errors import ConfigError, SegbenchError
from segbench.runs.folder import RunFolder


def make_loggers(parts: Mapping[str, Part] | None, run: RunFolder, *, plugins: Sequence[str]) -> dict[str, Logger]:
    """Return Lightning's loggers by their names in the configuration.

    Raises:
        ConfigError: for one whose package is not installed, or that cannot be built.
    """
    loggers: dict[str, Logger] = {}
    for name, node in (parts or {}).items():
        where = f"logger.{name}"
        try:
            loggers[name] = build(node, plugins=plugins, where=where, save_dir=str(run.path))
        except ImportError as error:
            raise ConfigError(
                f"{where} needs a package that is not here: {_first_line(error)}; install it, or give logger=none"
            ) from error
    return loggers


def open_loggers(loggers: Mapping[str, Logger]) -> list[Logger]:
    """Start the programs or stores behind the loggers before the first step, and return the loggers.

    Raises:
        ConfigError: for one that refuses.
    """
    for name, logger in loggers.items():
        try:
            _ = logger.experiment  # type: ignore[attr-defined]  # a property of all that Lightning has
        except SegbenchError:
            raise
        except Exception as error:  # a program of its own, which may raise anything
            raise ConfigError(
                f"logger.{name} ({type(logger).__name__}) cannot be started: {_first_line(error)}; give it other"
                f" settings, or logger=none"
            ) from error
    return list(loggers.values())


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return lines[0].rstrip(".")[:200]

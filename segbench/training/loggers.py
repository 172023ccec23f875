"""What a run reports to beside metrics.csv: trackers, and loggers of Lightning. Packages and servers may be missing."""

from __future__ import annotations

from dataclasses import dataclass

from pytorch_lightning.loggers import Logger

from segbench.config.instantiate import build, find_class
from segbench.config.schema import RunConfig
from segbench.core.errors import ConfigError
from segbench.runs.folder import RunFolder
from segbench.tracking.live import Live, first_line, starting
from segbench.tracking.tracker import Tracker


@dataclass(frozen=True)
class Loggers:
    """All that the node `logger` of a configuration names."""

    lightning: dict[str, Logger]
    """Loggers of Lightning, by name, which are told each row."""

    live: Live
    """Trackers, which read the run folder."""

    def open(self) -> list[Logger]:
        """Start the programs or stores behind them before the first step, and return Lightning's.

        Raises:
            ConfigError: for one that refuses.
        """
        for name, logger in self.lightning.items():
            with starting(name, logger):
                _ = logger.experiment  # type: ignore[attr-defined]  # a property of all that Lightning has
        self.live.open()
        return list(self.lightning.values())


def make_loggers(config: RunConfig, run: RunFolder) -> Loggers:
    """Return what a configuration names under `logger`, not yet opened.

    Raises:
        ConfigError: for one whose package is not installed, or that cannot be built.
    """
    lightning: dict[str, Logger] = {}
    trackers: dict[str, Tracker] = {}
    for name, part in (config.logger or {}).items():
        where = f"logger.{name}"
        try:
            if issubclass(find_class(part.target, config.plugins, where=where), Tracker):
                trackers[name] = build(part, plugins=config.plugins, where=where)
            else:
                lightning[name] = build(part, plugins=config.plugins, where=where, save_dir=str(run.path))
        except ImportError as error:
            raise ConfigError(
                f"{where} needs a package that is not here: {first_line(error)}; install it, or give logger=none"
            ) from error
    _check_places(trackers)
    return Loggers(lightning, Live(run, trackers, config=config.plain()))


def _check_places(trackers: dict[str, Tracker]) -> None:
    """Raise a ConfigError for two trackers that send to the same place, where each would send all again."""
    places: dict[str, str] = {}
    for name, tracker in trackers.items():
        if tracker.place in places:
            raise ConfigError(f"logger.{name} sends to the same place as logger.{places[tracker.place]}: leave one out")
        places[tracker.place] = name

"""`resume`: a run continued in its own folder, from what is written there."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from segbench.commands.flags import read_flags
from segbench.config.continued import check_start, continued_config, dropped_settings
from segbench.config.saved import read_plain_yaml, read_saved_config
from segbench.config.schema import RunConfig
from segbench.core.errors import CheckpointError, ConfigError
from segbench.core.terminal import outliving_the_terminal
from segbench.runs.folder import RunFolder, open_run

if TYPE_CHECKING:
    from rich.console import Console

log = logging.getLogger("segbench")


def resume_run(path: str, words: Sequence[str]) -> Path:
    """Continue the run at `path` with the settings in `words`, and return its folder.

    An option of Hydra may ask to show the settings instead.

    Raises:
        SegbenchError: as `continue_run`.
    """
    if not path:
        raise ConfigError("resume= needs the path of a run folder, printed at the start of every run")
    flags = read_flags(words)
    if flags.multirun:
        raise ConfigError("resume continues one run; it cannot be combined with -m")
    if flags.shows:
        run = open_run(path)
        _show(flags, settings_of(run, flags.overrides)[0])
        return run.path
    from rich.console import Console

    return continue_run(path, flags.overrides, console=Console()).path


@outliving_the_terminal()
def continue_run(path: str, words: Sequence[str], *, console: Console) -> RunFolder:
    """Continue the run at `path` to its end, and return it.

    Raises:
        CheckpointError: if there is no run that could be continued.
        ConfigError: for a mistake in the words, before anything is written.
        SegbenchError: as `segbench.training.run.train`.
    """
    run = open_run(path)
    config, choices = settings_of(run, words)
    from segbench.training.start import Begin, train_in

    train_in(run.path, Begin(config, choices), console=console, prepare=lambda: _warn(run, words))
    return run


def settings_of(run: RunFolder, words: Sequence[str]) -> tuple[RunConfig, dict[str, str]]:
    """Return the configuration that a run is continued with, and the chosen options; nothing is written."""
    run.check_writable_inside()
    if not run.config.is_file():
        raise CheckpointError(
            f"{run.path} has no config.yaml, so its settings are not known: start it again with the same command and"
            f" hydra.run.dir={run.path}"
        )
    config, choices = continued_config(read_saved_config(run.config), words, where=str(run.path))
    if not run.has_begun():
        check_start(config, words, where=f"{run.path} holds no checkpoint yet, and")
    return config, choices


def _warn(run: RunFolder, words: Sequence[str]) -> None:
    raw = read_plain_yaml(run.config)
    for key in dropped_settings(raw if isinstance(raw, dict) else {}, words):
        log.warning(
            "%s: %s reaches beyond the run folder and is not taken over; give it again if it is to hold", run.path, key
        )


def _show(flags: Namespace, config: RunConfig) -> None:
    from omegaconf import OmegaConf

    if flags.cfg is None:
        raise ConfigError("with resume=RUN, settings can be shown with --cfg job; give the other options without it")
    print(OmegaConf.to_yaml(OmegaConf.create(config.plain())), end="")

"""From a command line of settings to running jobs. Imports Hydra, but neither typer nor torch, to start at once."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError

from segbench.commands.flags import read_flags
from segbench.commands.guard import guarded
from segbench.commands.resume import resume_run
from segbench.config.check import SWEEPS
from segbench.config.compose import CONFIG_NAME, check_sweep, compose_config
from segbench.config.hydra_errors import first_line
from segbench.config.paths import conf_dir
from segbench.config.resolvers import register
from segbench.config.words import spelled_out
from segbench.core.errors import ConfigError
from segbench.core.world import World
from segbench.training.distributed.together import refuse_sweep, together, with_devices


def train_main(arguments: Sequence[str] | None = None) -> None:
    """Run `train.py` with the arguments of the process, or the given ones."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    guarded(lambda: launch(words))


def launch(words: list[str]) -> None:
    """Check a command line of settings, then run it: one job, a sweep, or one of Hydra's own options.

    Raises:
        SegbenchError: for the first mistake, before anything is written.
    """
    words, path = _take_resume(spelled_out(words))
    shows = World.here().rank == 0  # of several processes only the first
    if path is not None and _is_sweep(path):
        refuse_sweep()
        from segbench.commands.sweep import resume_sweep

        return resume_sweep(Path(path).expanduser(), words)
    flags = read_flags(words)
    if flags.shows and not shows:
        return None
    if path is not None:
        if flags.shows:
            resume_run(path, words)
        else:
            together(lambda: resume_run(path, with_devices(words)))
        return None
    if flags.multirun and not flags.shows:
        refuse_sweep()
        from segbench.commands.sweep import run_sweep

        return run_sweep(flags.overrides)
    if flags.multirun and (flags.cfg or flags.info):
        raise ConfigError("--cfg and --info show one run: leave out -m, and give every setting one value")
    _check_no_sweep(flags.overrides)
    if flags.shows:
        return _show(flags)
    from segbench.commands.train import run_training  # rich and more, which --help can do without

    together(lambda: run_training(compose_config(with_devices(flags.overrides))))
    return None


def _show(flags: Namespace) -> None:
    """Let Hydra show what one of its own options asks for; nothing is run."""
    register()
    sys.argv = [sys.argv[0], *flags.words]
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name=CONFIG_NAME)(_refuse_to_run)()
    except (HydraException, OmegaConfBaseException, MarkedYAMLError) as error:
        check_sweep(flags.overrides)  # says it better, where it can
        raise ConfigError(first_line(error)) from error


def _refuse_to_run(config: DictConfig) -> None:
    raise AssertionError("Hydra was asked to show something, and ran a job instead")


def _take_resume(words: list[str]) -> tuple[list[str], str | None]:
    """Return the other words, and the path that `resume=` gives; None where it is not given."""
    given = [word for word in words if word.startswith(("resume=", "+resume="))]
    rest = [word for word in words if word not in given]
    return rest, given[-1].split("=", 1)[1].strip("'\"") if given else None


def _is_sweep(path: str) -> bool:
    try:
        return bool(path) and (Path(path).expanduser() / "sweep.json").is_file()
    except (OSError, RuntimeError, ValueError):
        return False  # no path at all, which is said where the run is opened


def _check_no_sweep(settings: list[str]) -> None:
    for word in settings:
        if word.split("=", 1)[0].split(".", 1)[0] in SWEEPS:
            raise ConfigError(f"'{word}' is about a sweep: add -m")

"""The options of Hydra beside the settings, such as -m and --cfg, with mistakes in one sentence."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from segbench.config.hydra_private import options_of, options_parser
from segbench.config.quoting import rendered
from segbench.core.errors import ConfigError, similar

REFUSED = {
    "config_path": "--config-path: the configuration is segbench's own; add options of yours with --config-dir DIR",
    "config_name": "--config-name: there is one configuration; put your settings into an experiment",
    "experimental_rerun": "--experimental-rerun: it would unpickle a file; continue a run with resume=RUN",
}
"""Options that cannot be used, and what can."""

SHOWING = ("help", "hydra_help", "cfg", "info", "shell_completion")
"""Options with which nothing is run."""


def read_flags(words: Sequence[str]) -> argparse.Namespace:
    """Return Hydra's options; also all settings as `overrides`, whether nothing is run as `shows`, and Hydra's `words`.

    A folder of `--config-dir` is among the overrides as `hydra.searchpath`, so that its options are checked as well.

    Raises:
        ConfigError: for an option that is unknown, incomplete, or cannot be used.
    """
    parser = options_parser()
    parser.allow_abbrev = False
    parser.error = _refuse  # type: ignore[method-assign]
    flags, unknown = parser.parse_known_intermixed_args(list(words))
    if unknown:
        options = [name for names in options_of(parser).values() for name in names if name.startswith("--")]
        name = unknown[0].split("=")[0]
        hint = similar(name, options) or "; settings are given as key=value, see --help"
        raise ConfigError(f"there is no option '{name}'{hint}")
    for name, reason in REFUSED.items():
        if getattr(flags, name) is not None:
            raise ConfigError(reason)
    if flags.config_dir is not None:
        if not Path(flags.config_dir).is_dir():
            raise ConfigError(f"--config-dir: there is no folder {flags.config_dir}")
        flags.overrides.append(f"hydra.searchpath=[{rendered(f'file://{Path(flags.config_dir).absolute()}')}]")
    flags.words = [*_options(parser, flags), *flags.overrides]
    flags.shows = any(getattr(flags, name) for name in SHOWING)
    return flags


def _options(parser: argparse.ArgumentParser, flags: argparse.Namespace) -> list[str]:
    words: list[str] = []
    for place, names in options_of(parser).items():
        value = getattr(flags, place, None)
        if not value or place == "config_dir":
            continue
        words.append(names[0])
        if value is not True:
            words.append(str(value))
    return words


def _refuse(message: str) -> NoReturn:
    raise ConfigError(f"{message}; see --help")

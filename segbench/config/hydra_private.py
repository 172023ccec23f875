"""What is used of Hydra beyond its documented interface; the upper bound in pyproject.toml is for this file.

Hydra's options can only be checked before Hydra runs by its own parser, for which there is no public name; nor has the
standard library one for the options that a parser knows. Values can be put into what is composed already only by the
step of composing that does so, which has no public name either.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf


def options_parser() -> argparse.ArgumentParser:
    """Return the parser of Hydra's options, such as --multirun and --cfg, with the settings as `overrides`."""
    parser: argparse.ArgumentParser = get_args_parser()
    return parser


def options_of(parser: argparse.ArgumentParser) -> dict[str, list[str]]:
    """Return the names of each option, such as `--multirun` and `-m`, by where its value is put."""
    return {action.dest: list(action.option_strings) for action in parser._actions if action.option_strings}


def put_values(config: DictConfig, overrides: Sequence[Override], *, values: Sequence[Override]) -> None:
    """Change a configuration that Hydra has composed of options alone into what it composes of all overrides.

    Args:
        config: What it composed, with its `hydra` node; it is changed.
        overrides: All of them, in their order.
        values: Those that choose no option.

    Raises:
        HydraException: for a value that cannot be put there.
    """
    OmegaConf.set_readonly(config.hydra, False)  # as before `HydraConfig` has seen it
    ConfigLoaderImpl._apply_overrides_to_config(list(values), config)
    task = [override for override in overrides if not override.is_hydra_override()]
    config.hydra.overrides.task = [override.input_line for override in task]
    config.hydra.overrides.hydra = [override.input_line for override in overrides if override.is_hydra_override()]
    style = config.hydra.job.config.override_dirname
    config.hydra.job.override_dirname = get_overrides_dirname(
        overrides=task, kv_sep=style.kv_sep, item_sep=style.item_sep, exclude_keys=style.exclude_keys
    )
    config.hydra.runtime.cwd = str(Path.cwd())

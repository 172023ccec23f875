"""What is used of Hydra beyond its documented interface; the upper bound in pyproject.toml is for this file.

Hydra's options can only be checked before Hydra runs by its own parser, for which there is no public name; nor has the
standard library one for the options that a parser knows.
"""

from __future__ import annotations

import argparse

from hydra._internal.utils import get_args_parser


def options_parser() -> argparse.ArgumentParser:
    """Return the parser of Hydra's options, such as --multirun and --cfg, with the settings as `overrides`."""
    parser: argparse.ArgumentParser = get_args_parser()
    return parser


def options_of(parser: argparse.ArgumentParser) -> dict[str, list[str]]:
    """Return the names of each option, such as `--multirun` and `-m`, by where its value is put."""
    return {action.dest: list(action.option_strings) for action in parser._actions if action.option_strings}

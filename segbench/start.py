"""The first thing that runs: what has to hold before anything large is imported."""

from __future__ import annotations

import os
import sys

from segbench.core.signals import hold_signals
from segbench.core.terminal import open_closed_streams


def train() -> None:
    """Run `train.py`."""
    _prepare()
    from segbench.commands.launch import train_main

    train_main()


def main() -> None:
    """Run the `segbench` command."""
    _prepare()
    from segbench.cli import main as run_command

    run_command()


def _prepare() -> None:
    hold_signals()
    open_closed_streams()
    _speak_utf8()


def _speak_utf8() -> None:
    """Start again in Python's UTF-8 mode where the locale, such as C, knows no names of files but ASCII."""
    if sys.getfilesystemencoding().lower() == "utf-8" or os.environ.get("PYTHONUTF8") == "1":
        return
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

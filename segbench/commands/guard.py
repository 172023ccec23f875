"""Runs a command to its exit status: one sentence for a mistake. Imports little, so that every verb starts at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from segbench.commands.requeue import requeue_job
from segbench.core.errors import ConfigError, SegbenchError, exit_code_of
from segbench.core.signals import stopped_by_signals
from segbench.core.terminal import standard_streams
from segbench.core.text import for_stream, printable
from segbench.core.versions import check_versions
from segbench.core.world import World


def guarded(run: Callable[[], Any], *, any_version: bool = False, trains: bool = True) -> NoReturn:
    """Run a command and end the process: one sentence for a mistake, a traceback only for a bug or on request.

    Args:
        run: The command.
        any_version: Whether it also works with packages of unsupported versions.
        trains: Whether it is a training: stopped before its first step, it leaves nothing behind.
    """
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then lets errors through instead of printing them its own way
    try:
        with standard_streams(), stopped_by_signals():
            if not any_version:
                check_versions()
            run()
    except SegbenchError as error:
        if before == "1":
            raise
        _say(str(error))
        _requeue(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt as error:
        if trains:
            _say("stopped before the first step; nothing was lost")
        else:
            _say("stopped; what was written before is kept")
        _requeue(error)
        sys.exit(exit_code_of(error))
    finally:
        os.environ.pop("HYDRA_FULL_ERROR")
        if before is not None:
            os.environ["HYDRA_FULL_ERROR"] = before
    sys.exit(0)


def _requeue(error: BaseException) -> None:
    if getattr(error, "requeue", False) and (said := requeue_job()):
        _say(said)


def _is_first() -> bool:
    """Whether this process is the one of several that speaks."""
    try:
        return World.here().rank == 0
    except ConfigError:
        return True


def _say(message: str) -> None:
    # names from an untrusted folder may hold control characters, which a terminal would obey
    if message and sys.stderr is not None and _is_first():
        line = f"segbench: {printable(' '.join(message.split()))}"
        with suppress(OSError, ValueError):  # a terminal that is gone
            print(for_stream(line, sys.stderr), file=sys.stderr, flush=True)

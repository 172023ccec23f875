"""`compare --watch`: the same table again and again, while runs are at work."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from rich.console import Console

from segbench.compare.runs import NoRunsError
from segbench.core.errors import CheckpointError, ConfigError, Interrupted, exit_code_of
from segbench.core.signals import EXIT_CODES

SECONDS = 5.0


def watch(show: Callable[[], None], console: Console, *, seconds: float = SECONDS) -> None:
    """Call `show` every few seconds on a cleared terminal, until Ctrl-C.

    Args:
        show: Prints what there is; an error of it is printed as well, but the first look shows mistakes: only that
            there are no runs yet is none.
        console: The terminal.
        seconds: Pause between two looks.

    Raises:
        Interrupted: on another signal that stops a command.
    """
    looks = 0
    try:
        while True:
            console.clear()
            looks += 1
            try:
                show()
            except (CheckpointError, ConfigError) as error:
                if looks == 1 and not isinstance(error, NoRunsError | CheckpointError):
                    raise
                console.print(str(error), markup=False, highlight=False)
            console.print(f"{time.strftime('%H:%M:%S')}, every {seconds:.0f} s; Ctrl-C ends it", style="dim")
            time.sleep(seconds)
    except KeyboardInterrupt as error:
        if exit_code_of(error) != EXIT_CODES[signal.SIGINT]:
            raise Interrupted("no longer watched", exit_code_of(error)) from None

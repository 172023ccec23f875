"""`compare --watch`: the same table again and again, while runs are at work."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console

from segbench.core.errors import CheckpointError, ConfigError

SECONDS = 5.0


def watch(show: Callable[[], None], console: Console, *, seconds: float = SECONDS) -> None:
    """Call `show` every few seconds on a cleared terminal, until Ctrl-C.

    Args:
        show: Prints what there is; an error of it, such as for a folder without runs yet, is printed as well.
        console: The terminal.
        seconds: Pause between two looks.
    """
    try:
        while True:
            console.clear()
            try:
                show()
            except (CheckpointError, ConfigError) as error:
                console.print(str(error), markup=False, highlight=False)
            console.print(f"{time.strftime('%H:%M:%S')}, every {seconds:.0f} s; Ctrl-C ends it", style="dim")
            time.sleep(seconds)
    except KeyboardInterrupt:
        return

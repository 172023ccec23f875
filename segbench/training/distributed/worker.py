"""What a process does that `trainer.devices=N` has started: the run in the first one, its share in the others."""

from __future__ import annotations

import os
import pickle
import sys
import traceback
from pathlib import Path

from rich.console import Console

from segbench.core.errors import SegbenchError, exit_code_of
from segbench.core.signals import hold_signals, stopped_by_signals
from segbench.core.world import World
from segbench.runs.folder import RunFolder
from segbench.runs.lock import is_given_up
from segbench.runs.results import Results
from segbench.training.distributed.follow import follow
from segbench.training.distributed.launch import Request, write_error
from segbench.training.distributed.ranks import Ranks
from segbench.training.run import train
from segbench.training.start import logging_to


def main(name: str) -> None:
    """Run the request in a folder, and end with the exit status of the error."""
    hold_signals()
    folder = Path(name)
    world = World.here()
    (folder / f"process-{world.rank}").write_text(str(os.getpid()))
    ranks = Ranks(world, say=lambda error: _say(folder, ranks, error=error), launcher_signal=_LauncherSignal(folder))
    try:
        with stopped_by_signals(), ranks:
            if ranks.first:
                _train(pickle.loads((folder / "request").read_bytes()))
            else:
                follow(ranks)
    except (SegbenchError, KeyboardInterrupt) as error:
        _say(folder, ranks, error=error)
        sys.exit(exit_code_of(error))
    except Exception as error:
        if not ranks.first:
            raise
        _say(folder, ranks, error=error)
        sys.exit(1)


def _train(request: Request) -> Results:
    console = Console(quiet=request.quiet)
    with logging_to(console):
        return train(request.config, RunFolder(request.run), begin=request.begin, console=console, watch=request.watch)


def _say(folder: Path, ranks: Ranks, *, error: BaseException) -> None:
    if ranks.first or ranks.first_is_gone:
        write_error(folder, error, trace=traceback.format_exc())


class _LauncherSignal:
    """Looks for a signal to the process that has started this one, and ends with that one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._found = False

    def __call__(self) -> int | None:
        if is_given_up(self._folder):
            os._exit(1)  # it was killed: nobody is left to say anything to
        file = self._folder / "stop"
        if self._found or not file.is_file():
            return None
        text = file.read_text()
        self._found = text.isdecimal()
        if not self._found:
            return None
        return int(text)

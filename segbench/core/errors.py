"""Errors a user can cause: one sentence that says what, where, and what would work, and an exit code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SegbenchError(Exception):
    """Base of every error shown as one sentence without a traceback; `exit_code` is the process's exit status."""

    exit_code = 1


class ConfigError(SegbenchError):
    """The composed experiment cannot work: a wrong name, key, value or combination."""

    exit_code = 2


class InUseError(ConfigError):
    """Another process works in the folder."""


class DataError(SegbenchError):
    """The data is missing, unreadable, or not what was declared."""

    exit_code = 3


class CheckpointError(SegbenchError):
    """No checkpoint that can be trusted was found, or it does not fit the experiment."""

    exit_code = 4


class TerminalError(SegbenchError):
    """What the command prints cannot be written."""

    exit_code = 4


class ReaderGoneError(SegbenchError):
    """The program that read the command's output has ended, such as `head`."""

    exit_code = 141


class NonFiniteError(SegbenchError):
    """The loss became NaN or infinite."""

    exit_code = 5


class OutOfMemoryError(SegbenchError):
    """The device or the machine has too little memory for the batch."""

    exit_code = 6


class RankError(SegbenchError):
    """Another process of the run has ended early; it has the exit status of that one.

    rank: its number; None for the launching process, and where it has been told already.
    """

    def __init__(self, message: str, exit_code: int = 1, *, rank: int | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.rank = rank


class Pruned(SegbenchError):
    """A search ended the run early, because others were better at the same epoch."""


class Interrupted(SegbenchError):
    """Stopped by a signal after writing a checkpoint; the run can be resumed.

    requeue: whether a scheduler gave notice (SIGUSR1 or SIGUSR2) that the time is up, rather than the user.
    """

    def __init__(self, message: str, exit_code: int = 130, *, requeue: bool = False) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.requeue = requeue


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return a hint for a wrong `name`: `"; did you mean 'unet'?"`, or the list of valid names where none is near."""
    names = sorted(valid)
    hint = similar(name, names)
    if hint or not names:
        return hint
    return f"; choose from {', '.join(names)}"


def similar(name: str, valid: Iterable[str]) -> str:
    """Return `"; did you mean 'unet'?"` where a valid name is near a wrong one, else nothing."""
    match = difflib.get_close_matches(name, sorted(valid), n=1, cutoff=0.6)
    if not match:
        return ""
    return f"; did you mean '{match[0]}'?"


def exit_code_of(error: BaseException) -> int:
    """Return the exit status of a process that an error ends: 130 for Ctrl-C, 1 for one that is not expected."""
    return int(getattr(error, "exit_code", 130 if isinstance(error, KeyboardInterrupt) else 1))

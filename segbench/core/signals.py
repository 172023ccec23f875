"""The signals that stop a command, and what they do until a training takes them over."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TypeVar


def _known(*names: str) -> tuple[signal.Signals, ...]:
    return tuple(signal.Signals[name] for name in names if hasattr(signal, name))  # Windows has few of them


NOTICES = _known("SIGUSR1", "SIGUSR2")
"""What schedulers send some time before they end a job: SLURM's `--signal=USR1@90`, submitit."""

ENDINGS = _known("SIGTERM", "SIGHUP")
"""What ends a job, and what a terminal that is closed sends."""

EXIT_CODES = {signal.SIGINT: 130} | dict.fromkeys((*ENDINGS, *NOTICES), 143)
"""Signals that stop a command, with the process's exit status."""

AGAIN = 0.05
"""Seconds after which a signal that came in the middle of an import is sent again."""

SILENT = 1.0
"""Seconds that a stop may take before it is said that the signal has come."""

Argument = TypeVar("Argument")

_held: list[signal.Signals] = []


class StoppedError(KeyboardInterrupt):
    """A signal came before the first step; it is a KeyboardInterrupt, so no handler of damaged files takes it for one.

    exit_code: the process's exit status. requeue: whether a scheduler gave notice.
    """

    def __init__(self, number: signal.Signals) -> None:
        super().__init__("stopped")
        self.exit_code = EXIT_CODES[number]
        self.requeue = number in NOTICES


def stop_signals() -> list[signal.Signals]:
    """Return the signals that stop this process: a SIGHUP that is ignored, as under nohup, stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        return []  # whoever owns the main thread handles them
    ignored = hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [number for number in EXIT_CODES if not (ignored and number == signal.SIGHUP)]


def hold_signals() -> None:
    """Remember a signal that comes while the program itself is imported; a second one ends the process."""
    for number in stop_signals():
        signal.signal(number, _hold)


def _hold(number: int, frame: FrameType | None) -> None:
    if _held:
        os._exit(EXIT_CODES[signal.Signals(number)])
    _held.append(signal.Signals(number))


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let the first signal, also one that was held, raise a `StoppedError`; a second one ends the process at once."""
    owner = os.getpid()
    received: list[int] = []
    delayed: list[int] = []
    sent_again: list[int] = []
    timers: list[threading.Timer] = []

    def send_again(number: int) -> None:
        sent_again.append(number)
        os.kill(owner, number)

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != owner:
            end_worker(number)
            return
        is_new = not sent_again
        sent_again.clear()
        if received or (delayed and is_new):
            os._exit(EXIT_CODES[signal.Signals(number)])
        if is_new:
            timers.append(_later(SILENT, write_to_terminal, argument=b"\nstopping; press again to stop at once\n"))
        if _imports(frame):
            delayed.append(number)
            timers.append(_later(AGAIN, send_again, argument=number))
            return
        received.append(number)
        raise StoppedError(signal.Signals(number))

    before = {number: signal.signal(number, stop) for number in stop_signals()}
    try:
        if _held:
            received.append(_held[0])
            raise StoppedError(_held.pop())
        yield
    finally:
        for timer in timers:
            timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _later(seconds: float, act: Callable[[Argument], None], *, argument: Argument) -> threading.Timer:
    """Act after some seconds, if the process is still there and the timer has not been cancelled."""
    timer = threading.Timer(seconds, act, (argument,))
    timer.daemon = True
    timer.start()
    return timer


def _imports(frame: FrameType | None) -> bool:
    """Whether a module is being imported: one that is interrupted stays half made, and fails later in its own way."""
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


def end_worker(number: int) -> None:
    """Handle a signal in a forked worker: the terminal sends Ctrl-C to it as well, but its parent decides."""
    if number == signal.SIGTERM:
        os._exit(EXIT_CODES[signal.SIGTERM])


def write_to_terminal(line: bytes) -> None:
    """Write from within a handler, to a terminal that may be gone."""
    with suppress(OSError):
        os.write(2, line)

"""Trackers that are kept up to date while a run trains, by a thread that never holds the training up."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial

from segbench.core.errors import ConfigError, SegbenchError
from segbench.core.plain import Plain
from segbench.core.states import RunState
from segbench.runs.folder import RunFolder
from segbench.tracking.sender import Sender
from segbench.tracking.tracker import Tracker

log = logging.getLogger("segbench")
EVERY = 10.0
"""Seconds after which a tracker has what the run has written."""
PATIENCE = 120.0
"""Seconds that a finished run waits for its trackers."""
NOTICE = 10.0
"""Seconds that a run waits which was stopped, and may be killed soon."""


class Live:
    """The trackers of a run that trains in this process. They read its folder, so that the training knows none.

    Args:
        run: The run folder; nothing in it need exist before `open`.
        trackers: By their names in the configuration.
        config: The settings of now.
    """

    def __init__(self, run: RunFolder, trackers: Mapping[str, Tracker], *, config: Plain) -> None:
        self.run = run
        self.trackers = trackers
        self.config = config
        self._senders: dict[str, Sender] = {}
        """Those that have been opened and have not failed."""
        self._over = threading.Event()
        self._state = RunState.RUNNING
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Open the trackers and begin to send; nothing where that was done.

        What they import is imported here, before the run has workers.

        Raises:
            ConfigError: for a tracker that cannot be started, such as one whose server does not answer.
        """
        if self._thread is not None or not self.trackers:
            return
        for name, tracker in self.trackers.items():
            with starting(name, tracker):
                sender = Sender(self.run, tracker, config=self.config)
                sender.open()
            self._senders[name] = sender
        self._thread = threading.Thread(target=self._work, name="trackers", daemon=True)
        self._thread.start()

    @contextmanager
    def ending(self, state_after: Callable[[BaseException], RunState]) -> Iterator[None]:
        """Send the rest at the end, and close what has been opened.

        Args:
            state_after: What becomes of a run that an error ends.
        """
        try:
            yield
        except BaseException as error:
            self._end(state_after(error))
            raise
        self._end(RunState.COMPLETED)

    def _end(self, state: RunState) -> None:
        self._state = state
        self._over.set()
        if self._thread is None:  # one refused before the others began
            self._close_all()
            return
        self._thread.join(PATIENCE if state is RunState.COMPLETED else NOTICE)
        if self._thread.is_alive():
            log.warning(
                "logger: %s takes too long and is left behind; segbench track %s sends the rest later",
                ", ".join(self._senders),
                self.run.path,
            )

    def _work(self) -> None:
        while not self._over.wait(EVERY):
            for name, sender in list(self._senders.items()):
                self._try(name, sender.send)
        self._close_all()

    def _close_all(self) -> None:
        for name, sender in list(self._senders.items()):
            self._try(name, partial(sender.close, self._state))
            self._senders.pop(name, None)

    def _try(self, name: str, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            sender = self._senders.pop(name)
            with suppress(Exception):
                sender.tracker.close(RunState.FAILED)
            log.warning(
                "logger.%s is left out from now on: %s; segbench track %s --to %s sends the rest later",
                name,
                first_line(error),
                self.run.path,
                name,
            )


@contextmanager
def starting(name: str, logger: object) -> Iterator[None]:
    """Turn whatever a program of its own raises at its start into one sentence, a ConfigError.

    Args:
        name: Of the tracker or logger in the configuration.
        logger: That one.
    """
    try:
        yield
    except SegbenchError:
        raise
    except Exception as error:
        raise ConfigError(
            f"logger.{name} ({type(logger).__name__}) cannot be started: {first_line(error)}; give it other settings,"
            f" or logger=none"
        ) from error


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its name where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    return lines[0].rstrip(".")[:200]

"""A thread in each process of a run that hears of signals and ends of the others, where the work itself only waits.

A process that waits for others within torch can be reached by nothing. This thread therefore ends it, with the same
words and status, where it has not ended by itself some seconds after there was a reason to.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from torch.distributed import Store  # type: ignore[attr-defined]  # documented, but not in __all__

from segbench.core.errors import Interrupted, RankError, SegbenchError
from segbench.core.signals import EXIT_CODES, NOTICES
from segbench.core.world import World
from segbench.training.signals import StopSignals

POLL = 0.25
"""Seconds between two signs of life of a process."""

SILENT = 240
"""Looks without a sign of life after which a process is given up: a minute."""

SILENT_AT_STOP = 40
"""The same while the run is being stopped: ten seconds."""

SILENT_AT_FAULT = 12
"""The same once a connection has broken: three seconds."""

GRACE = 5.0
"""Seconds in which a process is to notice by itself what ends it."""

EXPLAINED = 8.0
"""Seconds in which the reason for a broken connection is to arrive."""


@dataclass(frozen=True)
class Ending:
    """Why a process has ended, for the others."""

    rank: int | None
    """Its number; None for the launching process."""
    code: int
    """Its exit status."""
    sentence: str
    """What it would say."""
    requeue: bool = False
    """Whether a scheduler gave notice."""
    silent: bool = False
    """Whether others say so of a process that cannot any more."""

    def error(self, size: int) -> SegbenchError:
        """Return the error that ends another process of `size`."""
        if self.code in EXIT_CODES.values():
            return Interrupted(self.sentence, self.code, requeue=self.requeue)
        if self.code < 0:
            return RankError(self.sentence, rank=self.rank)
        sentence = f"process {self.rank} of {size} ended with status {self.code}: {self.sentence}"
        return RankError(sentence, self.code, rank=self.rank)


class Watch(threading.Thread):
    """The thread; it has a connection to the store of its own.

    Args:
        world: Which process this is.
        store: What all of them share.
        force: Called with the error before the process is ended from here.
        launcher_signal: Returns the number of a signal that the launching process has received, once; None for none.
    """

    def __init__(
        self,
        world: World,
        store: Store,
        *,
        force: Callable[[SegbenchError], None],
        launcher_signal: Callable[[], int | None],
    ) -> None:
        super().__init__(daemon=True, name="segbench-watch")
        self.world = world
        self.store = store
        self.signals: StopSignals | None = None
        self.ending: Ending | None = None
        """Why another process has ended, or this one is to."""
        self._force = force
        self._launcher_signal = launcher_signal
        self._over = threading.Event()
        self._told = False
        self._others = [0] if world.rank else list(range(1, world.size))
        self._beats = 0
        self._seen: dict[int, bytes] = {}
        self._silence = dict.fromkeys(self._others, 0)
        self._since: float | None = None
        self._stopping = False

    def begin(self) -> None:
        """Give the first sign of life, and start."""
        self._beat()
        self.start()

    def finish(self) -> None:
        """End the thread."""
        self._over.set()
        if self.is_alive():
            self.join()

    def silent(self, looks: int) -> int | None:
        """Return a process without a sign of life for `looks` looks; None for none."""
        return next((rank for rank, missed in self._silence.items() if missed >= looks), None)

    def run(self) -> None:
        """Look again and again."""
        while not self._over.wait(POLL):
            try:
                self._beat()
                self._share_signals()
                self._look()
            except RuntimeError:
                self.ending = self.ending or self._lost()
            if self.ending is not None:
                self._end_in_time()

    def _beat(self) -> None:
        self._beats += 1
        self.store.set(f"beat/{self.world.rank}", str(self._beats))

    def _share_signals(self) -> None:
        number = self._launcher_signal()
        if number is not None and self.world.rank == 0:
            os.kill(os.getpid(), number)
        signals = self.signals
        if signals is not None:
            signals.listen()
        mine = number  # which the first process cannot pass on while it is frozen
        if signals is not None and signals.received is not None:
            mine = signals.received
        if mine is not None and not self.store.check(["stop"]):
            self.store.set("stop", str(int(mine)))
        if self.store.check(["stop"]):
            self._stopping = True
            if self.signals is not None and self.signals.from_others is None:
                self.signals.from_others = signal.Signals(int(self.store.get("stop")))

    def _look(self) -> None:
        if not self._told and self.store.check(["end"]):
            self.ending = Ending(**json.loads(self.store.get("end")))
        for rank in self._others:
            beat = b""
            if self.store.check([f"beat/{rank}"]):
                beat = self.store.get(f"beat/{rank}")
            self._silence[rank] = self._silence[rank] + 1 if beat == self._seen.get(rank) else 0
            self._seen[rank] = beat
        silent = self.silent(SILENT_AT_STOP if self._stopping else SILENT)
        if silent is not None and self.ending is None:
            self.ending = self._given_up(silent)
            self.tell(self.store, self.ending)

    def _given_up(self, rank: int) -> Ending:
        number = self._stopped_by()
        said = f"process {rank} of {self.world.size} gives no sign of life"
        if number is None:
            return Ending(rank, -1, f"{said}: it is frozen, was killed, or its machine is gone", silent=True)
        last = "stopped without a new checkpoint, as"
        sentence = f"{last} {said}; the last one is kept"
        return Ending(rank, EXIT_CODES[number], sentence, number in NOTICES, silent=True)

    def _stopped_by(self) -> signal.Signals | None:
        if self.signals is not None:
            return self.signals.wanted
        return None

    def _lost(self) -> Ending:
        rank = None if self.world.has_agent else 0
        gone = "the launcher"
        if rank is not None:
            gone = f"process {rank} of {self.world.size}"
        sentence = f"{gone} is gone, and with it the store where the processes of the run meet"
        return Ending(rank, -1, sentence, silent=True)

    def _end_in_time(self) -> None:
        """End the process where it does not notice; its checkpoints are as safe as from any kill."""
        assert self.ending is not None
        self._since = self._since or time.monotonic()
        if time.monotonic() - self._since < GRACE:
            return
        error = self.ending.error(self.world.size)
        self._force(error)
        os._exit(error.exit_code)

    def tell(self, store: Store, ending: Ending) -> None:
        """Tell the others what ends the run, unless another one was first; `store` is of the calling thread."""
        self._told = True
        if not store.check(["end"]):
            store.set("end", json.dumps(asdict(ending)))

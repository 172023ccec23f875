"""The processes of a run together: what the first one decides, what all agree on, and how they end."""

from __future__ import annotations

import atexit
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar

import torch
from torch.distributed import (  # type: ignore[attr-defined]  # documented, but not in __all__
    PrefixStore,
    ReduceOp,
    Store,
)

from segbench.core.errors import ConfigError, Interrupted, SegbenchError, exit_code_of
from segbench.core.plain import Json, Plain
from segbench.core.text import printable
from segbench.core.world import World
from segbench.training.distributed.launch import killed
from segbench.training.distributed.meeting import connect, meet, waiting
from segbench.training.distributed.watch import EXPLAINED, SILENT_AT_FAULT, Ending, Watch
from segbench.training.faults import wants_memory
from segbench.training.signals import StopSignals

TIMEOUT = timedelta(minutes=30)
"""How long a process waits for the others within one operation before it gives up."""

INTERVAL = 1.0
"""Seconds between two agreements about checkpoints and signals, as far as a step is shorter."""

MOST_STEPS = 1000
"""Steps between two agreements at most."""

END_TIMEOUT = 30.0
"""Seconds that the others wait for the first process to have said how the run ended."""

LONG = 7 * 24 * 3600.0
"""Seconds that reading data may take; a process that ends while others wait for it is noticed at once."""

Part = TypeVar("Part")

_runs = 0


class Ranks:
    """The processes of a run; entered, they have met.

    Args:
        world: Which process this is.
        say: Called with the error of a process that is ended by its watch, instead of printing it.
        launcher_signal: Returns the number of a signal that the launching process has received.
    """

    def __init__(
        self,
        world: World,
        say: Callable[[SegbenchError], None] | None = None,
        *,
        launcher_signal: Callable[[], int | None] = lambda: None,
    ) -> None:
        self.world = world
        self.endings: list[Callable[[SegbenchError], None]] = [say or self.say]
        """What is done before the watch ends this process."""
        self._launcher_signal = launcher_signal
        self._store: Store | None = None
        self._watch: Watch | None = None
        self._next = 0
        self._asked = (0, time.monotonic())
        self.first_is_gone = False
        """Whether the first process cannot say any more how the run has ended."""

    @property
    def several(self) -> bool:
        """Whether there is more than this process."""
        return self.world.size > 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes the run folder."""
        return self.world.rank == 0

    def __enter__(self) -> Ranks:
        global _current, _runs
        _runs += 1
        raw = connect(self.world, keep=True)
        self._kept = PrefixStore(f"segbench/{_runs}", raw)
        if self.several:
            name = meet(self.world, raw, name=f"segbench/{_runs}")
            self._store = PrefixStore(name, raw)
            # a connection of its own: an operation that waits keeps others on the same one waiting
            watched = PrefixStore(name, connect(self.world, keep=False))
            self._watch = Watch(self.world, watched, force=self._forced, launcher_signal=self._launcher_signal)
            self._watch.begin()
        _current = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _current
        _current = ALONE
        if self._store is None:
            return
        if error is None:
            self._leave()
            return
        self._look_for_first()
        with suppress(RuntimeError):  # the store may be gone with the others
            self._send_end(error)
        if self.first:
            atexit.register(self._leave)  # what ends the run is printed before the others go
        else:
            self._leave()

    def remembered(self, name: str, value: str) -> str:
        """Return `value`, or what it was when the launcher started the processes of this run for the first time."""
        if not self.world.is_launched or not self.world.has_agent:
            return value
        return self._kept.compare_set(name, "", value).decode()

    @contextmanager
    def sharing_signals(self, signals: StopSignals) -> Iterator[StopSignals]:
        """Pass a signal to one process on to all."""
        if self._watch is None:
            yield signals
            return
        self._watch.signals = signals
        try:
            yield signals
        finally:
            self._watch.signals = None

    def signals(self) -> StopSignals:
        """Return handlers of the signals that stop the run."""
        return StopSignals(forwarded=self.world.has_agent, silent=not self.first, watched=self.several)

    # what the first one decides

    def send_plan(self, plan: Plain | None) -> None:
        """Tell the others what is trained; None for nothing."""
        if self._store is not None:
            self._store.set("plan", json.dumps(plan))

    def plan(self) -> Json | None:
        """Wait for what `send_plan` tells."""
        self._wait_for("plan")
        assert self._store is not None
        plan: Json | None = json.loads(self._store.get("plan"))
        return plan

    def send_result(self, folder: str) -> None:
        """Tell the others which the run folder is, once the run is over."""
        if self._store is not None:
            if not self._store.check(["plan"]):
                self.send_plan(None)
            self._store.set("result", folder)

    def result(self) -> str:
        """Wait for what `send_result` tells."""
        self._wait_for("result")
        assert self._store is not None
        return self._store.get("result").decode()

    def mark_ready(self) -> None:
        """Say that this process has its data and its network."""
        assert self._store is not None
        self._store.set(f"ready/{self.world.rank}", "1")

    def wait_until_ready(self) -> None:
        """Wait until all others have said so."""
        for rank in range(1, self.world.size):
            self._wait_for(f"ready/{rank}")

    def _wait_for(self, key: str) -> None:
        assert self._store is not None
        for _ in waiting(self.check, LONG):
            if self._store.check([key]):
                return
        raise ConfigError(f"process {self.world.rank} of {self.world.size} has waited for the others for a week")

    # what all do together

    @contextmanager
    def connected(self, kind: str) -> Iterator[None]:
        """Let torch exchange tensors between the processes, of the CPU and of a kind of device.

        Raises:
            RankError: if another process ends meanwhile.
        """
        if self._store is None:
            yield
            return
        backend = "cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo"
        rank = self.world.rank
        with self.explained():
            torch.distributed.init_process_group(
                backend, store=PrefixStore("group", self._store), rank=rank, world_size=self.world.size, timeout=TIMEOUT
            )
            yield
            torch.distributed.destroy_process_group()

    def agree(self, step: int, late: bool, *, number: int, always: bool = False) -> tuple[bool, int]:
        """Return whether a checkpoint is late and the signal that stops the run, the same in all processes.

        They ask one another after about a second of steps, as counted by the slowest.

        Args:
            step: The step that has just been made, the same in all.
            late: Whether this process finds that a checkpoint is late.
            number: The signal that this process knows of; 0 for none.
            always: Ask now.
        """
        if not self.several:
            return late, number
        if step < self._next and not always:
            return False, 0
        before, then = self._asked
        now = time.monotonic()
        pace = (now - then) / max(1, step - before)
        wishes = torch.tensor([float(late), float(number), pace], dtype=torch.float64)
        torch.distributed.all_reduce(wishes, ReduceOp.MAX)
        any_late, signal, slowest = wishes.tolist()
        self._asked = (step, now)
        self._next = step + max(1, min(MOST_STEPS, int(INTERVAL / max(slowest, 1e-9))))
        return bool(any_late), int(signal)

    def gathered(self, mine: Part) -> list[Part]:
        """Return in the first process what each of them has, in their order; in the others nothing. All call it."""
        if not self.several:
            return [mine]
        parts: list[Any] | None = [None] * self.world.size if self.first else None
        torch.distributed.gather_object(mine, parts)
        return parts or []

    # how they end

    def check(self) -> None:
        """Raise the error of another process that has ended."""
        if self._watch is not None and self._watch.ending is not None:
            raise self._watch.ending.error(self.world.size)

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn an error of torch that comes of the end of another process into the error of that one."""
        try:
            yield
        except RuntimeError as error:
            if self._watch is None or wants_memory(error):
                raise
            reason = self._reason()
            if reason is None:
                raise
            raise reason from error

    def _reason(self) -> SegbenchError | None:
        assert self._watch is not None
        assert self._store is not None
        for _ in waiting(lambda: None, EXPLAINED):
            if self._watch.ending is not None:
                return self._watch.ending.error(self.world.size)
            rank = self._watch.silent(SILENT_AT_FAULT)
            if rank is not None:
                ending = Ending(rank, -1, killed(rank, self.world.size), silent=True)
                with suppress(RuntimeError):
                    self._watch.tell(self._store, ending)
                self.first_is_gone = rank == 0
                return ending.error(self.world.size)
        return None

    def _send_end(self, error: BaseException) -> None:
        assert self._watch is not None
        assert self._store is not None
        if isinstance(error, SegbenchError):
            sentence = str(error)
        else:
            sentence = f"{type(error).__name__}: {error}"
        requeue = bool(getattr(error, "requeue", False))
        ending = Ending(self.world.rank, exit_code_of(error), " ".join(sentence.split()), requeue)
        self._watch.tell(self._store, ending)
        if isinstance(error, Interrupted) and not self.first:
            for _ in waiting(lambda: None, END_TIMEOUT):  # a launcher would send the first one a second signal
                if self._store.check(["left"]):
                    break

    def _leave(self) -> None:
        """Take leave; the process that keeps the store goes last."""
        if self._watch is None or self._store is None:
            return
        self._watch.finish()
        with suppress(RuntimeError):
            if self.first:
                self._store.set("left", "1")
                others = [f"gone/{rank}" for rank in range(1, self.world.size)]
                for _ in waiting(lambda: None, 0 if self.world.has_agent else END_TIMEOUT):
                    if self._store.check(others):
                        break
            else:
                self._store.set(f"gone/{self.world.rank}", "1")
        self._watch = self._store = None

    def _look_for_first(self) -> None:
        ending = self._watch.ending if self._watch is not None else None
        if ending is not None and ending.rank == 0 and ending.silent:
            self.first_is_gone = True

    def _forced(self, error: SegbenchError) -> None:
        self._look_for_first()
        for act in reversed(self.endings):
            with suppress(Exception):
                act(error)

    def say(self, error: SegbenchError) -> None:
        """Print an error in the first process, or in the next one if that is gone."""
        if self.first or (self.first_is_gone and self.world.rank == 1):
            os.write(2, f"segbench: {printable(' '.join(str(error).split()))}\n".encode())


ALONE = Ranks(World())
"""A process by itself."""

_current = ALONE


def current() -> Ranks:
    """Return the processes of the run that this process works on."""
    return _current

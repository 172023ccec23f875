"""Where the processes of a run meet: a key-value store of torch, and a part of it that this start of them has alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import uuid4

from torch.distributed import Store, TCPStore  # type: ignore[attr-defined]  # documented, but not in __all__

from segbench.core.errors import ConfigError
from segbench.core.world import World

PATIENCE = 600.0
"""Seconds that the processes have to come: those of a cluster may start minutes after one another."""

ATTEMPT = timedelta(seconds=5)
"""How long one attempt to reach the store may take; a signal is handled between two."""

POLL = 0.05
"""Seconds between two looks at what is waited for."""


def connect(world: World, *, keep: bool) -> TCPStore:
    """Return a connection to the store; with `keep`, the first process opens the store where no agent has one.

    Raises:
        ConfigError: if it cannot be reached.
    """
    opens = keep and world.rank == 0 and not world.has_agent
    ends = time.monotonic() + PATIENCE
    while True:
        try:
            return TCPStore(world.address, world.port, None, opens, ATTEMPT, wait_for_workers=False, multi_tenant=opens)
        except RuntimeError as error:
            if opens or time.monotonic() > ends:
                doing = "open" if opens else "reach"
                reason = str(error).splitlines()[0][:160]
                raise ConfigError(
                    f"process {world.rank} of {world.size} cannot {doing} {world.address}:{world.port}, where they are"
                    f" to meet: {reason}"
                ) from None


def meet(world: World, store: Store, *, name: str, check: Callable[[], None] = lambda: None) -> str:
    """Wait for all processes of the run, and return the name of the part of the store that they alone use.

    A launcher that starts the processes again keeps its store, with all that those before have written into it, so
    that nothing but a name drawn anew tells this start from the last one.

    Args:
        world: Which process this is.
        store: The store.
        name: Of the run, where a program has several one after the other.
        check: Called while waiting; may raise.

    Raises:
        ConfigError: if others do not come in time.
    """
    mine = uuid4().hex
    if world.rank == 0:
        _welcome(world, store, name=name, mine=mine, check=check)
        return mine
    store.set(f"{name}/hello/{world.rank}", mine)
    for _ in waiting(check):
        if store.check([f"{name}/welcome/{mine}"]):
            break
    else:
        raise ConfigError(f"process 0 of {world.size} has not come to {world.address} within {PATIENCE:.0f} s")
    given = store.get(f"{name}/welcome/{mine}").decode()
    store.set(f"{given}/here/{world.rank}", "1")
    return given


def _welcome(world: World, store: Store, *, name: str, mine: str, check: Callable[[], None]) -> None:
    missing = set(range(1, world.size))
    for _ in waiting(check):
        for rank in list(missing):
            if store.check([f"{name}/hello/{rank}"]):  # perhaps of an earlier start; the right one comes later
                store.set(f"{name}/welcome/{store.get(f'{name}/hello/{rank}').decode()}", mine)
            if store.check([f"{mine}/here/{rank}"]):
                missing.discard(rank)
        if not missing:
            return
    numbers = ", ".join(map(str, sorted(missing)[:8]))
    raise ConfigError(
        f"of {world.size} processes, number {numbers} did not come to {world.address}:{world.port} within"
        f" {PATIENCE:.0f} s: is every one of them started, and can it reach that address?"
    )


def waiting(check: Callable[[], None], seconds: float = PATIENCE) -> Iterator[None]:
    """Yield again and again for `seconds`, with a pause and a check in between."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        yield
        check()
        time.sleep(POLL)

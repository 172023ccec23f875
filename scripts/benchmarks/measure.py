"""How a row is measured: ours and its baseline in turn, in CPU seconds of this process and of those it has started."""

from __future__ import annotations

import resource
import statistics
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

Work = Callable[[], object]


@dataclass(frozen=True)
class Pair:
    """What is measured against what."""

    ours: Work
    """A piece of work as segbench does it; where it returns a number, that is what counts instead of its seconds."""

    baseline: Work | None
    """The same, or what it is held against, by hand; None where the goal is absolute."""


@dataclass(frozen=True)
class Row:
    """A row of the table."""

    name: str
    """How it is chosen on the command line."""

    what: str
    """What is measured over what."""

    goal: float
    """The most that ours may take, as a multiple of the baseline, or in `unit`."""

    prepare: Callable[[], AbstractContextManager[Pair]]
    """Makes what both need; this is not measured."""

    unit: str | None = None
    """What ours and its goal count where there is no baseline and the goal is absolute, such as `s`."""


@dataclass(frozen=True)
class Measured:
    """What came of a row, in seconds and as multiples of the baseline, which is one of the row's unit if it has one."""

    ours: float
    """The least of all rounds."""

    baseline: float
    """Likewise."""

    best: float
    """The least of ours over the least of the baseline."""

    median: float
    """The median over the rounds of ours over the baseline of the same round."""


def cpu_seconds() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def timed(work: Work) -> float:
    """Return the CPU seconds that a piece of work takes, or that it says itself."""
    began = cpu_seconds()
    said = work()
    if isinstance(said, float):
        return said
    return cpu_seconds() - began


def one_unit() -> float:
    """Return what an absolute figure is a multiple of."""
    return 1.0


def measured(row: Row, rounds: int) -> Measured:
    """Return what comes of several rounds, after one that does not count."""
    with row.prepare() as pair:
        by_hand = pair.baseline or one_unit
        timed(pair.ours)
        timed(by_hand)
        found = [(timed(pair.ours), timed(by_hand)) for _ in range(rounds)]
    ours = min(one for one, _ in found)
    baseline = min(other for _, other in found)
    return Measured(ours, baseline, ours / baseline, statistics.median(one / other for one, other in found))


@contextmanager
def ready(ours: Work, baseline: Work) -> Iterator[Pair]:
    """Give a pair that needs nothing to be put away."""
    yield Pair(ours, baseline)

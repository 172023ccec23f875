"""How much memory there is to use."""

from __future__ import annotations

from pathlib import Path

UNKNOWN = 2 << 30
"""Bytes that are counted on where the system does not say how many are free."""

CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int:
    """Return the bytes of memory that can still be used: of the machine, or of the container where that is less."""
    found = [_of_machine(), _of_container()]
    return min((amount for amount in found if amount is not None), default=UNKNOWN)


def _of_machine() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def _of_container() -> int | None:
    try:
        limit = int((CGROUP / "memory.max").read_text())  # "max" where there is none
        return max(0, limit - int((CGROUP / "memory.current").read_text()))
    except (OSError, ValueError):
        return None

"""What is to happen to one of several processes at a certain call: a signal that it sends to itself, or an error.

A `sitecustomize.py` on the PYTHONPATH of the processes calls `obey`; each act happens once, also if its process is
started again. Each process leaves its number, so that `end_all` finds those that a failed test leaves behind.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import json
import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.support.killing import POINTS, ROOT

ACTS = "SEGBENCH_ACTS"
NUMBERS = "SEGBENCH_ACTS_NUMBERS"
"""Where each process leaves its number."""


@dataclass(frozen=True)
class Act:
    """One of them."""

    rank: int
    """To which process."""
    point: str
    """Before which call: one of `killing.POINTS`, or a place of that form."""
    count: int
    """The how manieth, from 1, in that process."""
    what: str
    """The name of a signal, `error`, or `module:NAME=0`, which gives a number another value."""


def acting(folder: Path, acts: Iterable[Act]) -> dict[str, str]:
    """Return variables with which processes act; `folder` takes what they need."""
    hooks = folder / "acts"
    hooks.mkdir(exist_ok=True)
    (hooks / "sitecustomize.py").write_text("from tests.support import acts\n\nacts.obey()\n")
    paths = [str(hooks), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    wanted = [{**asdict(act), "mark": str(hooks / f"{number}.done")} for number, act in enumerate(acts)]
    return {"PYTHONPATH": os.pathsep.join(paths), ACTS: json.dumps(wanted), NUMBERS: str(hooks)}


def end_all(folder: Path) -> None:
    """Kill the processes that have begun with the variables of `acting(folder)`, their workers, also frozen ones."""
    for file in (folder / "acts").glob("*.process"):
        number = int(file.stem)
        with suppress(ProcessLookupError):
            if os.getpgid(number) == number:  # each has a group of its own
                os.killpg(number, signal.SIGCONT)
                os.killpg(number, signal.SIGKILL)


def obey() -> None:
    """Prepare the acts of this process."""
    Path(os.environ[NUMBERS], f"{os.getpid()}.process").touch()
    rank = os.environ.get("RANK", os.environ.get("SLURM_PROCID"))
    for act in json.loads(os.environ.get(ACTS, "[]")):
        if str(act["rank"]) == rank:
            _prepare(act)


def _prepare(act: dict[str, Any]) -> None:
    place, _ = POINTS.get(act["point"], (act["point"], "*"))
    module, _, dotted = place.partition(":")
    *parents, name = dotted.split(".")
    owner = functools.reduce(getattr, parents, importlib.import_module(module))
    original = getattr(owner, name)
    calls = itertools.count(1)
    mark = Path(act["mark"])

    @functools.wraps(original)
    def acting(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == act["count"] and not mark.exists():
            mark.touch()
            _act(act["what"])
        return original(*args, **kwargs)

    setattr(owner, name, acting)


def _act(what: str) -> None:
    if what == "error":
        from segbench.core.errors import DataError

        raise DataError("its disk is gone")
    place, _, value = what.partition("=")
    if value:
        module, _, name = place.partition(":")
        setattr(importlib.import_module(module), name, float(value))
        return
    os.kill(os.getpid(), getattr(signal, what))

"""What an experiment tracker has to do to be sent a run folder. One file of this room is one tracker."""

from __future__ import annotations

import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segbench.core.plain import Plain
from segbench.core.states import RunState

Identity = dict[str, str]
"""What a tracker finds its run again by, such as its id; kept in `trackers.json`."""


@dataclass(frozen=True, kw_only=True)
class About:
    """What a tracker is told of a run when it is opened."""

    folder: Path
    """The run folder, absolute and without links."""
    name: str
    """What the run is called: the last two parts of its folder."""
    config: Plain
    """The configuration, plain."""
    tags: tuple[str, ...]
    """The words that it was given."""
    note: str
    """The remark that it was given; empty for none."""

    def settings(self) -> dict[str, str | int | float | bool]:
        """Return the configuration with dotted names; lists are text."""
        return flat(self.config)


class Tracker(ABC):
    """A tracker that is sent one run after another. It may raise anything at any time: then it is left out.

    What is sent is never sent again, so a tracker only has to add. Steps rise, but for images and the summary, which
    may come at the step of the last scalars.
    """

    @property
    @abstractmethod
    def place(self) -> str:
        """Where it sends, such as `wandb offline segbench`: what was sent there is remembered under this name."""

    @abstractmethod
    def open(self, about: About, identity: Identity | None, *, last: int) -> Identity:
        """Begin a run, or go on with the one of `identity`, and send the settings.

        Args:
            about: The run.
            identity: What this returned the last time; None for a run that is new here.
            last: The last step that was sent; -1 for none.

        Returns:
            How it is found again. Another one than was given says that the run begins anew: all of it is sent. What was
            given lies in the run folder, which may be untrusted or a copy: a run is gone on with only where the
            tracker's own record of it names this folder.
        """

    def reached(self) -> Mapping[str, int] | None:
        """Return the last step of each tag that a run which goes on holds; None where the tracker cannot tell.

        What it tells counts for more than what is remembered: a process that was killed may have sent more than it
        could remember, and a program that was killed with it may have lost what it was sent.
        """
        return None

    @abstractmethod
    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Add a value to each of some curves.

        Args:
            step: The optimizer step, from 1.
            values: By tag, such as `train/loss`.
        """

    @abstractmethod
    def image(self, name: str, png: bytes, *, step: int) -> None:
        """Add a picture.

        Args:
            name: Such as `panels/val`.
            png: The file's content.
            step: The optimizer step.
        """

    @abstractmethod
    def summary(self, values: Mapping[str, float], *, step: int) -> None:
        """Set what came of the run: the scores of the best epoch, and what it took."""

    @abstractmethod
    def flush(self) -> None:
        """Have everything that was sent outlive this process, as far as can be."""

    @abstractmethod
    def close(self, state: RunState) -> None:
        """End the run, which may go on later."""


def need(package: str, extra: str) -> None:
    """Raise an ImportError that says what to install where a package is missing; nothing is imported."""
    if importlib.util.find_spec(package) is None:
        raise ModuleNotFoundError(f"{package} (pip install 'segbench[{extra}]')", name=package)


def flat(node: Mapping[str, object], prefix: str = "") -> dict[str, str | int | float | bool]:
    """Return the values of nested mappings by dotted names; what is neither number nor text becomes text."""
    found: dict[str, str | int | float | bool] = {}
    for name, value in node.items():
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{key}.")
        elif isinstance(value, str | int | float):
            found[key] = value
        else:
            found[key] = str(value)
    return found

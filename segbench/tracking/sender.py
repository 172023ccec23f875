"""Sends to a tracker what a run folder holds and the tracker does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from segbench.core.plain import Plain
from segbench.core.plain_yaml import load_plain_yaml
from segbench.core.reading import UnreadableError, read_bytes, read_text
from segbench.core.states import RunState
from segbench.core.text import printable
from segbench.runs.folder import RunFolder
from segbench.tracking.memory import read_sent, write_sent
from segbench.tracking.rows import EPOCH, NewRows
from segbench.tracking.tracker import About, Tracker

MAX_CONFIG = 300_000
MAX_PICTURE = 50_000_000
PANELS = "panels/val"
PLOTS = ("confusion", "loss", "iou", "depth")
COSTS = ("best_epoch", "epochs", "steps", "seconds", "images_per_second", "parameters", "flops_per_image")
SUMMARY = "summary"


class _Item(NamedTuple):
    """Something to send."""

    stream: str
    """What is remembered of it."""
    step: int
    """At which step."""
    send: Callable[[], None]
    """Sends it."""


class Sender:
    """One run on its way to one tracker.

    Args:
        run: The run folder; it may be written to meanwhile.
        tracker: Where it goes.
        config: The settings of now, where config.yaml may hold earlier ones.
    """

    def __init__(self, run: RunFolder, tracker: Tracker, *, config: Plain | None = None) -> None:
        self.run = run
        self.tracker = tracker
        self.config = config or {}
        self._rows = NewRows(run.metrics)
        self._sent = read_sent(run, tracker.place)
        self._reached: dict[str, int] = {}
        self._epochs: dict[int, int] = {}
        """The last step of each epoch."""

    def open(self) -> None:
        """Have the tracker begin the run, or go on with it."""
        before = self._sent.identity
        identity = self.tracker.open(about(self.run, self.config), before, last=self._sent.last)
        reached = self.tracker.reached() if identity == before else {}
        if reached is not None:
            self._sent.steps.clear()
            self._reached = dict(reached)
        self._sent.identity = identity
        write_sent(self.run, self.tracker.place, sent=self._sent)

    def send(self, *, is_over: bool = False) -> None:
        """Send what is new, and remember it.

        Args:
            is_over: The run has ended, so that its results are final.
        """
        items = [*self._new_rows(), *self._new_panels()]
        if is_over and self.run.results.is_file():
            items += self._results()
        new = [item for item in items if self._sent.after(item.stream, item.step)]
        if not new:
            return
        for item in sorted(new, key=lambda item: item.step):
            item.send()
        self.tracker.flush()
        for item in new:
            self._sent.note(item.stream, item.step)
        write_sent(self.run, self.tracker.place, sent=self._sent)

    def close(self, state: RunState) -> None:
        """Send the rest, and end the run."""
        self.send(is_over=True)
        self.tracker.close(state)

    def _new_rows(self) -> Iterator[_Item]:
        for row in self._rows.take():
            if row.split == EPOCH:
                self._epochs[row.epoch] = row.step
            values = {tag: value for tag, value in row.values.items() if row.step > self._reached.get(tag, -1)}
            yield _Item(row.split, row.step, partial(self._scalars, row.step, values))

    def _scalars(self, step: int, values: dict[str, float]) -> None:
        if values:
            self.tracker.scalars(step, values)

    def _new_panels(self) -> Iterator[_Item]:
        for epoch, step in sorted(self._epochs.items()):
            file = self.run.samples / f"epoch-{epoch + 1:04d}.png"
            if self._sent.after(PANELS, step) and file.is_file():
                yield self._picture(PANELS, file, step=step)

    def _results(self) -> Iterator[_Item]:
        results = self.run.read_results()
        step = results["steps"]
        pictures = {f"plots/{name}": self.run.plots / f"{name}.png" for name in PLOTS}
        pictures["panels/test"] = self.run.samples / "test.png"
        for name, file in pictures.items():
            if file.is_file():
                yield self._picture(name, file, step=step)
        values: dict[str, float] = {}
        for name, score in results["metrics"].items():
            tag = name if name.startswith("test/") else f"best/{name}"
            values[printable(tag, 200)] = _number(score.get("best"))
        values |= {name: _number(results.get(name)) for name in COSTS}
        known = {name: value for name, value in values.items() if value == value}
        yield _Item(SUMMARY, step, lambda: self.tracker.summary(known, step=step))

    def _picture(self, name: str, file: Path, *, step: int) -> _Item:
        def send() -> None:
            if step > self._reached.get(name, -1):
                self.tracker.image(name, read_bytes(file, MAX_PICTURE, follow_links=False), step=step)

        return _Item(name, step, send)


def send(run: RunFolder, tracker: Tracker, *, state: RunState) -> None:
    """Send everything of a run that has ended and that a tracker was not sent yet.

    Args:
        run: The run folder.
        tracker: Where it goes.
        state: How the run ended.
    """
    sender = Sender(run, tracker)
    sender.open()
    sender.close(state)


def about(run: RunFolder, settings: Plain) -> About:
    """Return what a tracker is told of a run: what config.yaml holds, as far as it can be read, and `settings`."""
    folder = run.path.resolve()
    config: Plain = {}
    with suppress(UnreadableError, ValueError):
        loaded = load_plain_yaml(read_text(run.config, MAX_CONFIG, follow_links=False))
        if isinstance(loaded, dict):
            config = loaded
    config = {**config, **settings}
    tags = config.get("tags")
    note = config.get("note")
    return About(
        folder=folder,
        name=printable("/".join(folder.parts[-2:]), 120),
        config=config,
        tags=tuple(printable(str(tag), 60) for tag in tags) if isinstance(tags, list) else (),
        note=printable(str(note)) if note is not None else "",
    )


def _number(value: object) -> float:
    """Return a number as it is, NaN for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return float("nan")

"""What was sent to which tracker, kept in the run folder, so that nothing is sent twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from segbench.core.errors import CheckpointError
from segbench.core.files import write_json
from segbench.core.plain import Plain, inner
from segbench.runs.folder import RunFolder, read_json
from segbench.tracking.tracker import Identity


@dataclass
class Sent:
    """What one tracker has of a run."""

    identity: Identity | None = None
    """How the tracker finds its run again; None before the first time."""
    steps: dict[str, int] = field(default_factory=dict)
    """The last step that was sent of `train` and `epoch` rows, of each kind of picture, and of the summary."""

    @property
    def last(self) -> int:
        """The last step of which anything was sent; -1 for none."""
        return max(self.steps.values(), default=-1)

    def after(self, stream: str, step: int) -> bool:
        """Return whether a step of a stream was not sent yet."""
        return step > self.steps.get(stream, -1)

    def note(self, stream: str, step: int) -> None:
        """Remember that a step of a stream, and all before it, were sent."""
        self.steps[stream] = max(step, self.steps.get(stream, -1))


def read_sent(run: RunFolder, place: str) -> Sent:
    """Return what the tracker at `place` was sent; nothing where that cannot be read: then all is sent."""
    entry = inner(_all(run), place)
    identity = {str(name): value for name, value in inner(entry, "identity").items() if isinstance(value, str)}
    steps = {name: step for name, step in inner(entry, "steps").items() if isinstance(step, int)}
    if not identity:
        return Sent()
    return Sent(identity, steps)


def write_sent(run: RunFolder, place: str, *, sent: Sent) -> None:
    """Remember what the tracker at `place` was sent, beside what others were."""
    write_json(run.trackers, {**_all(run), place: asdict(sent)})


def _all(run: RunFolder) -> Mapping[str, object]:
    found: Plain = {}
    if run.trackers.is_file():
        try:
            found = read_json(run.trackers)
        except CheckpointError:
            return {}
    return found

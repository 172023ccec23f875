"""The states of a run: one enumeration for all who write or read them."""

from __future__ import annotations

from enum import StrEnum


class RunState(StrEnum):
    """What became of a run."""

    ABSENT = "absent"
    """No run was ever started in the folder."""
    QUEUED = "queued"
    """A job of a sweep whose turn has not come."""
    RUNNING = "running"
    """It works; status.json of a run that was killed says so too, see `runs.folder.state_now`."""
    COMPLETED = "completed"
    """Trained to its end: its numbers are final."""
    FAILED = "failed"
    """Ended by an error, which status.json names."""
    INTERRUPTED = "interrupted"
    """Stopped by a signal; it can be resumed."""
    PRUNED = "pruned"
    """Ended early by a search, because other trials were better by then."""
    BROKEN = "broken"
    """Its files cannot be read."""

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left to do."""
        return self in (RunState.COMPLETED, RunState.PRUNED)


RECORDED = (RunState.RUNNING, RunState.COMPLETED, RunState.FAILED, RunState.INTERRUPTED, RunState.PRUNED)
"""The states that status.json may name."""


def recorded_state(value: object) -> RunState | None:
    """Return the state that a status.json names, or None where no run has such a state."""
    return next((state for state in RECORDED if state == value), None)

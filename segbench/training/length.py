"""How long a training is, from where it stands: the same answer at every step of it, also after other settings."""

from __future__ import annotations

from dataclasses import dataclass

from segbench.config.trainer_settings import TrainerSettings
from segbench.core.errors import CheckpointError, ConfigError
from segbench.inference.checkpoints import Checkpoint
from segbench.training.lightning_private import batches_ready, epochs_completed, epochs_processed


@dataclass(frozen=True)
class Position:
    """Where a training stands."""

    step: int = 0
    """Optimizer steps that were made."""
    epoch: int = 0
    """Epochs that are over."""
    batch: int = 0
    """Batches of the epoch after those."""

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Position:
        """Return the position that a checkpoint holds; raises CheckpointError where it holds none."""
        try:
            step = int(checkpoint["global_step"])
            if checkpoint["epoch_is_over"]:
                return cls(step, epochs_processed(checkpoint))
            return cls(step, epochs_completed(checkpoint), batches_ready(checkpoint))
        except (KeyError, TypeError, ValueError):
            raise CheckpointError("the checkpoint is not one of a training: it does not say where it stood") from None


@dataclass(frozen=True)
class Length:
    """The end of a training."""

    steps: int
    """Optimizer steps of the whole training."""
    epochs: int
    """Epochs of the whole training, the last one perhaps in part."""

    @classmethod
    def of(cls, settings: TrainerSettings, batches: int, *, position: Position = Position()) -> Length:
        """Return where a training of `batches` an epoch ends that stands at a position.

        Raises:
            ConfigError: if the position lies in an epoch that does not have so many batches any more.
        """
        if position.batch >= batches:
            raise ConfigError(
                f"the run stands after {position.batch} batches of an epoch, which has only {batches} with these"
                " settings: leave data.batch_size and the data as they were until the epoch is over"
            )
        whole = -(-batches // settings.accumulate)
        here = whole - position.batch // settings.accumulate
        steps = position.step + here + (settings.max_epochs - position.epoch - 1) * whole
        if settings.max_steps is not None:
            steps = min(steps, settings.max_steps)
        further = steps - position.step - here
        if further <= -here:
            return cls(steps, position.epoch + (position.batch > 0))
        return cls(steps, position.epoch + 1 + max(0, -(-further // whole)))

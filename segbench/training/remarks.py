"""What is said at the start of a training about settings that cannot take effect in it."""

from __future__ import annotations

from segbench.config.trainer_settings import TrainerSettings
from segbench.training.average import remark
from segbench.training.length import Length
from segbench.training.schedules import Plateau, Schedule


def remarks(
    settings: TrainerSettings, schedule: Schedule, *, batches: int, is_schedule_free: bool = False
) -> list[str]:
    """Return a sentence for each setting that a training of this length does not come to, or that changes nothing.

    Args:
        settings: Those of the trainer.
        schedule: The learning rate's.
        batches: Batches in an epoch.
        is_schedule_free: Whether the optimizer averages the weights itself.
    """
    length = Length.of(settings, batches)
    steps = length.steps
    epochs = length.epochs
    validations = -(-epochs // settings.val_every)
    found: list[str | None] = []
    if settings.ema is not None:
        found.append(remark(settings.ema, settings.ema_warmup, steps=steps))
    if settings.val_every > epochs:
        found.append(
            f"trainer.val_every={settings.val_every} is more than the {epochs} epochs: only the last is validated"
        )
    if settings.patience is not None and settings.patience >= validations - 1:
        found.append(f"trainer.patience={settings.patience} never ends a training of {validations} validations")
    if settings.accumulate > batches:
        found.append(
            f"trainer.accumulate={settings.accumulate} is more than the {batches} batches of an epoch, so that a step"
            f" is made of {batches}"
        )
    if isinstance(schedule, Plateau) and schedule.patience >= validations - 2:
        found.append(f"scheduler.patience={schedule.patience} never lowers the rate within {validations} validations")
    if 0 < schedule.warmup * steps < 1:
        found.append(f"scheduler.warmup={schedule.warmup} of {steps:,} steps is less than one of them")
    if is_schedule_free and type(schedule) is not Schedule:
        found.append(
            "the optimizer averages the weights so that the rate need not fall: scheduler=none is what it is made for"
        )
    return [sentence for sentence in found if sentence is not None]

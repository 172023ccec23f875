"""Settings that a training is too short for are told at its start, and only those."""

import pytest
import yaml

from segbench.config.paths import conf_dir
from segbench.config.schema import read_section
from segbench.config.trainer_settings import TrainerSettings
from segbench.training.remarks import remarks
from segbench.training.schedules import Cosine, Plateau, Schedule

DEFAULT = yaml.safe_load((conf_dir() / "trainer" / "default.yaml").read_text()) | {"max_epochs": 10, "panels_every": 0}


@pytest.mark.parametrize(
    ("settings", "schedule", "said"),
    [
        ({}, Schedule(), None),
        ({"val_every": 10}, Schedule(), None),
        ({"val_every": 11}, Schedule(), "trainer.val_every=11 is more than the 10 epochs: only the last is validated"),
        ({"patience": 8}, Schedule(), None),
        ({"patience": 9}, Schedule(), "trainer.patience=9 never ends a training of 10 validations"),
        ({"patience": 5, "val_every": 2}, Schedule(), "trainer.patience=5 never ends a training of 5 validations"),
        ({"accumulate": 4}, Schedule(), None),
        ({"accumulate": 5}, Schedule(), "trainer.accumulate=5 is more than the 4 batches of an epoch"),
        ({}, Plateau(patience=7), None),
        ({}, Plateau(patience=8), "scheduler.patience=8 never lowers the rate within 10 validations"),
        ({}, Cosine(warmup=0.025), None),
        ({}, Cosine(warmup=0.02), "scheduler.warmup=0.02 of 40 steps is less than one of them"),
        ({"ema": 0.9999}, Schedule(), "trainer.ema=0.9999 never comes into force"),
    ],
)
def test_what_cannot_take_effect_is_told(settings, schedule, said):
    found = remarks(read_section(TrainerSettings, {**DEFAULT, **settings}, key="trainer"), schedule, batches=4)
    assert len(found) == (0 if said is None else 1)
    assert not found or found[0].startswith(said)


def test_a_schedule_beside_an_optimizer_that_averages_is_told():
    settings = read_section(TrainerSettings, DEFAULT, key="trainer")
    assert remarks(settings, Schedule(warmup=0.1), batches=4, is_schedule_free=True) == []
    (said,) = remarks(settings, Cosine(), batches=4, is_schedule_free=True)
    assert "scheduler=none is what it is made for" in said


def test_the_plateau_that_is_not_told_lowers_the_rate_for_an_epoch():
    """Ten validations without a rise: patience 7 acts before the last epoch, patience 8 after it."""
    for patience, factor in ((7, 0.3), (8, 1.0)):
        schedule = Plateau(patience=patience)
        for _ in range(9):
            schedule.observe(0.5)
        assert schedule.factor(39, 40) == factor

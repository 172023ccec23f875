"""Accumulated batches: a step is the mean over its batches, also where an epoch leaves fewer for the last one."""

import csv
from pathlib import Path

import pytest
import torch

WORDS = ["optimizer=sgd", "optimizer.lr=0.5", "scheduler=none", "trainer.max_epochs=2", "trainer.log_every=1"]
WORDS += ["model=fcn"]


def weights(run):
    return torch.load(sorted(Path(run).glob("checkpoints/step-*.ckpt"))[-1], weights_only=True)["state_dict"]


def rows(run):
    with (Path(run) / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def plain(tiny):
    return [word for word in tiny if not word.startswith("model.")]


def test_the_loss_in_the_table_is_that_of_the_batches(command, plain):
    """Dice is the only term, so that the two columns are one number."""
    assert command(*plain, *WORDS, "trainer.accumulate=2", "hydra.run.dir=run").code == 0
    steps = [row for row in rows("run") if row["split"] == "train"]
    assert steps
    assert all(float(row["train/loss"]) == pytest.approx(float(row["train/dice"]), abs=1e-6) for row in steps)


def test_steps_of_as_many_batches_are_equal_whatever_was_asked_for(command, plain):
    """An epoch has two batches: a step of 2 takes all, and so does a step of 1,000."""
    for accumulate in (2, 1000):
        run = f"run{accumulate}"
        assert command(*plain, *WORDS, f"trainer.accumulate={accumulate}", f"hydra.run.dir={run}").code == 0
    first, second = weights("run2"), weights("run1000")
    assert all(torch.allclose(first[name], second[name], rtol=1e-5, atol=1e-7) for name in first)

"""Every option of every group, found by listing conf/: composed, built, trained for a step, its checkpoint loaded."""

from pathlib import Path

import pytest
import torch

from segbench.config.compose import groups

GROUPS = ("data", "model", "loss", "optimizer", "scheduler", "trainer", "augment", "logger", "experiment")
OPTIONS = [(group, option) for group in GROUPS for option in groups()[group]]
FAST = ["trainer=debug", "trainer.max_steps=1", "trainer.threads=1", "data.batch_size=2", "data.size=[32,32]",
        "trainer.panels_every=0"]  # fmt: skip


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_it_trains_a_step(command, pictures, group, option):
    words = [f"data.{name}={folder}" for name, folder in pictures.items()]
    if (group, option) == ("trainer", "gpu"):
        if torch.cuda.is_available():
            outcome = command(
                *words, "trainer=gpu", *FAST[1:], "data.train_size=4", "data.val_size=2", "data.test_size=2"
            )
            assert outcome.code == 0, outcome.err
        else:
            outcome = command("trainer=gpu")
            assert outcome.code == 2
            assert "sees no GPU" in outcome.err
        return
    outcome = command(*words, *FAST, f"{group}={option}")
    assert outcome.code == 0, outcome.err
    (best,) = Path("outputs").rglob("best.ckpt")
    checkpoint = torch.load(best, weights_only=True)
    assert checkpoint["global_step"] >= 1
    assert all(torch.isfinite(tensor).all() for tensor in checkpoint["state_dict"].values())

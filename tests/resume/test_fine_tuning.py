"""Runs with groups, frozen parts and other optimizers are continued to the same bits."""

import os
import signal
from pathlib import Path

import pytest
import torch

from segbench import cli
from segbench.training.module import SegmentationModule

FROZEN = [
    "trainer.freeze=encoder",
    "trainer.unfreeze_at=1",
    "optimizer.layer_decay=0.7",
    "optimizer.encoder_lr_factor=0.5",
    *("scheduler=torch", "scheduler._target_=torch.optim.lr_scheduler.ReduceLROnPlateau"),
    *("+scheduler.patience=0", "+scheduler.factor=0.5"),
]
OTHERS = [[f"optimizer={name}", "scheduler=none"] for name in ("lion", "muon", "schedulefree")]


@pytest.mark.parametrize("words", [FROZEN, *OTHERS], ids=lambda words: words[0].split("=")[1])
def test_a_run_that_was_stopped_ends_with_the_same_bits(command, tiny, monkeypatch, words):
    if "optimizer=" in words[0]:
        package, extra = ("schedulefree",) * 2 if "free" in words[0] else ("timm", "smp")
        pytest.importorskip(package, reason=f"an extra: pip install -e '.[{extra}]'")
    settings = [*tiny, *words, "trainer.max_epochs=3"]
    assert command(*settings, "hydra.run.dir=whole").code == 0
    for epoch in (0, 1):  # before and after the encoder is trained
        folder = f"part{epoch}"
        with monkeypatch.context() as patch:
            stop_at_the_end_of(epoch, patch)
            assert command(*settings, f"hydra.run.dir={folder}").code == 143
        outcome = command("resume", folder, entry=cli.main)
        assert outcome.code == 0, outcome.err
        assert last_digest(folder) == last_digest("whole")
    state = torch.load(Path("whole/checkpoints/best.ckpt"), weights_only=True)["state_dict"]
    assert all(torch.isfinite(tensor).all() for tensor in state.values())


def stop_at_the_end_of(epoch, patch):
    original = SegmentationModule.on_validation_start

    def start(self):
        if self.current_epoch == epoch and not self.trainer.sanity_checking:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(self)

    patch.setattr(SegmentationModule, "on_validation_start", start)


def last_digest(folder):
    return Path(folder, "digests.csv").read_text().splitlines()[-1]

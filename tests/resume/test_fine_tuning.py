"""Runs with groups, frozen parts and other optimizers are continued to the same bits."""

from pathlib import Path

import pytest
import torch

from segbench import cli

FROZEN = [
    "trainer.freeze=encoder",
    "trainer.unfreeze_at=1",
    "optimizer.layer_decay=0.7",
    "optimizer.encoder_lr_factor=0.5",
]
OTHERS = [["optimizer=lion"], ["optimizer=muon"]]


@pytest.mark.parametrize("words", [FROZEN, *OTHERS], ids=lambda words: words[0].split("=")[1])
def test_a_run_that_was_stopped_ends_with_the_same_bits(command, tiny, words):
    if "optimizer=" in words[0]:
        pytest.importorskip("timm", reason="an extra: pip install -e '.[smp]'")
    settings = [*tiny, *words, "scheduler=none"]
    assert command(*settings, "trainer.max_epochs=3", "hydra.run.dir=whole").code == 0
    for epochs in (1, 2):  # before and after the encoder is trained
        folder = f"part{epochs}"
        assert command(*settings, f"trainer.max_epochs={epochs}", f"hydra.run.dir={folder}").code == 0
        outcome = command("resume", folder, "trainer.max_epochs=3", entry=cli.main)
        assert outcome.code == 0, outcome.err
        assert last_digest(folder) == last_digest("whole")
    state = torch.load(Path("whole/checkpoints/best.ckpt"), weights_only=True)["state_dict"]
    assert all(torch.isfinite(tensor).all() for tensor in state.values())


def last_digest(folder):
    return Path(folder, "digests.csv").read_text().splitlines()[-1]

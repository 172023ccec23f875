"""Runs with groups, frozen parts and other optimizers are continued to the same bits."""

import os
import signal
from pathlib import Path

import pytest
import torch

from segbench.training.module import SegmentationModule

FROZEN = [
    "trainer.freeze=encoder",
    "trainer.unfreeze_at=1",
    "optimizer.layer_decay=0.7",
    "optimizer.encoder_lr_factor=0.5",
    *("scheduler=torch", "scheduler._target_=torch.optim.lr_scheduler.ReduceLROnPlateau"),
    *("+scheduler.patience=0", "+scheduler.factor=0.5"),
]
TRANSFORMER = [
    *("model=dinov3", "model.encoder=tu-test_vit", "model.drop_path=0.2"),
    *("data.size=[64,64]", "trainer.freeze=encoder"),
]
OTHERS = [[f"optimizer={name}", "scheduler=none"] for name in ("lion", "muon", "schedulefree")]


@pytest.mark.parametrize("words", [FROZEN, *OTHERS], ids=lambda words: words[0].split("=")[1])
def test_a_run_that_was_stopped_ends_with_the_same_bits(command, segbench, tiny, monkeypatch, words):
    if "optimizer=" in words[0]:
        package, extra = ("schedulefree",) * 2 if "free" in words[0] else ("timm", "smp")
        pytest.importorskip(package, reason=f"an extra: pip install -e '.[{extra}]'")
    stopped_in([0, 1], [*tiny, *words], command=command, segbench=segbench, monkeypatch=monkeypatch)


def test_a_head_on_a_frozen_vision_transformer_is_continued_and_exported(command, segbench, tiny, monkeypatch):
    for package, extra in {"segmentation_models_pytorch": "smp", "onnxruntime": "export", "onnx": "export"}.items():
        pytest.importorskip(package, reason=f"an extra: pip install -e '.[{extra}]'")
    words = [word for word in tiny if not word.startswith("model.")]
    stopped_in([1], [*words, *TRANSFORMER], command=command, segbench=segbench, monkeypatch=monkeypatch)
    first, last = (torch.load(file, weights_only=True)["state_dict"] for file in checkpoints("part1"))
    changed = {name for name in first if not torch.equal(first[name], last[name])}
    assert changed
    assert not any(".encoder." in name for name in changed)
    outcome = segbench("export", "part1", "--out", "out")
    assert outcome.code == 0, outcome.err


def checkpoints(folder):
    """The first and the last that are kept."""
    files = sorted(Path(folder, "checkpoints").glob("step-*.ckpt"))
    return files[0], files[-1]


def stopped_in(epochs, words, *, command, segbench, monkeypatch):
    """Train a run as a whole, and runs that are stopped in an epoch each and resumed."""
    settings = [*words, "trainer.max_epochs=3"]
    assert command(*settings, "hydra.run.dir=whole").code == 0
    for epoch in epochs:  # before and after the encoder is trained
        folder = f"part{epoch}"
        with monkeypatch.context() as patch:
            stop_at_the_end_of(epoch, patch)
            assert command(*settings, f"hydra.run.dir={folder}").code == 143
        outcome = segbench("resume", folder)
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

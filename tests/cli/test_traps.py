"""What went wrong in the older projects, held here to go right: see also the tests of metrics, models and data."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from segbench.core.choices import SPLITS
from tests.support.tiny_generated import tiny_fgbg
from tests.support.tiny_sources import source_words

CLASSES = ("background", "foreground")


def test_batch_normalisation_is_trained_after_a_validation(command, tiny, monkeypatch):
    """One project called train() once before its loop and eval() in each validation: statistics froze in epoch 0."""
    from segbench.training.module import SegmentationModule

    modes = []
    original = SegmentationModule.training_step

    def step(self, batch, batch_idx):
        modes.append(all(module.training for module in self.network.modules()))
        return original(self, batch, batch_idx)

    monkeypatch.setattr(SegmentationModule, "training_step", step)
    assert command(*tiny, "hydra.run.dir=run").code == 0
    assert modes == [True] * 4
    first, last = (
        torch.load(f"run/checkpoints/step-0000000{step}.ckpt", weights_only=True)["state_dict"] for step in (2, 4)
    )
    names = [name for name in first if name.endswith("running_mean")]
    assert len(names) == 10
    assert not any(torch.equal(first[name], last[name]) for name in names)


def test_no_scene_is_in_two_splits(pictures):
    """One project trained and tested on the same folder."""
    for split in ("by_source", "random"):
        data = tiny_fgbg(pictures, val_size=40, test_size=40, split=split)
        images = {
            name: {data.sample(name, epoch=0, index=index)["image"].tobytes() for index in range(40)} for name in SPLITS
        }
        assert not images["train"] & images["val"]
        assert not images["train"] & images["test"]
        assert not images["val"] & images["test"]


def test_an_empty_mask_scores_a_number(command, tiny):
    """A ratio of nothing to nothing was NaN and spoilt the mean: here a class without pixels is left out."""
    words = [*tiny, "data.mask_threshold=1.0", "data.scale=[0.05,0.05]"]
    assert command(*words, "hydra.run.dir=run").code == 0
    metrics = json.loads(Path("run/results.json").read_text())["metrics"]
    assert np.isfinite(metrics["test/mean_iou"]["best"])
    assert np.isfinite(metrics["val/loss"]["best"])


def test_predictions_and_targets_have_one_size_whatever_the_network(command, tiny):
    """A target of 96 was compared with a prediction of 66."""
    words = [word for word in tiny if not word.startswith("model.")]
    outcome = command(*words, "model=unet_valid", "model.width=2", "data.size=[40,52]", "hydra.run.dir=run")
    assert outcome.code == 0, outcome.err
    with Path("run/test_images.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    counts = [{name: int(row[name]) for name in row if name[:3] in ("tp/", "fp/", "fn/")} for row in rows]
    assert all(sum(row[f"{kind}/background"] for kind in ("tp", "fp", "fn")) <= 40 * 52 for row in counts)
    labelled = [sum(row[f"{kind}/{name}"] for kind in ("tp", "fn") for name in CLASSES) for row in counts]
    assert labelled == [40 * 52] * len(rows)  # true positives and misses of both classes are all pixels


@pytest.mark.parametrize("loss", ["loss=cross_entropy", "loss=ce_dice"])
def test_class_weights_come_from_the_training_data(command, tmp_path, loss):
    key = "loss.class_weights" if loss.endswith("entropy") else "loss.losses.cross_entropy.class_weights"
    words = ["trainer=debug", "trainer.threads=1", "data.size=[32,32]", "model.width=4", "trainer.max_epochs=1"]
    outcome = command(
        "data=camvid",
        *source_words("camvid", tmp_path / "data"),
        *words,
        loss,
        f"{key}=median_frequency",
        "hydra.run.dir=weighted",
    )
    assert outcome.code == 0, outcome.err
    command("data=camvid", *source_words("camvid", tmp_path / "data"), *words, loss, "hydra.run.dir=plain")
    weighted, plain = (
        json.loads(Path(f"{name}/results.json").read_text())["metrics"]["val/loss"]["best"]
        for name in ("weighted", "plain")
    )
    assert weighted != pytest.approx(plain, rel=1e-3)

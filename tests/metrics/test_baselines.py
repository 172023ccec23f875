"""The trivial baselines of a split against the same prediction really made, scored by an independent library."""

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

from segbench.metrics.split_scores import SplitScores


def scored(task, classes, masks, depths=None):
    """Return the metric of a split whose predictions are noise."""
    metric = SplitScores(task, [f"c{k}" for k in range(classes)])
    draw = torch.Generator().manual_seed(1)
    for start in range(0, len(masks), 3):
        mask = masks[start : start + 3]
        prediction = {"mask": torch.randint(0, classes, mask.shape, generator=draw)}
        batch = {"mask": mask, "index": torch.arange(start, start + len(mask))}
        if depths is not None:
            batch["depth"] = depths[start : start + 3]
            prediction["depth"] = torch.rand(batch["depth"].shape, generator=draw)
        metric.update(prediction, batch)
    return metric


@pytest.mark.parametrize("classes", [2, 5])
def test_painting_the_most_frequent_class_scores_what_it_says(classes):
    draw = np.random.default_rng(classes)
    shares = [0.2, 0.8] if classes == 2 else [0.1, 0.2, 0.5, 0.2, 0.0]  # the last class never occurs
    masks = torch.from_numpy(draw.choice(classes, (7, 12, 10), p=shares))
    masks[:, 0] = 255
    baselines = scored("mask", classes, masks).baselines()
    most = int(np.argmax(shares))
    assert set(baselines) == ({"most_frequent", "all_foreground"} if classes == 2 else {"most_frequent"})
    for name, painted in {"most_frequent": most, "all_foreground": 1}.items():
        if name not in baselines:
            continue
        found, everywhere = baselines[name], torch.full_like(masks, painted)
        iou = MulticlassJaccardIndex(classes, average=None, ignore_index=255)(everywhere, masks)
        pixels = MulticlassAccuracy(classes, average="micro", ignore_index=255)(everywhere, masks)
        occurring = [k for k in range(classes) if shares[k]]
        assert found["class"] == f"c{painted}"
        assert [found[f"iou/c{k}"] for k in occurring] == pytest.approx([float(iou[k]) for k in occurring], abs=1e-6)
        assert found["mean_iou"] == pytest.approx(float(iou[occurring].mean()), abs=1e-6)
        assert found["accuracy"] == pytest.approx(float(pixels), abs=1e-6)
    if classes == 5:
        assert np.isnan(baselines["most_frequent"]["iou/c4"])  # in neither truth nor prediction


def test_baselines_need_no_prediction_to_be_right_and_name_those_of_both_heads():
    masks = torch.zeros(4, 6, 6, dtype=torch.long)
    masks[0, :3] = 1
    depths = 1 + 9 * torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(3))
    depths[:, :, 0] = torch.nan
    baselines = scored("mask_depth", 2, masks, depths).baselines()
    known = depths[~depths.isnan()].double().numpy()
    assert baselines["most_frequent"]["iou/c0"] == 126 / 144
    assert baselines["all_foreground"]["iou/c1"] == 18 / 144
    assert baselines["mean_depth"]["depth"] == pytest.approx(known.mean(), rel=1e-12)
    assert baselines["mean_depth"]["depth/rmse"] == pytest.approx(known.std(), rel=1e-9)


def test_images_with_a_class_are_those_whose_truth_shows_it():
    masks = torch.zeros(5, 4, 4, dtype=torch.long)
    masks[1, 0, 0] = 2
    masks[4] = 1
    masks[3] = 255
    assert scored("mask", 3, masks).images_with_class() == {"c0": 3, "c1": 1, "c2": 1}

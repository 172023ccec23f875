"""Depth scores by hand and against torchmetrics."""

import math

import numpy as np
import pytest
import torch
from torchmetrics import MeanAbsoluteError, MeanSquaredError
from torchmetrics.functional.image import structural_similarity_index_measure

from segbench.metrics.depth import DepthScores


def scores(predicted, depth, pieces=1):
    metric = DepthScores()
    for part in range(pieces):
        rows = torch.arange(len(depth))[part::pieces]
        metric.update(predicted[rows], depth[rows], rows)
    return metric


def test_by_hand():
    depth = torch.tensor([1.0, 2.0, 4.0, math.nan]).view(1, 1, 2, 2).repeat_interleave(8, 2).repeat_interleave(8, 3)
    guess = torch.tensor([1.0, 3.0, 3.0, 99.0]).view(1, 1, 2, 2).repeat_interleave(8, 2).repeat_interleave(8, 3)
    values = scores(guess, depth).compute()
    assert values["depth/rmse"].item() == pytest.approx(math.sqrt(2 / 3))
    assert values["depth/mae"].item() == pytest.approx(2 / 3)
    assert values["depth/abs_rel"].item() == pytest.approx((0 + 0.5 + 0.25) / 3)
    assert values["depth/delta1"].item() == pytest.approx(1 / 3)


def test_against_torchmetrics_over_pieces():
    draw = torch.Generator().manual_seed(0)
    depth = 1 + 9 * torch.rand(7, 1, 24, 20, generator=draw)
    guess = depth + torch.randn(depth.shape, generator=draw)
    values = scores(guess, depth, pieces=3).compute()
    assert values["depth/rmse"].item() == pytest.approx(MeanSquaredError(squared=False)(guess, depth).item(), rel=1e-5)
    assert values["depth/mae"].item() == pytest.approx(MeanAbsoluteError()(guess, depth).item(), rel=1e-5)
    each = []
    for number in range(7):
        extent = (depth[number].max() - depth[number].min()).item()
        pair = guess[number : number + 1], depth[number : number + 1]
        # torchmetrics counts windows that reach over the border as well, which are cut off here
        _, full = structural_similarity_index_measure(*pair, data_range=extent, return_full_image=True)
        each.append(full[..., 5:-5, 5:-5].mean().item())
    assert values["depth/ssim"].item() == pytest.approx(sum(each) / 7, abs=1e-4)
    ratio = torch.maximum(guess.clamp(min=1e-6) / depth, depth / guess.clamp(min=1e-6))
    assert values["depth/delta1"].item() == pytest.approx((ratio < 1.25).float().mean().item(), abs=1e-6)


def test_perfect_and_negative():
    depth = 1 + torch.rand(2, 1, 16, 16)
    perfect = scores(depth, depth).compute()
    assert perfect["depth/rmse"] == 0
    assert perfect["depth/delta1"] == 1
    assert perfect["depth/ssim"].item() == pytest.approx(1)
    assert scores(-depth, depth).compute()["depth/delta1"] == 0


def test_unknown_depth_has_no_score():
    unknown = torch.full((2, 1, 16, 16), torch.nan)
    assert all(math.isnan(value) for value in scores(torch.rand(2, 1, 16, 16), unknown).compute().values())
    half = torch.cat([unknown[:1], torch.ones(1, 1, 16, 16)])
    values = scores(torch.ones(2, 1, 16, 16), half).compute()
    assert values["depth/rmse"] == 0
    assert math.isfinite(values["depth/ssim"])


def masked_similarity(guess, depth):
    """Mean over whole known windows of scikit-image's map, the picture scaled by the range of its known depth."""
    metrics, ndimage = pytest.importorskip("skimage.metrics"), pytest.importorskip("scipy.ndimage")
    known = ~np.isnan(depth)
    extent = depth[known].max() - depth[known].min()
    filled = [np.where(known, part, 0).astype(np.float64) for part in (guess, depth)]
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    _, similarity = metrics.structural_similarity(*filled, data_range=extent, full=True, **settings)
    whole = ndimage.minimum_filter(known, 11, mode="constant", cval=False)
    return similarity[whole].mean()


@pytest.mark.parametrize("unknown", [0.0, 0.3, 0.7])
def test_similarity_is_that_of_scikit_image_where_the_depth_is_known(unknown):
    """Noise against depth of which a block is unknown: what is unknown neither helps nor hurts."""
    draw = torch.Generator().manual_seed(4)
    depth = 1 + 9 * torch.rand(3, 1, 40, 50, generator=draw)
    guess = 1 + 9 * torch.rand(3, 1, 40, 50, generator=draw)
    depth[:, :, :, : round(50 * unknown)] = torch.nan
    expected = np.mean([masked_similarity(guess[i, 0].numpy(), depth[i, 0].numpy()) for i in range(3)])
    value = scores(guess, depth, pieces=2).compute()["depth/ssim"].item()
    assert value == pytest.approx(expected, abs=1e-6)
    assert abs(value) < 0.1


def test_a_picture_without_a_known_window_has_no_similarity():
    draw = torch.Generator().manual_seed(5)
    depth = 1 + 9 * torch.rand(2, 1, 32, 32, generator=draw)
    scattered = depth.where(torch.rand(depth.shape, generator=draw) > 0.7, torch.nan)
    noise = torch.rand(depth.shape, generator=draw)
    values = scores(noise, scattered).compute()
    assert math.isnan(values["depth/ssim"])
    assert math.isfinite(values["depth/rmse"])
    together = scores(torch.cat([noise, noise]), torch.cat([scattered, depth])).compute()["depth/ssim"]
    assert together == scores(noise, depth).compute()["depth/ssim"]
    assert math.isnan(scores(noise[..., :10, :10], depth[..., :10, :10]).compute()["depth/ssim"])


def test_mixed_precision_does_not_change_the_scores():
    draw = torch.Generator().manual_seed(2)
    depth = 1 + 9 * torch.rand(2, 1, 24, 24, generator=draw)
    guess = depth + 0.1 * torch.randn(depth.shape, generator=draw)
    plain = scores(guess, depth).compute()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = scores(guess, depth).compute()
    assert mixed == plain


def test_processes_that_are_joined_hold_tensors_instead_of_lists():
    depth = torch.rand(3, 1, 16, 16) + 1
    metric = scores(depth + 0.5, depth, pieces=3)
    expected = metric.per_image_table()
    metric.indices, metric.images = torch.cat(metric.indices), torch.cat(metric.images)
    assert all((metric.per_image_table()[name] == expected[name]).all() for name in expected)


def test_per_image_sums_add_up():
    draw = torch.Generator().manual_seed(1)
    depth, guess = torch.rand(5, 1, 16, 16, generator=draw) + 1, torch.rand(5, 1, 16, 16, generator=draw)
    depth[2, :, :4] = torch.nan
    metric = scores(guess, depth, pieces=2)
    table = metric.per_image_table()
    assert table["index"].tolist() == [0, 1, 2, 3, 4]
    assert table["pixels"].tolist() == [256, 256, 192, 256, 256]
    total = table["squared_error"].sum() / table["pixels"].sum()
    assert math.sqrt(total) == pytest.approx(metric.compute()["depth/rmse"].item())

"""Losses that compare maps, for masks and depth: against torch, scipy, torchmetrics and scikit-image."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch.nn import functional as F
from torchmetrics.functional.image import structural_similarity_index_measure

from segbench.core.errors import ConfigError
from segbench.losses.base import whole_windows
from segbench.losses.distances import L1, MSE, RMSE
from segbench.losses.edge import Edge
from segbench.losses.ssim import SSIM

RANGE = 10.0


def depths(size=(20, 24)):
    """Return predicted and true depths `[2,1,H,W]` in [0, 10], alike in part."""
    draw = torch.Generator().manual_seed(0)
    truth = torch.rand(2, 1, *size, generator=draw) * RANGE
    return 0.6 * truth + 0.4 * RANGE * torch.rand(2, 1, *size, generator=draw), truth


def masks(channels, size=(20, 24)):
    """Return logits, ids, and the maps that they stand for: probabilities and ones where the class is."""
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(2, channels, *size, generator=draw)
    mask = torch.randint(0, max(2, channels), (2, *size), generator=draw)
    if channels == 1:
        return logits, mask, logits.sigmoid(), (mask == 1)[:, None].float()
    return logits, mask, logits.softmax(1), F.one_hot(mask, channels).movedim(-1, 1).float()


def of_depth(loss, predicted, truth):
    return loss({"depth": predicted}, {"depth": truth})[0].item()


def of_mask(loss, logits, mask):
    return loss({"mask": logits}, {"mask": mask})[0].item()


def with_hole(values, unknown):
    """Return a copy of `[...,H,W]` with ten pixels of each picture that do not count."""
    values = values.clone()
    values[..., 2:4, 3:8] = unknown
    return values


DISTANCES = [
    (MSE, F.mse_loss),
    (RMSE, lambda a, b: F.mse_loss(a, b).sqrt()),
    (L1, F.l1_loss),
]


@pytest.mark.parametrize(("kind", "oracle"), DISTANCES)
def test_distances_of_depth_are_torchs_over_what_is_known(kind, oracle):
    predicted, truth = depths()
    assert of_depth(kind("depth"), predicted, truth) == pytest.approx(oracle(predicted, truth).item(), rel=1e-5)
    truth = with_hole(truth, float("nan"))
    known = ~truth.isnan()
    assert known.sum() == 2 * (20 * 24 - 10)
    by_torch = oracle(predicted[known], truth[known]).item()
    assert of_depth(kind("depth"), predicted, truth) == pytest.approx(by_torch, rel=1e-5)


@pytest.mark.parametrize(("kind", "oracle"), DISTANCES)
@pytest.mark.parametrize("channels", [1, 4])
def test_distances_of_masks_are_torchs_over_labelled_pixels(kind, oracle, channels):
    logits, mask, predicted, truth = masks(channels)
    mask = with_hole(mask, 255)
    labelled = (mask != 255)[:, None].expand_as(truth)
    by_torch = oracle(predicted[labelled], truth[labelled]).item()
    assert of_mask(kind(), logits, mask) == pytest.approx(by_torch, rel=1e-5)


def sobel_difference(predicted, truth, counts):
    """Return the mean of |difference of Sobel gradients| / 8 where all nine neighbours are in the picture and count."""
    found = []
    for x, y, counted in zip(predicted.double().numpy(), truth.double().numpy(), counts.numpy(), strict=True):
        whole = ndimage.binary_erosion(counted, np.ones((3, 3)), border_value=0)
        found += [(ndimage.sobel(x, axis) - ndimage.sobel(y, axis))[whole] / 8 for axis in (0, 1)]
    return np.abs(np.concatenate(found)).mean()


def test_edge_of_depth_is_scipys_sobel():
    predicted, truth = depths()
    everywhere = torch.ones(2, 20, 24, dtype=torch.bool)
    by_scipy = sobel_difference(predicted[:, 0], truth[:, 0], everywhere)
    assert of_depth(Edge("depth"), predicted, truth) == pytest.approx(by_scipy, rel=1e-5)
    holed = with_hole(truth, float("nan"))
    by_scipy = sobel_difference(predicted[:, 0], truth[:, 0], ~holed[:, 0].isnan())
    assert of_depth(Edge("depth"), predicted, holed) == pytest.approx(by_scipy, rel=1e-5)


@pytest.mark.parametrize("channels", [1, 4])
def test_edge_of_masks_is_scipys_sobel(channels):
    logits, mask, predicted, truth = masks(channels)
    mask = with_hole(mask, 255)
    counts = (mask != 255)[:, None].expand_as(truth).flatten(0, 1)
    by_scipy = sobel_difference(predicted.flatten(0, 1), truth.flatten(0, 1), counts)
    assert of_mask(Edge(), logits, mask) == pytest.approx(by_scipy, rel=1e-5)


def test_edge_of_a_ramp_has_its_slope():
    """A plane that climbs 3 a column and 1 a row against a flat one: a mean of 3 and 1, wherever it lies."""
    rows, columns = torch.meshgrid(torch.arange(6.0), torch.arange(7.0), indexing="ij")
    ramp = (3 * columns + rows)[None, None]
    assert of_depth(Edge("depth"), ramp, torch.full_like(ramp, 5.0)) == pytest.approx(2.0, rel=1e-6)
    assert of_depth(Edge("depth"), ramp, ramp + 4.0) == pytest.approx(0, abs=1e-5)


def test_ssim_is_torchmetrics():
    """It counts a padded border of half a window as well, which is cut off here."""

    def by_torchmetrics(x, y, data_range):
        _, full = structural_similarity_index_measure(x, y, sigma=1.5, data_range=data_range, return_full_image=True)
        return 1 - full[..., 5:-5, 5:-5].mean().item()

    predicted, truth = depths()
    expected = by_torchmetrics(predicted, truth, RANGE)
    assert of_depth(SSIM("depth", RANGE), predicted, truth) == pytest.approx(expected, rel=1e-4)
    for channels in (1, 4):
        logits, mask, predicted, truth = masks(channels)
        assert of_mask(SSIM(), logits, mask) == pytest.approx(by_torchmetrics(predicted, truth, 1.0), rel=1e-4)


@pytest.mark.parametrize(("window", "sigma"), [(11, 1.5), (7, 0.8)])
def test_ssim_is_scikit_images_over_whole_windows(window, sigma):
    """scikit-image cuts its Gaussian off at 3.5 sigma, which are these windows."""
    metrics = pytest.importorskip("skimage.metrics")
    predicted, truth = depths()
    holed = with_hole(truth, float("nan"))
    similar = []
    for x, y, known in zip(predicted[:, 0].numpy(), truth[:, 0].numpy(), ~holed[:, 0].isnan().numpy(), strict=True):
        options = {"gaussian_weights": True, "sigma": sigma, "use_sample_covariance": False}
        _, full = metrics.structural_similarity(x, y, data_range=RANGE, full=True, **options)
        similar.append(full[ndimage.binary_erosion(known, np.ones((window, window)), border_value=0)])
    by_skimage = 1 - np.concatenate(similar).mean()
    loss = SSIM("depth", RANGE, window=window, sigma=sigma)
    assert of_depth(loss, predicted, holed) == pytest.approx(by_skimage, rel=1e-4)


def test_ssim_of_near_maps_keeps_its_precision():
    """The variances are differences of nearly equal numbers: half of float32's digits would make the loss negative."""
    coarse = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    truth = F.interpolate(coarse, size=(40, 40), mode="bilinear")
    predicted = truth + 1e-3 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    exact = SSIM("depth").compute(predicted, truth, valid=torch.ones(2, 1, 40, 40, dtype=torch.bool)).item()
    assert 0 < exact < 1e-3
    assert of_depth(SSIM("depth"), predicted, truth) == pytest.approx(exact, rel=5e-3)


@pytest.mark.parametrize("loss", [MSE(), RMSE(), L1(), Edge(), SSIM(window=5), SSIM(data_range=RANGE, window=7)])
def test_gradient_is_that_of_finite_differences(loss):
    """In float64, which `forward` does not have; the filter of SSIM has a backward of its own."""
    predicted, truth = (maps[..., :9, :11].double() for maps in depths())
    valid = torch.ones(2, 1, 9, 11, dtype=torch.bool)
    valid[1, :, 6:, 8:] = False  # leaves whole windows of 7 in both pictures
    predicted.requires_grad_()
    assert torch.autograd.gradcheck(lambda maps: loss.compute(maps, truth, valid=valid), (predicted,))


@pytest.mark.parametrize("loss", [Edge(), SSIM(window=5)])
@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradient_by_logits_is_that_of_the_maps(loss, channels, layout):
    """Logits have a backward of their own; maps of probabilities that torch has made and differentiates have none."""
    logits, mask, _, _ = masks(channels)
    mask = with_hole(mask, 255)
    found, wanted = (logits.clone(memory_format=layout).requires_grad_() for _ in range(2))
    valid = (mask != 255)[:, None]
    maps = (wanted.sigmoid() if channels == 1 else wanted.softmax(1)) * valid
    _, _, _, truth = masks(channels)
    of_maps = loss.compute(maps, truth * valid, valid=valid)
    of_logits = loss({"mask": found}, {"mask": mask})[0]
    assert of_logits.item() == pytest.approx(of_maps.item(), rel=1e-6)
    (3 * of_maps).backward()
    (3 * of_logits).backward(retain_graph=True)
    assert torch.allclose(found.grad, wanted.grad, rtol=1e-4, atol=1e-9)
    (3 * of_logits).backward()  # nothing that is kept has been changed
    assert torch.allclose(found.grad, 2 * wanted.grad, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("loss", [Edge(), SSIM(window=5)])
def test_the_value_is_the_same_where_no_gradient_is_asked_for(loss):
    logits, mask, _, _ = masks(4)
    assert of_mask(loss, logits, mask) == of_mask(loss, logits.requires_grad_(), mask)


@pytest.mark.parametrize("side", [1, 3, 5, 7, 11, 15])
def test_whole_windows_are_those_in_which_everything_counts(side):
    valid = torch.rand(2, 1, 20, 24, generator=torch.Generator().manual_seed(0)) > 0.02
    by_torch = F.max_pool2d((~valid).float(), side, stride=1) == 0
    assert torch.equal(whole_windows(valid, side), by_torch)


def test_ssim_of_a_small_picture_uses_the_largest_window_that_fits():
    predicted, truth = depths((8, 30))
    full, fits = SSIM("depth", RANGE), SSIM("depth", RANGE, window=7)
    assert of_depth(full, predicted, truth) == of_depth(fits, predicted, truth)


def test_ssim_without_a_whole_window_is_zero():
    predicted, truth = depths()
    truth[:, :, ::6, ::6] = float("nan")
    assert of_depth(SSIM("depth", RANGE), predicted, truth) == 0
    assert of_depth(SSIM("depth", RANGE, window=5), predicted, truth) > 0


@pytest.mark.parametrize("kind", [MSE, RMSE, L1, Edge, SSIM])
def test_a_head_that_is_none_is_refused(kind):
    with pytest.raises(ConfigError, match=r"there is no head 'dept'.*depth"):
        kind("dept")


@pytest.mark.parametrize(
    "wrong", [{"data_range": 0.0}, {"sigma": -1.0}, {"window": 10}, {"window": 1}, {"window": 7.0}, {"sigma": np.nan}]
)
def test_an_ssim_that_is_not_defined_is_refused(wrong):
    with pytest.raises(ConfigError, match="odd window of at least 3"):
        SSIM("depth", **wrong)

"""The boundary F-score by hand, and its outlines against scikit-image where that is installed."""

import math

import numpy as np
import pytest
import torch

from segbench.metrics.boundary import BoundaryScores, outlines, within


def square(top, left, side=20, size=40):
    mask = torch.zeros(1, size, size, dtype=torch.long)
    mask[:, top : top + side, left : left + side] = 1
    return mask


def scores(predicted, mask, classes=2):
    metric = BoundaryScores([f"c{i}" for i in range(classes)])
    metric.update(predicted, mask)
    return {name: value.item() for name, value in metric.compute().items()}


def test_outline_of_a_square():
    inside = square(10, 10) == 1
    edge = outlines(square(10, 10).byte(), torch.ones(1, 40, 40, dtype=torch.bool))
    assert (edge & inside).sum() == 4 * 19
    assert (edge & ~inside).sum() == 4 * 20
    assert not edge[0, 12:28, 12:28].any()


def test_outlines_are_those_of_scikit_image():
    segmentation = pytest.importorskip("skimage.segmentation")
    ids = torch.randint(0, 5, (1, 30, 25), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    ours = outlines(ids, torch.ones(ids.shape, dtype=torch.bool))[0].numpy()
    theirs = segmentation.find_boundaries(ids[0].numpy(), connectivity=1, mode="thick")
    assert np.array_equal(ours, theirs)


def test_growing_is_a_disc():
    dot = torch.zeros(1, 9, 9, dtype=torch.bool)
    dot[0, 4, 4] = True
    diamond = [[y, x] for y in range(9) for x in range(9) if math.hypot(y - 4, x - 4) <= 2]
    assert len(diamond) == 13  # a square has 25
    assert within(dot, 2.0)[0].nonzero().tolist() == diamond


@pytest.mark.parametrize("distance", [1.0, 1.4, 1.5, 2.0, 3.9, 5.0, 7.25, 30.0])
def test_growing_is_the_distance_transform_of_scipy(distance):
    ndimage = pytest.importorskip("scipy.ndimage")
    pixels = torch.rand(2, 23, 17, generator=torch.Generator().manual_seed(0)) > 0.98
    for ours, given in zip(within(pixels, distance), pixels, strict=True):
        assert np.array_equal(ours.numpy(), ndimage.distance_transform_edt(~given.numpy()) <= distance)


def test_the_score_is_that_of_distances_between_outlines():
    """Precision and recall from distance transforms, with a tolerance of 0.75 % of the diagonal, 2.5 pixels here."""
    ndimage = pytest.importorskip("scipy.ndimage")
    draw = torch.Generator().manual_seed(3)
    coarse = [torch.rand(1, 1, 20, 25, generator=draw) for _ in range(2)]
    maps = [torch.nn.functional.interpolate(one, (200, 267), mode="bicubic")[:, 0] > 0.5 for one in coarse]
    edges = [(outlines(one.byte(), torch.ones_like(one)) & one)[0].numpy() for one in maps]
    tolerance = 0.0075 * math.hypot(200, 267)
    assert 2 < tolerance < 3
    hits = [
        (edge & (ndimage.distance_transform_edt(~other) <= tolerance)).sum() / edge.sum()
        for edge, other in (edges, edges[::-1])
    ]
    expected = 2 * hits[0] * hits[1] / (hits[0] + hits[1])
    assert scores(maps[0].long(), maps[1].long())["boundary_f1/c1"] == pytest.approx(expected, abs=1e-9)


def test_right_shifted_and_far():
    mask = square(10, 10)
    assert scores(mask, mask)["mean_boundary_f1"] == 1
    assert scores(square(11, 10), mask)["boundary_f1/c1"] == 1  # within the tolerance of one pixel
    # three pixels down: of 76 outline pixels the two sides stay right in rows 13 to 30 (the last by the tolerance), and
    # so do the two pixels of the top row that lie beside the sides
    assert scores(square(13, 10), mask)["boundary_f1/c1"] == pytest.approx((2 * 18 + 2) / 76)
    assert scores(torch.zeros_like(mask), mask)["boundary_f1/c1"] == 0


def test_ignored_pixels_make_no_outline_and_absent_classes_no_score():
    mask = square(10, 10)
    mask[:, :, 25:] = 255
    guess = square(10, 10)
    guess[:, :, 25:] = 0
    values = scores(guess, mask, classes=3)
    assert values["boundary_f1/c1"] == 1
    assert math.isnan(values["boundary_f1/c2"])
    assert values["mean_boundary_f1"] == 1


def test_counts_add_up_over_batches():
    draw = torch.Generator().manual_seed(1)
    predicted, mask = (torch.randint(0, 3, (4, 20, 20), generator=draw) for _ in range(2))
    whole, parts = BoundaryScores(list("abc")), BoundaryScores(list("abc"))
    whole.update(predicted, mask)
    for part in (slice(0, 1), slice(1, 4)):
        parts.update(predicted[part], mask[part])
    assert torch.equal(whole.counts, parts.counts)


@pytest.mark.parametrize("classes", [8, 9, 16, 32, 64, 70, 150])
def test_every_class_is_counted_by_distances_between_its_own_outlines(classes):
    """One pass grows the outlines of all classes as bits; a class at a time by distance transforms is the oracle."""
    ndimage = pytest.importorskip("scipy.ndimage")
    draw = np.random.default_rng(classes)
    truth, guess = (draw.integers(0, classes, (10, 14)).repeat(9, 0).repeat(10, 1).astype(np.uint8) for _ in range(2))
    guess = np.where(draw.random((10, 14)).repeat(9, 0).repeat(10, 1) < 0.5, truth, np.roll(truth, 1, axis=0))
    truth[:4] = 255
    metric = BoundaryScores([f"c{number}" for number in range(classes)])
    metric.update(torch.from_numpy(guess)[None], torch.from_numpy(truth)[None])
    known = truth != 255

    def outline(region):
        outside = np.pad(~region & known, 1)
        beside = outside[:-2, 1:-1] | outside[2:, 1:-1] | outside[1:-1, :-2] | outside[1:-1, 2:]
        return region & known & beside

    for number in {0, 1, 7, classes // 2, classes - 1}:
        edges = [outline(ids == number) for ids in (guess, truth)]
        near = [ndimage.distance_transform_edt(~edge) <= 0.0075 * math.hypot(90, 140) for edge in edges]
        near = [part if edge.any() else np.zeros_like(edge) for part, edge in zip(near, edges, strict=True)]
        wanted = [(edges[0] & near[1]).sum(), edges[0].sum(), (edges[1] & near[0]).sum(), edges[1].sum()]
        assert metric.counts[number].tolist() == wanted

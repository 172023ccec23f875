"""The confusion matrix against torchmetrics and by hand."""

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassF1Score, MulticlassJaccardIndex

from segbench.metrics.confusion import SegmentationScores, confusion_counts, predicted_ids


def run(classes, logits, mask, pieces=1, **options):
    scores = SegmentationScores([f"c{i}" for i in range(classes)], **options)
    for part in range(pieces):
        ids = predicted_ids(logits[part::pieces])
        scores.update(ids, mask[part::pieces], torch.arange(len(mask))[part::pieces])
    return scores


@pytest.mark.parametrize("case", ["random", "absent", "binary"])
def test_equal_to_torchmetrics(case):
    classes = 2 if case == "binary" else 5
    draw = torch.Generator().manual_seed(1)
    logits = torch.randn(6, 1 if case == "binary" else classes, 20, 30, generator=draw)
    mask = torch.randint(0, classes, (6, 20, 30), generator=draw)
    mask[torch.rand(mask.shape, generator=draw) < 0.2] = 255
    if case == "absent":
        mask[mask == 3] = 1
        logits[:, 3] = -100
    ours = run(classes, logits, mask, pieces=3).compute()
    ids = predicted_ids(logits)
    options = {"num_classes": classes, "ignore_index": 255}
    occurs = [i for i in range(classes) if not (case == "absent" and i == 3)]
    iou, f1 = MulticlassJaccardIndex(average="none", **options), MulticlassF1Score(average="none", **options)
    for number in occurs:
        assert ours[f"iou/c{number}"].item() == pytest.approx(iou(ids, mask)[number].item(), rel=1e-6)
        assert ours[f"dice/c{number}"].item() == pytest.approx(f1(ids, mask)[number].item(), rel=1e-6)
    macro = MulticlassJaccardIndex(average="macro", **options)(ids, mask).item()
    assert ours["mean_iou"].item() == pytest.approx(macro, rel=1e-6)
    valid = mask != 255
    assert ours["accuracy"].item() == pytest.approx((ids[valid] == mask[valid]).float().mean().item(), rel=1e-6)
    if case == "absent":
        assert torch.isnan(ours["iou/c3"])


def test_all_ignored_has_no_score():
    scores = run(3, torch.randn(2, 3, 4, 4), torch.full((2, 4, 4), 255))
    assert scores.counts.sum() == 0
    assert all(torch.isnan(value) for value in scores.compute().values())


def test_by_hand():
    target = torch.tensor([[[0, 0, 1, 255]]])
    counts = confusion_counts(torch.tensor([[[0, 1, 1, 1]]]), target, classes=2)
    assert counts.tolist() == [[[1, 1], [0, 1]]]
    scores = SegmentationScores(["a", "b"])
    scores.counts += counts[0]
    values = scores.compute()
    assert values["iou/a"] == 0.5
    assert values["iou/b"] == 0.5
    assert values["dice/a"].item() == pytest.approx(2 / 3)
    assert values["accuracy/a"] == 0.5
    assert values["accuracy/b"] == 1.0


def test_a_wrong_everywhere_prediction_scores_zero():
    """An old project took bitwise AND over OR of ids for IoU, which gave 0.25 and more to a shift by one class."""
    mask = torch.arange(11).repeat(10).view(1, 10, 11)
    shifted = torch.nn.functional.one_hot((mask + 1) % 11, 11).movedim(-1, 1).float()
    assert run(11, shifted, mask).compute()["mean_iou"] == 0
    assert (np.bitwise_and(3, 1) / np.bitwise_or(3, 1)) > 0.25


def test_pieces_and_processes_add_up():
    draw = torch.Generator().manual_seed(2)
    logits, mask = torch.randn(7, 3, 8, 8, generator=draw), torch.randint(0, 3, (7, 8, 8), generator=draw)
    whole, left, right = (run(3, *part) for part in ((logits, mask), (logits[:2], mask[:2]), (logits[2:], mask[2:])))
    assert torch.equal(whole.counts, left.counts + right.counts)
    assert whole.counts.dtype == torch.long


def test_deterministic_algorithms_are_no_obstacle():
    torch.use_deterministic_algorithms(True)
    draw = torch.Generator().manual_seed(3)
    logits, mask = torch.randn(2, 12, 60, 80, generator=draw), torch.randint(0, 12, (2, 60, 80), generator=draw)
    assert torch.equal(run(12, logits, mask).counts, run(12, logits, mask, pieces=2).counts)


def test_ids_out_of_range_are_counted_apart():
    mask = torch.tensor([[[0, 1, 7, 255, -1]]])
    scores = run(2, torch.zeros(1, 1, 1, 5), mask)
    assert scores.out_of_range == 2
    assert scores.counts.sum() == 2


def test_per_image_counts_add_up_to_the_whole():
    draw = torch.Generator().manual_seed(4)
    logits, mask = torch.randn(6, 3, 8, 8, generator=draw), torch.randint(0, 3, (6, 8, 8), generator=draw)
    scores = run(3, logits, mask, pieces=2, per_image=True)
    table = scores.per_image_table()
    assert table["index"].tolist() == [0, 1, 2, 3, 4, 5]
    hits = scores.counts.diagonal()
    assert table["tp"].sum(0).tolist() == hits.tolist()
    assert table["fp"].sum(0).tolist() == (scores.counts.sum(0) - hits).tolist()
    assert table["fn"].sum(0).tolist() == (scores.counts.sum(1) - hits).tolist()
    one = run(3, logits[2:3], mask[2:3]).compute()["mean_iou"].item()
    assert table["iou"][2] == pytest.approx(one)
    assert scores.compute()["image_mean_iou"].item() == pytest.approx(table["iou"].mean())
    scores.reset()
    assert scores.indices == []


def test_processes_that_are_joined_hold_tensors_instead_of_lists():
    draw = torch.Generator().manual_seed(5)
    logits, mask = torch.randn(4, 3, 8, 8, generator=draw), torch.randint(0, 3, (4, 8, 8), generator=draw)
    apart, joined = (run(3, logits, mask, pieces=2, per_image=True) for _ in range(2))
    joined.indices, joined.images = torch.cat(joined.indices), torch.cat(joined.images)
    assert joined.compute() == apart.compute()


def test_a_mask_of_bytes_counts_like_one_of_int64():
    target = torch.arange(40).repeat(2, 1)[:, None]  # ids whose product with the number of classes exceeds a byte
    predicted = target.flip(-1)
    counts = confusion_counts(predicted, target.to(torch.uint8), classes=40)
    assert torch.equal(counts, confusion_counts(predicted, target, classes=40))
    assert counts[0, 39, 0] == 1


def test_bytes_are_counted_as_other_whole_numbers_are():
    draw = torch.Generator().manual_seed(0)
    predicted = torch.randint(0, 5, (3, 20, 30), generator=draw)
    target = torch.randint(0, 256, (3, 20, 30), generator=draw)
    counts = confusion_counts(predicted.byte(), target.byte(), classes=5)
    assert counts.sum() == (target < 5).sum()
    assert torch.equal(counts, confusion_counts(predicted, target, classes=5))

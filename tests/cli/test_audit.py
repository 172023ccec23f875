"""`segbench audit`: the pictures whose labels a network doubts, most doubted first."""

import csv
from pathlib import Path

import pytest
import torch

from segbench import cli
from segbench.data.loading.views import EvaluationView
from segbench.inference.doubts import doubt_of
from segbench.inference.forward import Answer

CLASSES = ["road", "car", "sky"]


def answer_of(ids, logit):
    """An answer that is equally sure of every pixel."""
    logits = logit * torch.nn.functional.one_hot(ids.long(), 3).permute(2, 0, 1)[None].float()
    return Answer({"mask": logits}, EvaluationView(tuple(ids.shape)), tuple(ids.shape))


def test_a_wrong_label_is_found_and_a_right_one_is_not():
    ids = torch.zeros(20, 30, dtype=torch.uint8)
    ids[:, 15:] = 2
    right = doubt_of(answer_of(ids, 8.0), ids, index=0, classes=CLASSES)
    assert (right.doubted, right.label, right.looks_like, right.labelled) == (0, "", "", 600)
    wrong = ids.clone()
    wrong[:5, 15:] = 1
    wrong[10:12, 15:] = 0
    wrong[0, :10] = 255
    found = doubt_of(answer_of(ids, 8.0), wrong, index=3, classes=CLASSES)
    assert (found.doubted, found.label, found.looks_like, found.labelled) == (105, "car", "sky", 590)
    assert found.quality < 0.05 < 0.9 < right.quality <= 1


def test_a_network_that_is_not_sure_doubts_nothing():
    ids = torch.zeros(8, 8, dtype=torch.uint8)
    assert doubt_of(answer_of(ids, 1.0), ids + 1, index=0, classes=CLASSES).doubted == 0


def test_a_picture_without_labels_has_none_to_doubt():
    nothing = torch.full((8, 8), 255, dtype=torch.uint8)
    assert doubt_of(answer_of(nothing * 0, 9.0), nothing, index=0, classes=CLASSES).labelled == 0


@pytest.mark.parametrize("classes", [1, 3])
def test_the_likelihood_of_a_label_is_its_probability(classes):
    answer = Answer({"mask": torch.randn(1, classes, 9, 7)}, EvaluationView((9, 7)), (21, 30))
    labels = torch.randint(0, max(2, classes), (21, 30))
    wanted = answer.probabilities().gather(0, labels[None])[0]
    assert torch.allclose(answer.likelihood(labels), wanted, atol=1e-6)


def test_a_run_lists_every_picture_of_its_test_and_shows_the_first(command, made, tiny):
    run = made("run", *tiny)
    outcome = command("audit", str(run), "--out", "audit", "--pictures", "2", entry=cli.main)
    assert outcome.code == 0, outcome.err
    with Path("audit/audit.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    qualities = [float(row["quality"]) for row in rows]
    assert qualities == sorted(qualities)
    page = Path("audit/audit.html").read_text()
    files = sorted(Path("audit/pictures/0").iterdir())
    assert len(files) == 2
    assert all(f"pictures/0/{file.name}" in page for file in files)
    assert rows[0]["image"] in page
    assert "4 pictures in audit/audit.csv, thumbnails of 2 in audit/audit.html" in outcome.out


def test_depth_has_no_labels_to_audit(command, made, tiny):
    run = made("depths", *tiny, "task=depth")
    outcome = command("audit", str(run), "--out", "audit", entry=cli.main)
    assert outcome.code == 2
    assert "predicts depth alone" in outcome.err
    assert not Path("audit").exists()

"""Metrics of the user's own: what they see, what their values are called, and what is refused."""

import pytest
import torch
from torchmetrics import Metric
from torchmetrics.classification import MulticlassCohenKappa, MulticlassRecall
from torchmetrics.segmentation import MeanIoU

from segbench.compare.groups import lower_is_better
from segbench.config.compose import compose_config, run_config
from segbench.core.errors import ConfigError
from segbench.inference.parts import build_parts
from segbench.metrics.own import OwnMetrics
from segbench.metrics.split_scores import SplitScores

CLASSES = ["sky", "road", "tree"]


class Wrong(Metric):
    """Pixels that are wrong, of all that it is given."""

    higher_is_better = False

    def __init__(self):
        super().__init__()
        self.add_state("wrong", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("seen", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, prediction, target):
        self.wrong += (prediction != target).sum()
        self.seen += target.numel()

    def compute(self):
        return self.wrong / self.seen


class Careless(Wrong):
    """Asks which class is ignored and does not heed it."""

    def __init__(self, ignore_index=None):
        super().__init__()


class Curious(Careless):
    """Looks at what is predicted there."""

    def update(self, prediction, target):
        self.wrong += ((prediction == 1) & (target == 255)).sum()
        self.seen += (target != 255).sum()


class Strange(Wrong):
    def compute(self):
        return torch.zeros(5)


class Mapped(Wrong):
    higher_is_better = None

    def compute(self):
        return {"share": self.wrong / self.seen, "pixels": self.seen}


class Failing(Wrong):
    def update(self, prediction, target):
        raise RuntimeError("no such kernel")


def pictures():
    """Two pictures of other sizes, with a fifth of the pixels unknown."""
    generator = torch.Generator().manual_seed(3)
    for size in ((1, 12, 10), (1, 7, 9)):
        truth = torch.randint(0, 3, size, generator=generator)
        truth[torch.rand(size, generator=generator) < 0.2] = 255
        yield torch.randint(0, 3, size, generator=generator), truth


def test_values_are_those_of_the_labelled_pixels_of_the_whole_split():
    recall = MulticlassRecall(3, average=None, ignore_index=255)
    kappa = MulticlassCohenKappa(3, ignore_index=255)
    own = OwnMetrics({"recall": recall, "kappa": kappa, "wrong_error": Wrong(), "mapped": Mapped()}, CLASSES)
    for prediction, truth in pictures():
        own.update(prediction, truth)
    told = torch.cat([p[t != 255] for p, t in pictures()])
    known = torch.cat([t[t != 255] for _, t in pictures()])
    found = own.compute()
    assert list(found) == own.names
    for place, name in enumerate(CLASSES):
        share = (told[known == place] == place).float().mean().item()
        assert found[f"recall/{name}"] == pytest.approx(share)
    agreed = (told == known).float().mean().item()
    chance = sum((told == k).float().mean().item() * (known == k).float().mean().item() for k in range(3))
    assert found["kappa"] == pytest.approx((agreed - chance) / (1 - chance), abs=1e-5)
    assert found["wrong_error"] == found["mapped/share"] == pytest.approx(1 - agreed)
    assert found["mapped/pixels"] == known.numel()
    own.reset()
    own.update(known[None, None], known[None, None])
    assert own.compute()["wrong_error"] == 0


def test_a_metric_without_ignored_pixels_sees_a_picture_as_one_row():
    metric = OwnMetrics({"miou": MeanIoU(3, input_format="index")}, CLASSES)
    (prediction, truth), _ = pictures()
    metric.update(prediction, truth)
    told, known = prediction[truth != 255], truth[truth != 255]
    shares = [((told == k) & (known == k)).sum().item() / ((told == k) | (known == k)).sum().item() for k in range(3)]
    assert metric.compute()["miou"] == pytest.approx(sum(shares) / 3)
    metric.update(prediction, torch.full_like(truth, 255))  # nothing is known: nothing is counted
    assert metric.compute()["miou"] == pytest.approx(sum(shares) / 3)


@pytest.mark.parametrize(
    ("name", "metric", "message"),
    [
        ("wrong", Wrong(), r"metrics\.wrong .*less of it is better.* must end in _error"),
        ("recall_error", MulticlassRecall(3, ignore_index=255), r"more of it is better.*must not end in _error"),
        ("careless_error", Careless(), r"changes with pixels where the mask is 255"),
        ("curious_error", Curious(), r"changes with pixels where the mask is 255"),
        ("strange_error", Strange(), r"must give one number, one a class, or a mapping of numbers, got a tensor \[5\]"),
        ("failing_error", Failing(), r"metrics\.failing_error \(Failing\) cannot be computed: RuntimeError: no such"),
        ("few", MulticlassRecall(2, ignore_index=255), r"metrics\.few \(MulticlassRecall\) cannot be computed"),
        ("Big", MulticlassRecall(3, ignore_index=255), r"small letters"),
    ],
)
def test_what_is_no_score_is_refused(name, metric, message):
    with pytest.raises(ConfigError, match=message):
        OwnMetrics({name: metric}, CLASSES)


def test_a_name_that_every_run_has_is_refused():
    own = OwnMetrics({"iou": MulticlassRecall(3, ignore_index=255)}, CLASSES)
    with pytest.raises(ConfigError, match=r"metrics\.iou: every run has scores of that name"):
        SplitScores("mask", CLASSES, own=own)


def test_they_are_scores_of_a_split_like_others():
    own = OwnMetrics({"kappa": MulticlassCohenKappa(3, ignore_index=255)}, CLASSES)
    scores = SplitScores("mask", CLASSES, suffix="_at_input", own=own)
    assert "kappa_at_input" in scores.names
    prediction, truth = next(pictures())
    scores.update({"mask": prediction}, {"mask": truth, "index": torch.tensor([0])})
    assert scores.compute()["kappa_at_input"] == pytest.approx(own.compute()["kappa"])
    assert not any("kappa" in name for name in scores.state_dict())  # a checkpoint does not depend on them


@pytest.mark.parametrize(
    ("metric", "lower"),
    [
        ("test/wrong_error", True),
        ("val/wrong_error/sky", True),
        ("test/wrong_error_at_input", True),
        ("test/kappa", False),
    ],
)
def test_compare_knows_which_are_better_the_lower(metric, lower):
    assert lower_is_better(metric) is lower


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["+metrics.a._target_=torch.nn.ReLU"], r"metrics\.a \(ReLU\) is no metric"),
        (
            ["+metrics.a._target_=mine.Metric"],
            r"metrics\.a\._target_=mine\.Metric is not in a package.*plugins=\[mine\]",
        ),
        (["+metrics.a._target_=torchmetrics.text.Perplexity"], r"is not in a package"),
        (
            ["+metrics.a={_target_:torchmetrics.classification.MulticlassRecall,num_classes:2,mean:1}"],
            r"metrics\.a \(MulticlassRecall\) cannot be built: Unexpected keyword arguments: `mean`",
        ),
        (
            ["+metrics.a={_target_:torchmetrics.classification.BinaryRecall}", "task=depth", "loss/depth=l1"],
            r"metrics are computed of masks, which task=depth does not predict",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_data_is_read(words, message):
    with pytest.raises(ConfigError, match=message):
        build_parts(run_config(compose_config([*words, "data.size=[32,32]"])))

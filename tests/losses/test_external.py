"""Losses of other libraries and of users: what is 255 reaches none of them, and what cannot work is refused."""

import logging

import pytest
import torch
from torch import nn

from segbench.config.schema import Losses
from segbench.core.errors import ConfigError
from segbench.core.tasks import Task
from segbench.inference.parts import build_loss
from segbench.losses.external import as_loss
from segbench.losses.tryout import Scope, Truth, try_out

CLASSES = {1: ["background", "foreground"], 4: list("abcd")}


class Squares(nn.Module):
    """A user's own, of one logit and ids with a channel; with ids it would broadcast pictures over each other."""

    def forward(self, logits, mask):
        return ((logits.sigmoid() - mask) ** 2).mean()


class Roughness(nn.Module):
    """A user's own that compares neighbours, and leaves out what is 255."""

    def __init__(self, ignore_index=-1):
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, logits, mask):
        known = mask != self.ignore_index
        pairs = known[:, :, 1:] & known[:, :, :-1]
        truth = mask.where(known, 0).float()
        guess = logits[:, 0].sigmoid()
        steps = ((guess.diff(dim=2) - truth.diff(dim=2)) ** 2 * pairs).sum() / pairs.sum()
        return steps + ((guess - truth) ** 2 * known).sum() / known.sum()


def smp(name, **settings):
    return getattr(pytest.importorskip("segmentation_models_pytorch").losses, name)(**settings)


def monai(name, **settings):
    return getattr(pytest.importorskip("monai.losses", reason="monai is not installed"), name)(**settings)


LOSSES = {
    "torch bce": (1, lambda: nn.BCEWithLogitsLoss()),
    "torch ce": (4, lambda: nn.CrossEntropyLoss()),
    "torch ce of a user who ignores class 0": (4, lambda: nn.CrossEntropyLoss(ignore_index=0)),
    "smp soft bce": (1, lambda: smp("SoftBCEWithLogitsLoss", smooth_factor=0.1)),
    "smp soft ce": (4, lambda: smp("SoftCrossEntropyLoss", smooth_factor=0.1)),
    "smp soft ce told": (4, lambda: smp("SoftCrossEntropyLoss", smooth_factor=0.1, ignore_index=255)),
    **{
        f"smp {name} {mode}{' told' if told else ''}": (
            channels,
            lambda name=name, mode=mode, told=told: smp(name, mode=mode, **({"ignore_index": 255} if told else {})),
        )
        for name in ("DiceLoss", "JaccardLoss", "FocalLoss", "LovaszLoss", "TverskyLoss")
        for mode, channels in (("binary", 1), ("multiclass", 4), ("multilabel", 4))
        for told in ((False, True) if mode != "multilabel" else (False,))
    },
    **{
        f"monai {name} {channels}": (
            channels,
            lambda name=name, channels=channels: monai(name, **{"sigmoid" if channels == 1 else "softmax": True}),
        )
        for name in ("DiceLoss", "DiceCELoss", "TverskyLoss", "GeneralizedDiceLoss", "DiceFocalLoss")
        for channels in (1, 4)
    },
    "monai ids": (4, lambda: monai("DiceLoss", softmax=True, to_onehot_y=True)),
    "monai focal": (4, lambda: monai("FocalLoss")),
    "a user's": (1, Squares),
}
PER_IMAGE = {
    "smp Lovasz": (1, lambda: smp("LovaszLoss", mode="binary", per_image=True)),
    "monai Dice": (4, lambda: monai("DiceLoss", softmax=True)),
}
GRIDS = {
    "monai Hausdorff": (1, lambda: monai("HausdorffDTLoss", sigmoid=True, include_background=True)),
    "a user's": (1, Roughness),
}


def batch(channels):
    draw = torch.Generator().manual_seed(7)
    logits = torch.randn(3, channels, 14, 11, generator=draw)
    mask = torch.randint(0, len(CLASSES[channels]), (3, 14, 11), generator=draw)
    mask[0, 3:9] = 255
    mask[1, :, ::3] = 255
    return logits, mask


def checked(module, channels):
    loss = as_loss(module)
    loss.check(CLASSES[channels])
    return loss


def value_and_gradient(loss, logits, mask):
    logits = logits.clone().requires_grad_()
    value, terms = loss({"mask": logits}, {"mask": mask})
    value.backward()
    assert terms["external"] == value
    return value.item(), logits.grad


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_depends_on_what_is_ignored(name):
    channels, make = LOSSES[name]
    loss = checked(make(), channels)
    logits, mask = batch(channels)
    ignored = (mask == 255)[:, None].expand_as(logits)
    value, gradient = value_and_gradient(loss, logits, mask)
    other, same = value_and_gradient(loss, logits.where(~ignored, 50.0), mask)
    assert other == value
    assert torch.equal(gradient, same)
    assert not gradient[ignored].any()
    assert gradient[~ignored].any()


@pytest.mark.parametrize("name", LOSSES)
def test_the_value_is_that_of_the_labelled_pixels_alone(name):
    """Of all images in one, or of each image on its own where the loss is a mean over images."""
    channels, make = LOSSES[name]
    loss = checked(make(), channels)
    logits, mask = batch(channels)
    rows, ids = logits.movedim(1, -1)[mask != 255], mask[mask != 255]
    images = torch.arange(3)[:, None, None].expand_as(mask)[mask != 255]

    def of(chosen):
        row, target = rows[chosen].T[None, :, None], ids[chosen][None, None]
        forms = {
            Truth.IDS: target,
            Truth.CHANNEL: target[:, None],
            Truth.MAPS: torch.stack([target == k for k in ([1] if channels == 1 else range(4))], 1).float(),
        }
        return make()(row, forms[loss.manner.truth]).item()

    if loss.manner.scope is Scope.PIXELS:
        expected = of(slice(None))
    else:
        assert loss.manner.scope is Scope.IMAGES
        expected = sum(of(images == image) for image in range(3)) / 3
    assert value_and_gradient(loss, logits, mask)[0] == pytest.approx(expected, rel=1e-5)


def test_smp_is_what_its_own_ignore_index_says_where_that_is_right():
    logits, mask = batch(4)
    ours = value_and_gradient(checked(smp("DiceLoss", mode="multiclass"), 4), logits, mask)[0]
    assert ours == pytest.approx(smp("DiceLoss", mode="multiclass", ignore_index=255)(logits, mask).item(), rel=1e-6)


@pytest.mark.parametrize("name", PER_IMAGE)
def test_a_mean_over_images_stays_one(name):
    channels, make = PER_IMAGE[name]
    loss = checked(make(), channels)
    assert loss.manner.scope is Scope.IMAGES
    logits, mask = batch(channels)
    each = [value_and_gradient(loss, logits[i : i + 1], mask[i : i + 1])[0] for i in range(3)]
    assert value_and_gradient(loss, logits, mask)[0] == pytest.approx(sum(each) / 3, rel=1e-5)
    mask[0] = 255  # an image without a label does not count
    assert value_and_gradient(loss, logits, mask)[0] == pytest.approx(sum(each[1:]) / 2, rel=1e-5)


@pytest.mark.parametrize("name", GRIDS)
def test_a_loss_of_whole_pictures_gets_them_with_what_is_ignored_made_equal(name, caplog):
    channels, make = GRIDS[name]
    logging.getLogger("segbench").propagate = True
    with caplog.at_level("WARNING", logger="segbench"):
        loss = checked(make(), channels)
    assert loss.manner.scope is Scope.GRID
    assert "needs whole pictures: pixels of class 255 count as class 0 that is predicted rightly" in caplog.text
    logits, mask = batch(channels)
    ignored = (mask == 255)[:, None]
    value, gradient = value_and_gradient(loss, logits, mask)
    assert value_and_gradient(loss, logits.where(~ignored, 50.0), mask)[0] == value
    assert not gradient[ignored].any()
    assert gradient[~ignored].any()


def test_a_loss_of_whole_pictures_that_leaves_255_out_is_left_to_it():
    loss = checked(Roughness(ignore_index=255), 1)
    assert loss.manner.scope is Scope.ITSELF
    logits, mask = batch(1)
    assert value_and_gradient(loss, logits, mask)[0] == Roughness(255)(logits, mask).item()


class Times(nn.Module):
    """A loss with a weight."""

    def __init__(self, module, weight):
        super().__init__()
        self.module, self.weight = module, weight

    def forward(self, logits, mask):
        return self.weight * self.module(logits, mask)


@pytest.mark.parametrize("weight", [1e-7, 1e4])
@pytest.mark.parametrize("make", [Squares, Roughness, nn.BCEWithLogitsLoss, lambda: smp("LovaszLoss", mode="binary")])
def test_a_weight_does_not_change_how_a_loss_is_called(make, weight):
    assert try_out(Times(make(), weight), 1, classes=2) == try_out(make(), 1, classes=2)


@pytest.mark.parametrize("name", [*LOSSES, *GRIDS])
def test_nothing_labelled_is_zero(name):
    channels, make = {**LOSSES, **GRIDS}[name]
    logits, mask = batch(channels)
    value, gradient = value_and_gradient(checked(make(), channels), logits, torch.full_like(mask, 255))
    assert value == 0
    assert not gradient.any()


@pytest.mark.parametrize(
    ("channels", "make", "reason"),
    [
        (1, lambda: nn.CrossEntropyLoss(), "does not work on 2 classes, which are one logit a pixel"),
        (4, lambda: nn.CrossEntropyLoss(reduction="none"), "it must return one number"),
        (4, lambda: nn.MSELoss(), "for a right prediction"),
        (1, lambda: smp("FocalLoss", mode="multiclass"), "for one that is wrong everywhere.*mode=binary for two"),
        (1, lambda: smp("DiceLoss", mode="multiclass"), "Class values must be smaller.*mode=binary for two"),
        (4, lambda: smp("DiceLoss", mode="binary"), r"loss\.mode=binary is for two classes, but the data has 4"),
        (4, lambda: monai("DiceLoss"), "for a right prediction"),
        (1, lambda: nn.Identity(), "loss .Identity. does not work"),
    ],
)
def test_what_does_not_fit_is_refused(channels, make, reason):
    with pytest.raises(ConfigError, match=reason):
        checked(make(), channels)


def test_trying_changes_neither_the_module_nor_the_generators():
    class Drawing(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, logits, mask):
            self.calls += 1 + 0 * torch.rand(())
            return nn.functional.cross_entropy(logits, mask)

    module = Drawing()
    torch.manual_seed(3)
    before = torch.get_rng_state()
    assert try_out(module, 4, classes=4).scope is Scope.PIXELS
    assert torch.equal(torch.get_rng_state(), before)
    assert module.calls == 0


def test_a_constructor_that_asks_is_told_255():
    node = {"_target_": "torch.nn.CrossEntropyLoss", "depth": None}
    assert build_loss(Losses.of(node, "loss"), Task.MASK).module.ignore_index == 255
    assert build_loss(Losses.of({**node, "ignore_index": 0}, "loss"), Task.MASK).module.ignore_index == 0
    smp("DiceLoss", mode="binary")
    maps = {"_target_": "segmentation_models_pytorch.losses.FocalLoss", "mode": "multilabel"}
    checked(build_loss(Losses.of(maps, "loss"), Task.MASK).module, 4)
    summed = {"_target_": "segbench.losses.weighted_sum.WeightedSum", "weights": {"a": 1.0}, "losses": {"a": node}}
    del node["depth"]
    assert build_loss(Losses.of(summed, "loss"), Task.MASK).parts[0].module.ignore_index == 255

"""How a loss of another library is called, found by calling it: what truth it takes, and how it leaves pixels out.

Such losses differ in what they want (ids, ids with a channel, a map for each class) and in what they do with class 255:
some take it for a label, some divide by the ignored pixels as well. Neither can be read off a signature.
"""

from __future__ import annotations

import warnings
from copy import deepcopy
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor, nn

from segbench.core.errors import ConfigError
from segbench.core.tasks import IGNORE_INDEX
from segbench.losses.base import one_hot

SIZES = ((12, 16), (176, 192))
"""Heights and widths that are tried; the larger one is for losses that compare several scales."""

SURE = 10.0
"""Logit of a prediction that is as good as certain."""

LIKELY = 1.5
"""Logit of a right prediction that is tried; label smoothing makes a surer one worse again."""

CLOSE = 1e-5
"""Relative difference at which two values are the same."""

ALIKE = 1e-3
"""Relative difference at which two forms of truth give the same value of a perfect prediction."""


class Truth(StrEnum):
    """In which form a loss takes the truth."""

    IDS = "ids"
    """int64 `[B,H,W]`."""

    CHANNEL = "ids with a channel"
    """int64 `[B,1,H,W]`."""

    MAPS = "maps"
    """float32 `[B,K,H,W]`: the foreground for one logit, else one for each class."""


class Scope(StrEnum):
    """What the value of a loss is made of, and so how pixels can be left out of it."""

    PIXELS = "pixels"
    """All pixels of a batch, in any order: only labelled ones are given to it."""

    IMAGES = "images"
    """A mean over images, each of pixels in any order: only labelled ones are given to it, image by image."""

    ITSELF = "itself"
    """Neighbourhoods, but what is 255 does not matter to it."""

    GRID = "grid"
    """Neighbourhoods: ignored pixels are made equal, as class 0 that is predicted rightly."""


@dataclass(frozen=True)
class Manner:
    """How a loss is called."""

    truth: Truth
    """In which form it takes the truth."""

    scope: Scope
    """How ignored pixels are left out."""

    def value(self, module: nn.Module, logits: Tensor, *, target: Tensor) -> Tensor:
        """Return the loss of logits `[B,K,H,W]` against ids `[B,H,W]` without what is 255; 0 where nothing is left."""
        valid = target != IGNORE_INDEX
        if not valid.any():
            return logits.where(valid[:, None], 0.0).sum()  # with a gradient, of zero
        if self.scope is Scope.ITSELF or valid.all():
            return self._call(module, logits, target=target)
        if self.scope is Scope.PIXELS:
            row, ids = packed(logits, target, chosen=valid)
            return self._call(module, row, target=ids)
        if self.scope is Scope.IMAGES:
            each = []
            for place in torch.where(valid.flatten(1).any(1))[0].tolist():
                one = slice(place, place + 1)
                row, ids = packed(logits[one], target[one], chosen=valid[one])
                each.append(self._call(module, row, target=ids))
            return torch.stack(each).mean()
        certain = logits.new_full((1, logits.shape[1], 1, 1), -SURE)
        if logits.shape[1] > 1:
            certain[:, 0] = SURE
        return self._call(module, logits.where(valid[:, None], certain), target=target.where(valid, 0))

    def _call(self, module: nn.Module, logits: Tensor, *, target: Tensor) -> Tensor:
        if self.truth is Truth.CHANNEL:
            target = target[:, None]
        elif self.truth is not Truth.IDS:
            target = one_hot(target, logits.shape[1])
        value: Tensor = module(logits, target)
        return value


def packed(logits: Tensor, target: Tensor, *, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits `[1,K,1,N]` and ids `[1,1,N]` of the N chosen pixels, as a picture of one row."""
    return logits.movedim(1, 0)[:, chosen][None, :, None], target[chosen][None, None]


def try_out(module: nn.Module, channels: int, *, classes: int, where: str = "loss") -> Manner:
    """Return how a loss is called, from values on made-up predictions.

    Neither the module nor any random generator is changed.

    Args:
        module: Maps logits and truth to a scalar.
        channels: Channels of the logits: 1 for two classes.
        classes: Number of classes.
        where: The configuration key of the loss, for messages.

    Raises:
        ConfigError: if it takes the truth in no form, or is not lower for a better prediction.
    """
    if channels > 1 and getattr(module, "mode", None) == "binary":  # its maps would be taken for one long one
        raise ConfigError(f"{where}.mode=binary is for two classes, but the data has {classes}; use mode=multiclass")
    reasons: list[str] = []
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about forms that do not fit
        for size in SIZES:
            example = _Example(channels, classes, size=size)
            perfect: dict[Truth, float] = {}
            for truth in Truth:
                try:
                    perfect[truth] = example.perfect_value(module, truth)
                except Exception as error:  # another library may raise anything at what does not fit
                    reason = " ".join(str(error).split())[:200] or type(error).__name__
                    reasons.insert(0 if isinstance(error, _NoLossError) else len(reasons), reason)
            if perfect:
                # one that also runs on a wrong form, by broadcasting, is not at its least for a perfect prediction
                least = min(perfect.values())
                near = ALIKE * max(map(abs, perfect.values()))
                truth = next(form for form, value in perfect.items() if value - least <= near)
                return Manner(truth, example.scope(module, truth))
    logits = "one logit a pixel"
    if channels != 1:
        logits = f"{channels} logits a pixel"
    mode = ", with mode=binary for two classes" if hasattr(module, "mode") else ""
    raise ConfigError(
        f"{where} ({type(module).__name__}) does not work on {classes} classes, which are {logits} ({reasons[0]});"
        f" choose a loss that takes logits and class ids{mode}"
    )


class _NoLossError(Exception):
    """What was called is no loss."""


class _Example:
    """Made-up pictures that differ in their classes and in how well they are predicted."""

    def __init__(self, channels: int, classes: int, *, size: tuple[int, int]) -> None:
        draw = torch.Generator().manual_seed(0)
        ids = torch.randint(0, classes, (3, *size), generator=draw)
        rare = torch.rand(ids.shape, generator=draw) < torch.tensor([0.7, 0.0, 0.7]).view(3, 1, 1)
        self.ids = ids.where(~rare, torch.tensor([0, 0, classes - 1]).view(3, 1, 1))
        self.perfect = LIKELY * (2 * one_hot(self.ids, channels) - 1)
        noise = torch.randn(self.perfect.shape, generator=draw)
        self.logits = noise + self.perfect * torch.tensor([0.4, 0.2, 0.0]).view(3, 1, 1, 1)
        self.order = torch.randperm(ids.numel(), generator=draw)
        self.ignored = torch.rand(ids.shape, generator=draw) < 0.3

    def perfect_value(self, module: nn.Module, truth: Truth) -> float:
        """Return the loss of a perfect prediction; raises an error where it is no loss for this form of truth."""
        manner = Manner(truth, Scope.ITSELF)
        module = deepcopy(module)
        logits = self.logits.clone().requires_grad_()
        between = manner.value(module, logits, target=self.ids)
        if not isinstance(between, Tensor) or between.numel() != 1:
            raise _NoLossError("it must return one number")
        if not between.requires_grad:
            raise _NoLossError("it has no gradient")
        best, worst = (float(manner.value(module, sign * self.perfect, target=self.ids)) for sign in (1, -1))
        if not (best < between.item() and best < worst):
            raise _NoLossError(
                f"its value is {best:.3g} for a right prediction, {between.item():.3g} for a middling one and"
                f" {worst:.3g} for one that is wrong everywhere"
            )
        return best

    @torch.no_grad()
    def scope(self, module: nn.Module, truth: Truth) -> Scope:
        """Return what the value is made of."""
        module = deepcopy(module)
        whole = Manner(truth, Scope.ITSELF)
        value = float(whole.value(module, self.logits, target=self.ids))
        if _close(value, self._shuffled(module, truth, images=slice(None))):
            return Scope.PIXELS
        if _close(value, sum(self._shuffled(module, truth, images=slice(one, one + 1)) for one in range(3)) / 3):
            return Scope.IMAGES
        if truth is not Truth.MAPS and self._blind(module, whole):
            return Scope.ITSELF
        return Scope.GRID

    def _shuffled(self, module: nn.Module, truth: Truth, *, images: slice) -> float:
        """Return the value of the pixels of some images as one row, in another order."""
        ids = self.ids[images]
        row, target = packed(self.logits[images], ids, chosen=torch.ones_like(ids, dtype=torch.bool))
        order = self.order[self.order < ids.numel()]
        try:
            return float(Manner(truth, Scope.ITSELF).value(module, row[..., order], target=target[..., order]))
        except Exception:  # it needs a picture
            return float("nan")

    def _blind(self, module: nn.Module, whole: Manner) -> bool:
        """Whether the logits of ignored pixels do not matter."""
        target = self.ids.where(~self.ignored, IGNORE_INDEX)
        others = self.logits.where(~self.ignored[:, None], -3 * self.perfect)
        try:
            values = [float(whole.value(module, logits, target=target)) for logits in (self.logits, others)]
        except Exception:  # 255 is out of its range
            return False
        return _close(*values)


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= CLOSE * max(abs(one), abs(other))

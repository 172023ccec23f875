"""Pixel-wise losses on the log-probability of the true class: cross entropy, binary cross entropy and focal."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from segbench.core.errors import ConfigError
from segbench.core.tasks import mask_channels
from segbench.losses.base import BinaryMaskLoss, MaskLoss, log_probabilities, true_class_log_probability, valid_mean

MEDIAN_FREQUENCY = "median_frequency"
_REFUSAL = (
    f"loss.class_weights must be null, {MEDIAN_FREQUENCY} or a number for each class, of at least 0 and not all 0,"
    " got {}"
)


class CrossEntropy(MaskLoss):
    """-log p(true class), a mean over labelled pixels, weighted by class where weights are given.

    With two classes it is binary cross entropy of the one logit. With weights the mean is a weighted one, as in
    torch.nn.CrossEntropyLoss. Label smoothing mixes in the mean of -log p over all classes.

    Args:
        class_weights: A weight for each class; None for all equal; `median_frequency` for those of the training data.
        label_smoothing: Share of the target that is spread over all classes, in [0, 1).
    """

    terms = ("cross_entropy",)

    def __init__(self, class_weights: Sequence[float] | str | None = None, label_smoothing: float = 0.0) -> None:
        super().__init__()
        if isinstance(class_weights, str) and class_weights != MEDIAN_FREQUENCY:
            raise ConfigError(_REFUSAL.format(f"'{class_weights}'"))
        self.wants_class_weights = isinstance(class_weights, str)
        if not 0 <= label_smoothing < 1:
            raise ConfigError(f"loss.label_smoothing must be in [0, 1), got {label_smoothing}")
        self.label_smoothing = label_smoothing
        given = None
        if class_weights is not None and not isinstance(class_weights, str):
            given = _weights(class_weights)
        self.register_buffer("class_weights", given, persistent=False)

    def set_class_weights(self, weights: Tensor) -> None:
        """Take the weights of the training data, float32 `[C]`."""
        self.class_weights = weights.float()
        self.wants_class_weights = False

    def check(self, classes: Sequence[str]) -> None:
        """Raise a ConfigError if there is not one weight for each class."""
        if self.class_weights is not None and len(self.class_weights) != len(classes):
            raise ConfigError(
                f"loss.class_weights has {len(self.class_weights)} numbers, but the data has {len(classes)} classes"
            )

    def compute(self, logits: Tensor, target: Tensor, *, valid: Tensor) -> Tensor:
        """Return the mean over labelled pixels."""
        if self.class_weights is None:
            weight = valid.float()
        else:
            weight = self.class_weights[target] * valid
        loss = -true_class_log_probability(logits, target) * weight
        if self.label_smoothing:
            loss = (1 - self.label_smoothing) * loss + self.label_smoothing * self._uniform(logits, valid)
        return loss.sum() / weight.sum().clamp(min=1e-8)

    def _uniform(self, logits: Tensor, valid: Tensor) -> Tensor:
        """Return the weighted mean of -log p over all classes, `[B,H,W]`; 0 where ignored."""
        each = -log_probabilities(logits)
        if self.class_weights is not None:
            each = each * self.class_weights.view(1, -1, 1, 1)
        return each.mean(dim=1) * valid


def _weights(given: Sequence[float]) -> Tensor:
    """Return the weights of a configuration, float32 `[C]`, or raise a ConfigError."""
    values = []
    if isinstance(given, Sequence):
        values = list(given)
    numbers = [value for value in values if isinstance(value, int | float) and 0 <= value < math.inf]
    if len(numbers) < len(values) or not any(numbers):
        raise ConfigError(_REFUSAL.format(given))
    return torch.tensor(numbers, dtype=torch.float32)


class BCE(BinaryMaskLoss):
    """Binary cross entropy of one logit, a mean over labelled pixels.

    Args:
        pos_weight: Factor of the loss on foreground pixels.
    """

    terms = ("bce",)

    def __init__(self, pos_weight: float = 1.0) -> None:
        super().__init__()
        if not 0 < pos_weight < math.inf:
            raise ConfigError(f"loss.pos_weight must be a number above 0, got {pos_weight}")
        self.pos_weight = pos_weight

    def compute(self, logits: Tensor, target: Tensor, *, valid: Tensor) -> Tensor:
        """Return the mean over labelled pixels."""
        weight = torch.where(target == 1, self.pos_weight, 1.0)
        return valid_mean(-true_class_log_probability(logits, target) * weight, valid)


class Focal(MaskLoss):
    """(1 - p)^gamma times cross entropy, for each pixel on its own (Lin et al., 2017); gamma 0 is cross entropy.

    Args:
        gamma: How strongly pixels that are right already are discounted.
        alpha: Weight of the foreground, and 1 - alpha of the background, with two classes; None for none.
    """

    terms = ("focal",)

    def __init__(self, gamma: float = 2.0, alpha: float | None = None) -> None:
        super().__init__()
        if not 0 <= gamma < math.inf or (alpha is not None and not 0 < alpha < 1):
            raise ConfigError(f"loss.gamma must be at least 0 and loss.alpha in (0, 1), got {gamma} and {alpha}")
        self.gamma = gamma
        self.alpha = alpha

    def check(self, classes: Sequence[str]) -> None:
        """Raise a ConfigError for alpha with more than two classes."""
        if self.alpha is not None and mask_channels(classes) != 1:
            raise ConfigError(f"loss.alpha works on two classes, but the data has {len(classes)}; leave it null")

    def compute(self, logits: Tensor, target: Tensor, *, valid: Tensor) -> Tensor:
        """Return the mean over labelled pixels."""
        log_p = true_class_log_probability(logits, target)
        # 1 - p by expm1 keeps its precision near p = 1; the floor keeps the power's gradient finite there
        miss = (-torch.expm1(log_p)).clamp(min=1e-12)
        loss = -log_p * miss**self.gamma if self.gamma else -log_p
        if self.alpha is not None:
            loss = loss * torch.where(target == 1, self.alpha, 1 - self.alpha)
        return valid_mean(loss, valid)

"""Batch normalisation of what was averaged to one value a picture, which has no variance in a batch of one."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class PooledBatchNorm(nn.BatchNorm2d):
    """Batch normalisation of one value per picture, by its running statistics in a batch of one."""

    def forward(self, features: Tensor) -> Tensor:
        """Return `[B, C, 1, 1]` normalised; a single value has no variance, so it is not put into the statistics."""
        if self.training and features.shape[0] == 1:
            return F.batch_norm(
                features, self.running_mean, self.running_var, self.weight, self.bias, training=False, eps=self.eps
            )
        return super().forward(features)


def spare_pooled(network: nn.Module) -> None:
    """Make the normalisations behind every average over the whole picture such, in place."""
    for sequence in list(network.modules()):
        first = None
        if isinstance(sequence, nn.Sequential):
            first = next(iter(sequence.children()), None)
        if isinstance(first, nn.AdaptiveAvgPool2d) and first.output_size in (1, (1, 1)):
            for parent in list(sequence.modules()):
                _spare_children(parent)


def _spare_children(parent: nn.Module) -> None:
    for name, child in parent.named_children():
        if type(child) is nn.BatchNorm2d:
            spared = PooledBatchNorm(child.num_features, eps=child.eps, momentum=child.momentum)
            spared.load_state_dict(child.state_dict())
            setattr(parent, name, spared)

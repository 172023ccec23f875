"""Losses: each maps (prediction, batch), or plain logits and masks, to a scalar to minimise."""

from typing import TYPE_CHECKING

from segbench.core.lazy import lazy

if TYPE_CHECKING:
    from segbench.losses.base import BinaryMaskLoss as BinaryMaskLoss
    from segbench.losses.base import Loss as Loss
    from segbench.losses.base import MapLoss as MapLoss
    from segbench.losses.base import MaskLoss as MaskLoss
    from segbench.losses.cross_entropy import BCE as BCE
    from segbench.losses.cross_entropy import CrossEntropy as CrossEntropy
    from segbench.losses.cross_entropy import Focal as Focal
    from segbench.losses.dice import Dice as Dice
    from segbench.losses.distances import L1 as L1
    from segbench.losses.distances import MSE as MSE
    from segbench.losses.distances import RMSE as RMSE
    from segbench.losses.edge import Edge as Edge
    from segbench.losses.external import External as External
    from segbench.losses.jaccard import Jaccard as Jaccard
    from segbench.losses.lovasz import Lovasz as Lovasz
    from segbench.losses.ssim import SSIM as SSIM
    from segbench.losses.tversky import Tversky as Tversky
    from segbench.losses.weighted_sum import WeightedSum as WeightedSum

__all__ = [
    "BCE",
    "L1",
    "MSE",
    "RMSE",
    "SSIM",
    "BinaryMaskLoss",
    "CrossEntropy",
    "Dice",
    "Edge",
    "External",
    "Focal",
    "Jaccard",
    "Loss",
    "Lovasz",
    "MapLoss",
    "MaskLoss",
    "Tversky",
    "WeightedSum",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "BCE": "cross_entropy",
        "BinaryMaskLoss": "base",
        "CrossEntropy": "cross_entropy",
        "Dice": "dice",
        "Edge": "edge",
        "External": "external",
        "Focal": "cross_entropy",
        "Jaccard": "jaccard",
        "L1": "distances",
        "Loss": "base",
        "Lovasz": "lovasz",
        "MSE": "distances",
        "MapLoss": "base",
        "MaskLoss": "base",
        "RMSE": "distances",
        "SSIM": "ssim",
        "Tversky": "tversky",
        "WeightedSum": "weighted_sum",
    },
)

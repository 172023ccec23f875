"""Progressive resolution: train on small images first, on full ones last."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from segbench.core.errors import ConfigError


class Resolution:
    """Shrinks training batches to the size of their phase; the epochs are shared equally among the phases.

    A pure function of the epoch, so that a resumed run is at the size it would have been at; a resume cannot change the
    number of epochs, which would move the phases. Validation and test are always at `data.size`.

    Args:
        sides: The shorter side in each phase, in pixels, such as [64, 128, 192].
        size: Height and width of the data, the most that a phase may have.
    """

    def __init__(self, sides: Sequence[int], size: tuple[int, int]) -> None:
        full = min(size)
        if not sides or min(sides) < 1 or max(sides) > full:
            raise ConfigError(
                f"resolution={list(sides)} must be sizes in pixels from 1 to the data's shorter side, {full}"
                f" (data.size={list(size)})"
            )
        self.sides = list(sides)
        self.size = size

    def of_epoch(self, epoch: int, epochs: int) -> tuple[int, int]:
        """Return height and width of training images in `epoch` (from 0) of `epochs`."""
        side = self.sides[min(len(self.sides) - 1, epoch * len(self.sides) // max(1, epochs))]
        height, width = self.size
        return round(height * side / min(self.size)), round(width * side / min(self.size))

    def smallest(self) -> tuple[int, int]:
        """Return the smallest height and width that a network meets."""
        return min(self.of_phases(), key=min)

    def of_phases(self) -> list[tuple[int, int]]:
        """Return height and width of training images in each phase."""
        return [self.of_epoch(phase, len(self.sides)) for phase in range(len(self.sides))]

    def shrink(self, batch: dict[str, Tensor], epoch: int, *, epochs: int) -> dict[str, Tensor]:
        """Return the batch at the size of its epoch, its pictures as float in 0..1.

        Pictures are averaged over areas; masks and depth take the nearest pixel.
        """
        size = self.of_epoch(epoch, epochs)
        if size == tuple(batch["image"].shape[-2:]):
            return batch
        small = dict(batch)
        for name in ("image", "background"):
            if name in batch:
                if batch[name].is_floating_point():
                    pictures = batch[name]
                else:
                    pictures = batch[name].float() / 255
                small[name] = F.interpolate(pictures, size, mode="area")
        if "mask" in batch:
            # nearest only: an average of ids is another class. Ids are whole numbers, exact in float32
            mask = F.interpolate(batch["mask"][:, None].float(), size, mode="nearest-exact")[:, 0]
            small["mask"] = mask.to(batch["mask"].dtype)
        if "depth" in batch:
            small["depth"] = F.interpolate(batch["depth"], size, mode="nearest-exact")
        return small

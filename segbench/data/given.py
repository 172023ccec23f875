"""What a network is given of a picture of a file, whatever program shows it to the network. No torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segbench.core.errors import DataError
from segbench.data.channels import Channels
from segbench.data.rasters import Raster
from segbench.data.values import Values


@dataclass(frozen=True, eq=False)
class Given:
    """Which bands of a file are shown to a network, and what their values mean."""

    channels: Channels
    """The bands, and the levels that become 0 and 1."""

    values: Values | None = None
    """What the values of the files are; None for pictures of 8 bit that are not from files."""

    def image_of(self, raster: Raster) -> np.ndarray:
        """Return what a network is given of any picture, `[H,W,C]`, as `Channels.scaled` has it.

        Raises:
            DataError: for other bands, or values of another type, than it was trained on.
        """
        if self.values is not None:
            self.values.check(raster.values.dtype.name)
        elif self.channels.levels is None and raster.values.dtype != np.uint8:
            raise DataError(f"values of {raster.values.dtype}, but the run was trained on 8 bit; save it with 8 bit")
        return self.channels.image(raster)

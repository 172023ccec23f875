"""Whether a data set can be shared by so many processes."""

from __future__ import annotations

from segbench.core.choices import SPLITS
from segbench.core.errors import ConfigError, DataError
from segbench.data.loading.datamodule import SegmentationData


def check_shares(devices: int, data: SegmentationData) -> None:
    """Refuse what cannot be shared by so many processes: each needs a part of every batch and of every split.

    Raises:
        ConfigError: for a batch size that is no multiple of their number.
        DataError: for a split with fewer samples than processes, or of which one would get none.
    """
    if data.batch_size % devices:
        raise ConfigError(f"data.batch_size={data.batch_size} cannot be shared by {devices} devices")
    part = data.batch_size // devices
    for split in SPLITS:
        samples = data.num_samples(split)
        if samples < devices:
            raise DataError(f"the {split} split has {samples} samples, fewer than the {devices} processes")
        if samples <= (devices - 1) * part:
            raise DataError(
                f"the {split} split has {samples} samples, too few for {devices} processes that take {part} each: give"
                f" data.batch_size={devices} or more samples"
            )

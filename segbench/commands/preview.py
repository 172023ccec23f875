"""`data preview`: a labelled grid of samples as PNG, to look at the data before training on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from segbench.commands.data_export import without_loading
from segbench.commands.output_paths import file_for
from segbench.config.instantiate import build
from segbench.config.schema import RunConfig
from segbench.core.choices import Split, one_of
from segbench.data.loading.batches import Sample
from segbench.data.loading.datamodule import SegmentationData
from segbench.data.loading.source import SplitDataset
from segbench.report.panels import draw_panel, sample_row


def preview_data(config: RunConfig, out: Path, *, split: str, count: int) -> str:
    """Write the first `count` samples of a split, as training would see them, and return a line about them.

    Args:
        config: The checked configuration.
        out: The PNG to write.
        split: `train` (augmented), `val` or `test`.
        count: Number of samples.

    Raises:
        ConfigError: for a split or a place that cannot be written.
        DataError: if the data cannot be read, or the folder of the PNG cannot be written.
    """
    chosen = one_of(Split, split, what="split")
    with file_for(out, ".png"):
        part = without_loading(config.data, keep=("augment",))  # there may be fewer samples than a batch
        data = build(part, plugins=config.plugins, where="data")
        data.setup()
        dataset = SplitDataset(data, chosen, augment=data.augment if chosen is Split.TRAIN else None, seed=config.seed)
        rows = [_row(dataset[0, index], data) for index in range(min(count, len(dataset)))]
        names = [data.image_name(chosen, index) for index in range(len(rows))]
        draw_panel(rows, data.classes, path=out, names=names)
    return f"{len(rows)} of {data.describe(chosen)} ({split}): {out.absolute()}"


def _row(item: Sample, data: SegmentationData) -> dict[str, np.ndarray]:
    arrays = {name: tensor.numpy() for name, tensor in item.items() if name != "index"}
    pictures = {
        name: data.channels.shown(array.transpose(1, 2, 0))
        for name, array in arrays.items()
        if name in ("image", "background")
    }
    depth = {}
    if "depth" in arrays:
        depth = {"depth": arrays["depth"][0]}
    return sample_row({**pictures, "mask": arrays["mask"], **depth}, data.classes)

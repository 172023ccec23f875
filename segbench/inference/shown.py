"""What a user is shown of a scored picture: the input, the truth, what the network says, and where it is wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from segbench.core.tasks import IGNORE_INDEX
from segbench.data.loading.batches import EvaluationBatch
from segbench.data.loading.datamodule import SegmentationData
from segbench.metrics.confusion import predicted_ids
from segbench.report.panels import sample_row


def shown_row(
    prediction: dict[str, list[torch.Tensor]],
    batch: EvaluationBatch,
    *,
    place: int,
    data: SegmentationData,
    inputs: Sequence[str],
) -> dict[str, np.ndarray]:
    """Return the pictures of one sample of a batch by title, as the network sees it.

    Args:
        prediction: Of each picture of the batch, by head.
        batch: The batch.
        place: Which of its samples.
        data: Names of the classes, and which bands are shown.
        inputs: The pictures that the network is given.
    """
    pictures = {name: data.channels.shown(batch[name][place].cpu().numpy().transpose(1, 2, 0)) for name in inputs}
    arrays = {**pictures, "mask": batch["mask"][place].cpu().numpy()}
    if "mask" in prediction:
        arrays["prediction"] = predicted_ids(prediction["mask"][place])[0].cpu().numpy()
    if "depth" in prediction:
        arrays["depth"] = batch["depth"][place][0].cpu().numpy()
        arrays["predicted_depth"] = prediction["depth"][place][0, 0].float().cpu().numpy()
    arrays["mask"] = np.where(arrays["mask"] > IGNORE_INDEX, IGNORE_INDEX, arrays["mask"])
    return sample_row(arrays, data.classes)

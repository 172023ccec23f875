"""What results.json and the per-image tables hold."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch.utils.flop_counter import FlopCounterMode

from segbench.core.choices import SPLITS, Split
from segbench.core.files import write_atomic
from segbench.core.text import printable
from segbench.data.loading.datamodule import SegmentationData
from segbench.metrics.split_scores import SplitScores
from segbench.runs.results import Results, Score
from segbench.training.callbacks.recorder import Recorder
from segbench.training.module import SegmentationModule


def collect_results(
    recorder: Recorder,
    scores: Mapping[str, Mapping[str, float]],
    *,
    module: SegmentationModule,
    trainer: pl.Trainer,
    data: SegmentationData,
    flops: int,
) -> Results:
    """Return the content of results.json; `flops` are those of an image's forward pass.

    `metrics` holds for each name `best` (of the best epoch), `last` and `best_epoch` (from 0). The best of val and test
    are those of the final evaluation of the best epoch's weights. The test is run on these alone, so its best and last
    are the same number; a score that no validation within the training computes, such as of boundaries, has no last.
    """
    parameters = list(module.network.parameters())
    evaluated = {split: module.split_scores(split) for split in (Split.VAL, Split.TEST)}
    masks = evaluated[Split.TEST].masks
    return {
        "metrics": _metrics(recorder, scores),
        "monitor": recorder.monitor.key,
        "best_epoch": recorder.best_epoch,
        "epochs": trainer.current_epoch,
        "steps": trainer.global_step,
        "validations_since_best": recorder.waited,
        "images_trained": data.batch_size
        * batches_seen(trainer.global_step, batches=data.train_batches, accumulate=trainer.accumulate_grad_batches),
        "parameters": sum(parameter.numel() for parameter in parameters),
        "trained_parameters": sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        "flops_per_image": flops,
        "images_per_second": recorder.images_per_second * trainer.world_size,
        "peak_memory_bytes": peak_memory(module.device),
        "classes": data.classes,
        "normalisation": {name: getattr(module, name).flatten().tolist() for name in ("mean", "std")},
        "values": data.values_record(),
        "confusion": {} if masks is None else {Split.TEST: masks.counts.tolist()},
        "images": {split: data.num_samples(split) for split in SPLITS},
        "scored_at": {split: metric.scored_at() for split, metric in evaluated.items()},
        "images_with_class": {split: metric.images_with_class() for split, metric in evaluated.items()},
        "baselines": {split: metric.baselines() for split, metric in evaluated.items()},
        "data_fingerprint": {split: data.fingerprint(split) for split in SPLITS},
        "test_is_val": data.test_is_val,
    }


def _metrics(recorder: Recorder, scores: Mapping[str, Mapping[str, float]]) -> dict[str, Score]:
    """Return each metric's best and last, as `collect_results` describes them."""
    final = {f"{split}/{name}": value for split, found in scores.items() for name, value in found.items()}
    best = {**recorder.best, **final}
    last = dict(recorder.last)
    last |= {name: value for name, value in final.items() if name.startswith("test/")}
    return {
        name: {"best": best.get(name), "last": last.get(name), "best_epoch": recorder.best_epoch}
        for name in sorted({*best, *last})
    }


def batches_seen(steps: int, *, batches: int, accumulate: int) -> int:
    """Return the batches that `steps` optimizer steps took: the last step of an epoch takes those that are left.

    Args:
        steps: Optimizer steps from the beginning.
        batches: Of an epoch.
        accumulate: Batches in a step.
    """
    epochs, rest = divmod(steps, -(-batches // accumulate))
    return epochs * batches + min(rest * accumulate, batches)


def count_flops(module: SegmentationModule, size: tuple[int, int]) -> int:
    """Return the floating-point operations of one image's forward pass; a multiply-add counts as two."""
    shape = (1, module.mean.numel(), *size)
    batch = {name: torch.zeros(shape, device=module.device) for name in module.inputs}
    training = module.training
    module.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(batch)
    module.train(training)
    return int(counter.get_total_flops())


def peak_memory(device: torch.device) -> int | None:
    """Return the most bytes that tensors took on a GPU, or that this process took on a CPU; None on Windows."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def write_per_image(path: Path, metric: SplitScores, *, data: SegmentationData, split: Split) -> None:
    """Write one row an image: its number, name, units and scores.

    For masks the mean IoU and the true positive, false positive and false negative pixels of each class; for depth the
    sum of squared errors and the number of known pixels. `compare` pairs runs by these rows; the counts allow the data
    set's score of any choice of images.
    """
    table = metric.per_image_table()
    columns = _image_columns(table["index"].tolist(), data, split=split)
    if "iou" in table:
        columns["mean_iou"] = [f"{iou:.6f}" if iou == iou else "" for iou in table["iou"].tolist()]
        for number, name in enumerate(data.classes):
            columns |= {f"{kind}/{name}": table[kind][:, number].tolist() for kind in ("tp", "fp", "fn")}
    if "pixels" in table:
        columns["depth/squared_error"] = [f"{error:.9g}" for error in table["squared_error"].tolist()]
        columns["depth/pixels"] = table["pixels"].tolist()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    write_atomic(path, text.getvalue())


def _image_columns(indices: Sequence[int], data: SegmentationData, *, split: Split) -> dict[str, list[object]]:
    """Return the columns `index`, `image`, and `unit/<factor>` for each factor that any image has a unit of."""
    units = [data.units(split, index) for index in indices]
    factors = dict.fromkeys(factor for one in units for factor, unit in one.items() if unit)
    return {
        "index": list(indices),
        "image": [printable(data.image_name(split, index)) for index in indices],
        **{f"unit/{factor}": [printable(one.get(factor, "")) for one in units] for factor in factors},
    }

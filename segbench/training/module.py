"""The LightningModule: how any network, loss and data set are trained and scored; the whole recipe of a step."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from segbench.core.errors import DataError
from segbench.core.rng import torch_seed
from segbench.core.tasks import input_names
from segbench.losses.base import Loss
from segbench.metrics.split_scores import SplitScores
from segbench.training.average import AveragedNetwork
from segbench.training.checkpoints.digests import weights_digest
from segbench.training.finite import FiniteCheck
from segbench.training.monitor import Monitor
from segbench.training.resolution import Resolution
from segbench.training.schedules import Schedule

log = logging.getLogger("segbench")
Batch = dict[str, Tensor]
MakeOptimizer = Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]


class SegmentationModule(pl.LightningModule):
    """A network with its loss, optimizer and schedule.

    Args:
        network: Maps a float image `[B,C,H,W]` to a dict of predictions of the same height and width.
        loss: Maps (prediction, batch) to a scalar and its named terms.
        make_optimizer: Makes the optimizer of the parameters that are trained.
        schedule: Factor of the learning rate by step.
        total_steps: Optimizer steps of the whole training, which the schedule is spread over.
        task: `mask`, `depth` or `mask_depth`: what is scored.
        classes: Names of the classes.
        mean: Mean of red, green and blue in 0..1, subtracted from what is fed.
        std: Standard deviation that it is then divided by.
        inputs: `image` or `image+background`.
        seed: Key of everything random in a step, such as dropout.
        channels_last: Memory layout of images and weights.
        resolution: Sizes that training images are shrunk to, by epoch; None for none.
        ema: Decay of a moving average of the weights, which is then what is validated, tested and used; None for none.
        ema_warmup: Whether the average's first steps use less, see `AveragedNetwork`.
        non_finite: What a NaN or infinite training loss does, see `FiniteCheck`.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        make_optimizer: MakeOptimizer,
        schedule: Schedule,
        total_steps: int,
        task: str,
        classes: Sequence[str],
        mean: Sequence[float],
        std: Sequence[float],
        inputs: str = "image",
        seed: int = 0,
        channels_last: bool = True,
        resolution: Resolution | None = None,
        ema: float | None = None,
        ema_warmup: bool = True,
        non_finite: str = "raise",
    ) -> None:
        super().__init__()
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network.to(memory_format=self.memory_format)
        self.average = None if ema is None else AveragedNetwork(self.network, ema, ema_warmup)
        self.finite, self.rollbacks = FiniteCheck(non_finite), 0
        self.loss, self.make_optimizer, self.schedule, self.total_steps = loss, make_optimizer, schedule, total_steps
        self.fed, self.seed = input_names(inputs), seed
        # part of the checkpoint, so that a resume knows whether its tensors come from other settings than those of now
        self.origin = {"loss": weights_digest(loss), "mean": list(mean), "std": list(std)}
        # part of the checkpoint, so that a run does not need the pretrained weights again to know its normalisation
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255)
        self.resolution, self.monitor = resolution, Monitor.of(task)
        self.scores = nn.ModuleDict({split: SplitScores(task, classes) for split in ("val_split", "test_split")})
        self.eval_loss: dict[str, list[Tensor]] = {}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer; the schedule sets its learning rate before every step."""
        return self.make_optimizer(p for p in self.network.parameters() if p.requires_grad)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the predictions of a batch whose pictures are uint8 or float in 0..255, `[B,3,H,W]`."""
        pictures = [(batch[name].float() - self.mean) / self.std for name in self.fed]
        image = torch.cat(pictures, dim=1) if len(pictures) > 1 else pictures[0]
        network = self.network if self.training or self.average is None else self.average
        return network(image.contiguous(memory_format=self.memory_format))

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the step from its position and set its learning rate: both are functions of where training is."""
        torch.manual_seed(torch_seed("step", self.seed, self.current_epoch, batch_idx, self.global_rank))
        factor = self.schedule.factor(self.global_step, self.total_steps) / 2**self.rollbacks
        for group in self.trainer.optimizers[0].param_groups:
            group["lr"] = group.setdefault("base_lr", group["lr"]) * factor

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the loss, and its terms for the log."""
        if self.resolution is not None:
            batch = self.resolution.shrink(batch, self.current_epoch, self.trainer.max_epochs or 1)
        self.finite.before_forward(self.network)
        loss, terms = self.loss(self(batch), widen(batch))
        self.finite.note(loss, batch["index"])
        return {"loss": loss * self._window_factor(batch_idx), "value": loss.detach(), "terms": terms}

    def _window_factor(self, batch_idx: int) -> float:
        """Return what makes the step's loss the mean over its batches: Lightning divides by `trainer.accumulate`.

        The last step of an epoch has fewer batches where the epoch is no multiple of it.
        """
        full = self.trainer.accumulate_grad_batches
        begin = batch_idx - batch_idx % full
        return full / min(full, int(self.trainer.num_training_batches) - begin)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Do not let a loss that is not finite reach the weights."""
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        step = self.global_step + 1
        left_out = self.finite.before_step(
            step,
            f"in epoch {self.current_epoch} at step {step}",
            network=self.network,
            describe=lambda index: data.locate_sample("train", index),
            agree=self._any,
        )
        if left_out and self.global_rank == 0:
            log.warning("%s", left_out)

    def optimizer_step(self, *arguments: Any, **settings: Any) -> None:
        """Step, then move the average."""
        super().optimizer_step(*arguments, **settings)
        if self.average is not None:
            self.average.update(self.network, self.global_step)

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Score a batch of the validation split and return the predictions."""
        return self._evaluate(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """Score a batch of the test split and return the predictions."""
        return self._evaluate(batch, "test")

    def _evaluate(self, batch: Batch, split: str) -> dict[str, Tensor]:
        prediction, batch = self(batch), widen(batch)
        loss, _ = self.loss(prediction, batch)
        images = batch["image"].shape[0]
        self.eval_loss.setdefault(split, []).append(
            torch.stack([loss.detach().float() * images, loss.new_tensor(images, dtype=torch.float32)])
        )
        self.scores[f"{split}_split"].update(prediction, batch)
        return prediction

    def finish_split(self, split: str) -> tuple[dict[str, float], SplitScores]:
        """Return the scores of a split that was just run, and the metrics that still hold its counts.

        Raises:
            DataError: if masks held ids that are neither a class nor 255, or nothing labelled at all.
        """
        metric = self.scores[f"{split}_split"]
        scores, outside = metric.compute(), metric.out_of_range()
        if outside:
            raise DataError(f"the masks of {split} hold {outside:,} pixels whose id is neither a class nor 255")
        total, images = self.eval_loss.pop(split)[0].tolist()
        if math.isnan(scores[self.monitor.name]):
            raise DataError(f"the {split} split has no labelled pixel, so there is nothing to score")
        return {"loss": total / images, **scores}, metric

    def _sum(self, values: Tensor) -> Tensor:
        """Return the sum over all processes."""
        return self.trainer.strategy.reduce(values, reduce_op="sum")  # type: ignore[return-value]

    def _any(self, value: bool) -> bool:
        """Whether `value` is true in any process."""
        if self.trainer.world_size == 1:
            return value
        return self._sum(torch.tensor([float(value)], device=self.device)).item() > 0

    def on_validation_epoch_start(self) -> None:
        """Forget the counts of the epoch before."""
        self._reset("val")

    def on_test_epoch_start(self) -> None:
        """Forget the counts of an earlier test."""
        self._reset("test")

    def on_validation_epoch_end(self) -> None:
        """Join what all processes have counted."""
        self._join("val")

    def on_test_epoch_end(self) -> None:
        """Join what all processes have counted."""
        self._join("test")

    def _join(self, split: str) -> None:
        self.scores[f"{split}_split"].gather()
        # in float64, so that it does not matter how many processes have added it up
        mine = torch.stack(self.eval_loss[split]).cpu().double().sum(0)
        self.eval_loss[split] = [self._sum(mine.to(self.device)) if self.trainer.world_size > 1 else mine]

    def _reset(self, split: str) -> None:
        # several processes each have statistics of their own, which training does not use: the first one's count
        if self.trainer.world_size > 1:
            for buffer in [*self.network.buffers(), *(self.average.buffers() if self.average else ())]:
                torch.distributed.broadcast(buffer, 0)
        self.scores[f"{split}_split"].reset()
        self.eval_loss.pop(split, None)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the schedule's state, and whether the epoch is over."""
        progress = self.trainer.fit_loop.epoch_progress.current
        checkpoint["schedule"] = self.schedule.state_dict()
        checkpoint["non_finite"] = {"skipped": self.finite.skipped, "rollbacks": self.rollbacks}
        checkpoint["epoch_is_over"] = progress.processed > progress.completed
        checkpoint["origin"] = self.origin

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the schedule's state; after the end of an epoch, continue as if the next one had not begun.

        Lightning would end that epoch a second time and count it twice.
        """
        self.schedule.load_state_dict(checkpoint["schedule"])
        met = checkpoint.get("non_finite", {"skipped": [], "rollbacks": 0})
        self.finite.skipped = list(met["skipped"])
        self.rollbacks = max(self.rollbacks, met["rollbacks"])
        if checkpoint["epoch_is_over"]:
            progress = checkpoint["loops"]["fit_loop"]["epoch_progress"]
            epochs = progress["current"]["processed"]
            for counts in (progress["current"], progress["total"]):
                counts.update(dict.fromkeys(counts, epochs))


def widen(batch: Batch) -> Batch:
    """Return the batch with its mask as int64; it travels to the device as one byte a pixel."""
    return {**batch, "mask": batch["mask"].long()}

"""The LightningModule: how any network and loss are trained on any data set; the whole recipe of a step."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn

from segbench.config.evaluation import EvaluationSettings
from segbench.core.choices import NonFinite, Split
from segbench.core.rng import torch_seed
from segbench.core.tasks import Inputs, Task
from segbench.data.loading.batches import Batch
from segbench.data.loading.views import EvaluationView
from segbench.inference.checkpoints import Checkpoint
from segbench.inference.forward import Heads
from segbench.inference.module import ScoredModule, with_long_mask
from segbench.losses.base import Loss
from segbench.metrics.own import OwnMetrics
from segbench.models.base import AUXILIARY
from segbench.models.sharded import bring_together, is_sharded, part_again, shard
from segbench.training.average import Average
from segbench.training.finite import FiniteCheck
from segbench.training.frozen import Frozen
from segbench.training.length import Length, Position
from segbench.training.lightning_private import complete_epoch, epoch_is_over
from segbench.training.own_callbacks import check_plain
from segbench.training.parameter_groups import Group, Grouping
from segbench.training.resolution import Resolution
from segbench.training.schedule_free import begin_training
from segbench.training.schedules import Schedule
from segbench.training.speed.compiled import Compiled

log = logging.getLogger("segbench")
MakeOptimizer = Callable[[Iterable[nn.Parameter] | Iterable[Group]], torch.optim.Optimizer]
MakeAverage = Callable[[nn.Module], Average]


class SegmentationModule(ScoredModule):
    """A network with its loss, optimizer and schedule; `ScoredModule` has how it is given pictures and scored.

    Args:
        network: Maps a float image `[B,C,H,W]` to a dict of predictions of the same height and width.
        loss: Maps (prediction, batch) to a scalar and its named terms.
        make_optimizer: Makes the optimizer of the parameters that are trained.
        schedule: Factor of the learning rate by step.
        total_steps: Optimizer steps of the whole training, which the schedule is spread over.
        task: `mask`, `depth` or `mask_depth`: what is scored.
        classes: Names of the classes.
        mean: Mean of each channel in 0..1, subtracted from every picture.
        std: Standard deviation that it is then divided by.
        inputs: `image` or `image+background`.
        seed: Key of everything random in a step, such as dropout.
        channels_last: Memory layout of images and weights.
        resolution: Sizes that training images are shrunk to, by epoch; None for none.
        make_average: Makes the average of the weights that is validated, tested and used; None: the weights are.
        non_finite: What a NaN or infinite training loss does, see `FiniteCheck`.
        view: What the network sees of a whole picture that is scored.
        settings: At which size it is scored, and what is scored when.
        grouping: Which parameters are trained at which rate; None: all at the optimizer's.
        options: The arguments of the optimizer, which the grouping varies.
        frozen: What the names of the parameters begin with that are frozen.
        unfreeze_at: The epoch, counted from 0, from which on they are trained; None: never.
        make_metrics: Makes the metrics of the user's own, of each split.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        *,
        make_optimizer: MakeOptimizer,
        schedule: Schedule,
        total_steps: int,
        task: Task,
        classes: Sequence[str],
        mean: Sequence[float],
        std: Sequence[float],
        inputs: Inputs,
        seed: int,
        channels_last: bool,
        resolution: Resolution | None,
        make_average: MakeAverage | None,
        non_finite: NonFinite,
        view: EvaluationView,
        settings: EvaluationSettings,
        grouping: Grouping,
        options: Mapping[str, object],
        frozen: tuple[str, ...],
        unfreeze_at: int | None,
        make_metrics: Callable[[], OwnMetrics] = OwnMetrics,
    ) -> None:
        super().__init__(
            network,
            loss,
            task=task,
            classes=classes,
            mean=mean,
            std=std,
            inputs=inputs,
            channels_last=channels_last,
            view=view,
            settings=settings,
            make_metrics=make_metrics,
        )
        self.average = None if make_average is None else make_average(self.network)
        self.frozen = Frozen(self.network, frozen, until=unfreeze_at)
        self.grouping = grouping
        self.options = dict(options)
        self.finite = FiniteCheck(non_finite)
        self.rollbacks = 0
        self.make_optimizer = make_optimizer
        self.schedule = schedule
        self.schedule.check_scores(["val/loss", *(f"val/{name}" for name in self.split_scores(Split.VAL).names)])
        self.total_steps = total_steps
        self.seed = seed
        self.auxiliary_weight = float(getattr(network, "auxiliary_weight", 0.0))
        self.resolution = resolution
        self.compiled: Compiled | None = None
        """Calls the network in training steps, where they run compiled."""
        self.blocks: list[str] = []
        """Submodules of the network that are sharded by themselves, where several processes share the weights."""

    def setup(self, stage: str) -> None:
        """Freeze what is frozen, before several devices agree on whose gradients they share."""
        if stage == "fit":
            self.frozen.apply(self.current_epoch)

    def configure_model(self) -> None:
        """Spread the weights over the processes, where they are to share them; once, before there is an optimizer."""
        mesh = self.device_mesh
        if mesh is None or is_sharded(self):
            return
        shard(self.network, mesh["data_parallel"], blocks=self.blocks)
        if self.average is not None:
            shard(self.average.network, mesh["data_parallel"], blocks=self.blocks)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer; the schedule sets its learning rate before every step."""
        groups = self.grouping.groups(self.network, self.frozen.optimized(), options=self.options)
        optimizer = self.make_optimizer(groups[0]["params"] if len(groups) == 1 else groups)
        begin_training(optimizer)
        return optimizer

    def train(self, mode: bool = True) -> Self:
        """Switch to training, except for what is frozen: its batch normalisation keeps its statistics."""
        super().train(mode)
        if hasattr(self, "frozen"):
            self.frozen.hold()
        return self

    @property
    def evaluated(self) -> nn.Module:
        """The average of the weights where there is one, else the network."""
        if self.average is None:
            return self.network
        return self.average

    def called(self) -> Callable[[Tensor], Heads]:
        """Return what is called in training, and where pictures are scored."""
        if self.training and self.compiled is not None:
            return self.compiled
        return super().called()

    def statistics(self) -> Iterator[Tensor]:
        """Return the buffers that differ between processes, those of the average as well."""
        yield from super().statistics()
        if self.average is not None:
            yield from self.average.buffers()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Seed the step from its position and set its learning rate: both are functions of where training is."""
        self.frozen.apply(self.current_epoch)
        torch.manual_seed(torch_seed("step", self.seed, self.current_epoch, batch_idx, self.global_rank))
        here = Position(step=self.global_step, epoch=self.current_epoch)
        length = Length(steps=self.total_steps, epochs=self.trainer.max_epochs or 1)
        self.schedule.set_options(self.trainer.optimizers[0], here, of=length, scale=1 / 2**self.rollbacks)

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, object]:
        """Return the loss, and its terms for the log."""
        if self.resolution is not None:
            batch = self.resolution.shrink(batch, self.current_epoch, epochs=self.trainer.max_epochs or 1)
        self.finite.before_forward(self.network)
        loss, terms = self.loss_of(batch)
        self.finite.note(loss, batch["index"])
        return {"loss": loss * self._window_factor(batch_idx), "value": loss.detach(), "terms": terms}

    def loss_of(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return a batch's loss, with that of a network's auxiliary predictions where it gives some, and its terms."""
        prediction = self(batch)
        batch = with_long_mask(batch)
        loss, terms = self.loss(prediction, batch)
        further = {
            name.removeprefix(AUXILIARY): value for name, value in prediction.items() if name.startswith(AUXILIARY)
        }
        if further:
            loss = loss + self.auxiliary_weight * self.loss(further, batch)[0]
        return loss, terms

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
            describe=lambda index: data.locate_sample(Split.TRAIN, index),
            agree=self._any,
        )
        if left_out and self.global_rank == 0:
            log.warning("%s", left_out)

    def optimizer_step(self, *arguments: Any, **settings: Any) -> None:
        """Step, then move the average."""
        super().optimizer_step(*arguments, **settings)
        if self.average is not None:
            self.average.update(self.network, self.global_step)

    def on_validation_start(self) -> None:
        """Have the average of the weights ready, before it is scored."""
        if self._is_training_run():
            self.settle()
        bring_together(self.evaluated)

    def on_validation_end(self) -> None:
        """Let each process keep only its part of the weights again."""
        part_again(self.evaluated)

    def on_test_start(self) -> None:
        """Have the whole weights in each process, where they share them."""
        bring_together(self.evaluated)

    def on_test_end(self) -> None:
        """Let each process keep only its part of the weights again."""
        part_again(self.evaluated)

    def settle(self) -> None:
        """Have the average of the weights be that of the steps so far."""
        if self.average is not None:
            self.average.settle(self.network, self.trainer.optimizers[0])

    def _any(self, value: bool) -> bool:
        """Whether `value` is true in any process."""
        if self.trainer.world_size == 1:
            return value
        return self.sum_of_processes(torch.tensor([float(value)], device=self.device)).item() > 0

    def on_save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Add the schedule's state, and whether the epoch is over; the average in it is that of the steps so far."""
        self.settle()  # in place: the tensors of `state_dict` are those of the network
        check_plain(checkpoint["callbacks"])
        checkpoint["schedule"] = self.schedule.state_dict()
        checkpoint["non_finite"] = {"skipped": self.finite.skipped, "rollbacks": self.rollbacks}
        checkpoint["epoch_is_over"] = epoch_is_over(self.trainer)
        checkpoint["origin"] = self.origin

    def on_load_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Restore the schedule's state; after the end of an epoch, continue as if the next one had not begun."""
        self.schedule.load_state_dict(checkpoint["schedule"])
        met = checkpoint["non_finite"]
        self.finite.skipped = list(met["skipped"])
        self.rollbacks = max(self.rollbacks, met["rollbacks"])
        if checkpoint["epoch_is_over"]:
            complete_epoch(checkpoint)

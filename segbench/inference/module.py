"""A network with its preprocessing: how pictures become predictions, and how predictions are scored.

The same code scores a validation within training, the end of a training, and `segbench evaluate`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn

from segbench.config.evaluation import Boundary, EvaluationSettings, ScoreAt
from segbench.core.choices import Split
from segbench.core.errors import DataError
from segbench.core.plain import Plain
from segbench.core.tasks import Inputs, Task
from segbench.data.loading.batches import Batch, EvaluationBatch, groups_of
from segbench.data.loading.datamodule import SegmentationData
from segbench.data.loading.views import EvaluationView
from segbench.inference.forward import Answer, Heads, said_of
from segbench.inference.looking import looking
from segbench.losses.base import Loss
from segbench.metrics.monitor import Monitor
from segbench.metrics.own import OwnMetrics
from segbench.metrics.split_scores import SplitScores
from segbench.models.digest import weights_digest
from segbench.models.external import External


class ScoredModule(pl.LightningModule):
    """A network with what it is given and how it is scored; `segbench.training.module` adds how it is trained.

    Args:
        network: Maps a float image `[B,C,H,W]` to a dict of predictions of the same height and width.
        loss: Maps (prediction, batch) to a scalar and its named terms.
        task: `mask`, `depth` or `mask_depth`: what is scored.
        classes: Names of the classes.
        mean: Mean of each channel in 0..1, subtracted from every picture.
        std: Standard deviation that it is then divided by.
        inputs: `image` or `image+background`.
        channels_last: Memory layout of images and weights.
        view: What the network sees of a whole picture that is scored.
        settings: At which size it is scored, and what is scored when.
        make_metrics: Makes the metrics of the user's own, of each split.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        *,
        task: Task,
        classes: Sequence[str],
        mean: Sequence[float],
        std: Sequence[float],
        inputs: Inputs,
        channels_last: bool,
        view: EvaluationView,
        settings: EvaluationSettings,
        make_metrics: Callable[[], OwnMetrics] = OwnMetrics,
    ) -> None:
        super().__init__()
        self.view = view
        self.settings = settings
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.network = network.to(memory_format=self.memory_format)
        self.loss = loss
        self.inputs = Inputs(inputs).names
        # part of the checkpoint, so that a resume knows whether its tensors come from other settings than those of now
        self.origin: Plain = {"loss": weights_digest(loss), "mean": list(mean), "std": list(std)}
        # part of the checkpoint, so that a run does not need the pretrained weights again to know its normalisation
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, -1, 1, 1))
        suffix = self.settings.score_at.suffix
        self.monitor = Monitor.of(Task(task), suffix)
        in_epochs = self.settings.boundary is Boundary.EPOCHS
        self.scores = nn.ModuleDict(
            {
                split: SplitScores(task, classes, suffix=suffix, outlines=in_epochs, own=make_metrics())
                for split in ("val_split", "test_split")
            }
        )
        self.eval_loss: dict[str, list[Tensor]] = {}

    def split_scores(self, split: Split) -> SplitScores:
        """Return the metrics that count `val` or `test`."""
        metric = self.scores[f"{split}_split"]
        assert isinstance(metric, SplitScores)
        return metric

    @property
    def evaluated(self) -> nn.Module:
        """The network that is scored and used."""
        return self.network

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Return the predictions of a batch whose pictures are uint8, or float in 0..1, `[B,C,H,W]`."""
        pictures = [(in_unit_range(batch[name]) - self.mean) / self.std for name in self.inputs]
        image = torch.cat(pictures, dim=1) if len(pictures) > 1 else pictures[0]
        return self.called()(image.contiguous(memory_format=self.memory_format))

    def called(self) -> Callable[[Tensor], Heads]:
        """Return what is called in training, and where pictures are scored."""
        if self.training:
            return self.network
        return self.evaluated

    def look(self, batch: Batch, view: EvaluationView | None = None) -> Heads:
        """Return what the network says of a batch of one size: in tiles and with further looks, as `evaluate` sets.

        Args:
            batch: What a view shows of pictures.
            view: That view; None for the one of the scores.
        """
        foreign = isinstance(self.network, External)
        return looking(self, view or self.view, settings=self.settings, foreign=foreign)(batch)

    def validation_step(self, batch: EvaluationBatch, batch_idx: int) -> dict[str, list[Tensor]]:
        """Score a batch of the validation split and return what the network says of each picture, by head."""
        return self._evaluate(batch, Split.VAL)

    def test_step(self, batch: EvaluationBatch, batch_idx: int) -> dict[str, list[Tensor]]:
        """Score a batch of the test split likewise."""
        return self._evaluate(batch, Split.TEST)

    def _evaluate(self, batch: EvaluationBatch, split: Split) -> dict[str, list[Tensor]]:
        return self.score_batch(batch, split, singly=not self._is_training_run())

    def score_batch(self, batch: EvaluationBatch, split: Split, *, singly: bool) -> dict[str, list[Tensor]]:
        """Count a batch of val or test, and return what the network says of each picture, by head.

        Args:
            batch: As the loader of the split gives it.
            split: `val` or `test`.
            singly: Show the network each picture by itself, see `said_of`.
        """
        said: list[Heads] = [{} for _ in batch["index"]]
        for places, group in groups_of(batch):
            heads = said_of(self.look, group, singly=singly)
            self._note_loss(heads, group, split=split)
            for number, place in enumerate(places):
                said[place] = {head: values[number : number + 1] for head, values in heads.items()}
        for place, heads in enumerate(said):
            self._score(heads, batch, place=place, split=split)
        return {head: [heads[head] for heads in said] for head in said[0]}

    def _note_loss(self, heads: Heads, group: Batch, *, split: Split) -> None:
        loss, _ = self.loss(heads, with_long_mask(group))
        images = len(group["index"])
        self.eval_loss.setdefault(split, []).append(
            torch.stack([loss.detach().float() * images, loss.new_full((), images, dtype=torch.float32)])
        )

    def _score(self, heads: Heads, batch: EvaluationBatch, *, place: int, split: Split) -> None:
        """Count a picture at its own size, or at that of what was seen where `evaluate.score_at` says so."""
        mask = self.scored_mask(batch, place)
        answer = Answer(heads, self.view, (mask.shape[-2], mask.shape[-1]))
        prediction = {}
        truth = {"mask": mask[None], "index": batch["index"][place][None]}
        if "mask" in heads:
            prediction["mask"] = answer.ids()[None]
        if "depth" in heads:
            prediction["depth"] = answer.depth()[None, None]
            truth["depth"] = batch["truth_depth" if self._is_own(batch) else "depth"][place][None]
        self.split_scores(split).update(prediction, truth)

    def scored_mask(self, batch: EvaluationBatch, place: int) -> Tensor:
        """Return the true mask `[H,W]` that a picture of a batch is scored against."""
        return batch["truth" if self._is_own(batch) else "mask"][place]

    def _is_own(self, batch: EvaluationBatch) -> bool:
        return "truth" in batch and self.settings.score_at is ScoreAt.OWN

    def _is_training_run(self) -> bool:
        """Whether a validation belongs to the training, rather than to the final evaluation of the best epoch."""
        return self.trainer.state.fn == TrainerFn.FITTING

    def finish_split(self, split: Split) -> tuple[dict[str, float], SplitScores]:
        """Return the scores of a split that was just run, and the metrics that still hold its counts.

        Raises:
            DataError: if masks held ids that are neither a class nor 255, or nothing labelled at all.
        """
        metric = self.split_scores(split)
        scores = metric.compute()
        outside = metric.out_of_range()
        if outside:
            raise DataError(f"the masks of {split} hold {outside:,} pixels whose id is neither a class nor 255")
        total, images = self.eval_loss.pop(split)[0].tolist()
        if math.isnan(scores[self.monitor.name]):
            raise DataError(f"the {split} split has no labelled pixel, so there is nothing to score")
        return {"loss": total / images, **scores}, metric

    def sum_of_processes(self, values: Tensor) -> Tensor:
        """Return the sum over all processes."""
        return self.trainer.strategy.reduce(values, reduce_op="sum")

    def on_validation_epoch_start(self) -> None:
        """Forget the counts of the epoch before."""
        self._reset(Split.VAL)

    def on_test_epoch_start(self) -> None:
        """Forget the counts of an earlier test."""
        self._reset(Split.TEST)

    def on_validation_epoch_end(self) -> None:
        """Join what all processes have counted."""
        self._join(Split.VAL)

    def on_test_epoch_end(self) -> None:
        """Join what all processes have counted."""
        self._join(Split.TEST)

    def _join(self, split: Split) -> None:
        self.split_scores(split).gather()
        # in float64, so that it does not matter how many processes have added it up
        mine = torch.stack(self.eval_loss[split]).cpu().double().sum(0)
        if self.trainer.world_size > 1:
            whole = self.sum_of_processes(mine.to(self.device))
        else:
            whole = mine
        self.eval_loss[split] = [whole]

    def _reset(self, split: Split) -> None:
        # several processes each have statistics of their own, which training does not use: the first one's count
        if self.trainer.world_size > 1:
            for buffer in self.statistics():
                torch.distributed.broadcast(buffer, 0)
        when = {Boundary.EPOCHS: True, Boundary.END: not self._is_training_run(), Boundary.NEVER: False}
        self.split_scores(split).reset(outlines=when[self.settings.boundary])
        self.eval_loss.pop(split, None)

    def statistics(self) -> Iterator[Tensor]:
        """Return the buffers that differ between processes, such as those of batch normalisation."""
        yield from self.network.buffers()


def score_split(
    trainer: pl.Trainer, module: ScoredModule, *, data: SegmentationData, split: Split
) -> tuple[dict[str, float], SplitScores]:
    """Return the scores of `val` or `test` with the module's weights, and the metrics that hold the counts."""
    evaluate = trainer.validate if split == Split.VAL else trainer.test
    evaluate(module, datamodule=data, verbose=False)
    return module.finish_split(split)


def in_unit_range(pictures: Tensor) -> Tensor:
    """Return pictures as float in 0..1; those of uint8 are divided by 255."""
    if pictures.is_floating_point():
        return pictures
    return pictures.float() / 255


def with_long_mask(batch: Batch) -> Batch:
    """Return the batch with its mask as int64; it travels to the device as one byte a pixel."""
    return {**batch, "mask": batch["mask"].long()}

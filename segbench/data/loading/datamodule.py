"""The base of every data set: a LightningDataModule that checks its data first and serves it by the data law."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytorch_lightning as pl

from segbench.core.choices import SPLITS, Fit, Split
from segbench.core.errors import ConfigError, DataError
from segbench.core.plain import Json, Plain
from segbench.core.tasks import IGNORE_INDEX
from segbench.data.channels import Channels
from segbench.data.given import Given
from segbench.data.loading.augment import Augment
from segbench.data.loading.batches import Delivered
from segbench.data.loading.contract import check_sample
from segbench.data.loading.loader import EpochLoader, PlanSampler, Position, shuffled
from segbench.data.loading.source import Arrays, SplitDataset
from segbench.data.loading.views import EvaluationView
from segbench.data.loading.workers import check_sockets
from segbench.data.pictures import MAX_PIXELS
from segbench.data.rasters import Raster
from segbench.data.statistics import Statistics, measure
from segbench.data.values import Values

MAX_WORKERS = 512

MOST_SAMPLES = 1_000_000_000
"""In a split: a GPU that trains on a thousand a second takes eleven days for them, and no epoch ends sooner."""

MEASURED_SAMPLES = 5000
"""Most training samples that class weights, mean and standard deviation are computed from."""

LEAST_STD = 1e-6
"""Less would divide differences of colour that no picture has into infinities; a constant channel is divided by 1."""

RGB = Channels()
"""Red, green and blue, of 8 bit."""


class SegmentationData(pl.LightningDataModule):
    """A data set with train, val and test samples.

    Subclasses read and check everything in `prepare`, and return any sample from `sample`.

    Args:
        classes: Names of the classes; a pixel's id is its place in this list, 255 is ignored.
        size: Height and width of the samples in pixels.
        mean: Mean of each channel over the training set, in 0..1; None measures it.
        std: Standard deviation likewise.
        batch_size: Samples in a batch, of all devices together.
        num_workers: Processes that make samples; 0 makes them in the training process.
        pin_memory: Page-locked batches, for a GPU.
        seed: Key of the data itself: which scenes exist and how sources are split. The same for every run to compare.
        augment: Augmentation of training samples; None for none. val and test are never augmented.
        channels: What of a picture a network is given.
    """

    entries: tuple[str, ...] = ("image", "mask")
    """The arrays that every sample has; a task or an input that needs another one is refused."""

    fit: Fit = Fit.CROP
    """How a whole picture that is scored or predicted comes to `size`; a generated one has that size already."""

    notes: Sequence[str] = ()
    """Sentences on what was found in the data beyond its settings, to be said at the start of a training."""

    test_is_val: bool = False
    """Whether the test is taken from the pictures of val, for want of one (`missing_test=val`)."""

    fresh: bool = False
    """Whether a training sample is another one in every epoch; it is then named only for the first."""

    def __init__(
        self,
        classes: Sequence[str],
        size: Sequence[int],
        *,
        mean: Sequence[float] | None,
        std: Sequence[float] | None,
        batch_size: int,
        num_workers: int = 0,
        pin_memory: bool = False,
        seed: int = 0,
        augment: Augment | None = None,
        channels: Channels = RGB,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.values: Values | None = None
        if len(size) != 2 or min(size) < 1:
            raise ConfigError(f"data.size must be [height, width] in pixels, each at least 1, got {list(size)}")
        if size[0] * size[1] > MAX_PIXELS:
            raise ConfigError(f"data.size={list(size)} are more than {MAX_PIXELS:,} pixels; give a smaller one")
        if batch_size < 1 or not 0 <= num_workers <= MAX_WORKERS:
            raise ConfigError(
                f"data.batch_size must be at least 1 and data.num_workers 0 to {MAX_WORKERS}, got {batch_size} and"
                f" {num_workers}"
            )
        check_sockets(num_workers)
        _check_normalisation(mean, std, channels=channels.count)
        _check_augment(augment, channels)
        if len(set(classes)) != len(classes) or not all(classes) or not 2 <= len(classes) < IGNORE_INDEX:
            raise ConfigError(f"data.classes must be 2 to {IGNORE_INDEX - 1} different names, got {list(classes)}")
        self.classes = list(classes)
        self.size = (int(size[0]), int(size[1]))
        self.mean = None if mean is None else tuple(mean)
        self.std = None if std is None else tuple(std)
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.seed = seed
        self.augment = augment
        self.order_seed = 0
        self.position: Position | None = None
        self.deliver: Callable[[EpochLoader], Iterable[Delivered]] = as_it_is
        self._is_prepared = False
        self._statistics: Statistics | None = None

    @abstractmethod
    def prepare(self) -> None:
        """Read and check all data; raises a DataError that names every offender. Called once, before anything else."""

    def setup(self, stage: str = "fit") -> None:
        """Prepare the data where that has not been done; Lightning calls this, whatever Trainer it is."""
        if not self._is_prepared:
            self.prepare()
            self.check_splits()
            check_sample(
                self.sample(Split.TRAIN, epoch=0, index=0),
                where=f"data ({type(self).__name__}): sample 0 of train",
                entries=self.entries,
                channels=self.channels.count,
                classes=self.classes,
            )
            self.measure_normalisation()
            self._is_prepared = True

    def measure_normalisation(self) -> None:
        """Measure mean and standard deviation of the training split where they are not given."""
        if self.mean is None:
            mean, std = self.training_statistics().mean_std()
            self.mean = tuple(mean)
            self.std = tuple(value if value >= LEAST_STD else 1.0 for value in std)

    def training_statistics(self) -> Statistics:
        """Return the counts over the training split; they are counted once."""
        if self._statistics is None:
            self._statistics = self.count_training()
            self._statistics.digests.clear()  # one for each picture, which nobody asks for here
        return self._statistics

    def count_training(self) -> Statistics:
        """Count the training split, or as much of it as is measured."""
        return measure(self, Split.TRAIN, limit=MEASURED_SAMPLES)

    def use_values(self, values: Values) -> None:
        """Let `values` say what the values of the files are, and what of them becomes 0 and 1."""
        self.values = values
        self.channels = replace(self.channels, levels=values.levels)

    def values_record(self) -> Plain | None:
        """Return the values as plain data; None before they are known, and for pictures that are not from files."""
        if self.values is None:
            return None
        return self.values.record()

    def adopt_values(self, record: Json | None) -> None:
        """Take the values of files as a trained run did; a DataError for a record that does not fit."""
        if record is None:
            return
        values = Values.of_record(record)
        if values.levels is not None and len(values.levels[0]) != self.channels.count:
            raise DataError(f"the run was trained on {len(values.levels[0])} bands, not on {self.channels.count}")
        self.use_values(values)

    def image_of(self, raster: Raster) -> np.ndarray:
        """Return what a network is given of any picture, `[H,W,C]`.

        Raises:
            DataError: for other bands, or values of another type, than it was trained on.
        """
        return Given(self.channels, self.values).image_of(raster)

    @abstractmethod
    def sample(self, split: Split, *, epoch: int, index: int) -> Arrays:
        """Return the arrays of a sample, as `Source` says."""

    @property
    def view(self) -> EvaluationView:
        """What a network sees of a whole picture that is scored or predicted."""
        return EvaluationView(self.size, self.fit)

    def original(self, split: Split, index: int) -> Arrays:
        """Return a picture as it is, at its own size; that of a generated set is its sample."""
        return self.sample(split, epoch=0, index=index)

    @abstractmethod
    def num_samples(self, split: Split) -> int:
        """Return the number of samples of a split."""

    @abstractmethod
    def fingerprint(self, split: Split) -> str:
        """Return a digest of all that decides the samples of a split; runs are comparable where it is equal."""

    def describe(self, split: Split) -> str:
        """Return a few words on what a split consists of, for the header."""
        return f"{self.num_samples(split):,} samples"

    def describe_sample(self, split: Split, index: int) -> str:
        """Return what a sample is, such as its file's name, for messages and tables."""
        return f"{split} {index}"

    def locate_sample(self, split: Split, index: int) -> str:
        """Return where a sample comes from, such as its file with its folder, for errors."""
        if self.fresh and split == Split.TRAIN:
            return f"{split} {index}"
        return self.describe_sample(split, index)

    def image_name(self, split: Split, index: int) -> str:
        """Return what a sample is called in tables: its file within the data's root, or its sources joined by ` + `."""
        return self.describe_sample(split, index)

    def units(self, split: Split, index: int) -> dict[str, str]:
        """Return what a sample was taken from, by factor: what would be drawn anew if the data were collected again.

        Samples that share a unit are not independent of each other. Empty where each sample is a unit of its own.
        """
        return {}

    def class_weights(self) -> np.ndarray:
        """Return the median-frequency weight of each class over the training split, float64 `[C]`.

        A class's frequency is its share of all pixels of the images it occurs in; its weight is the median of all
        frequencies divided by its own (Eigen and Fergus, 2015). A class that never occurs has weight 1.
        """
        return self.training_statistics().class_weights(len(self.classes))

    def check_splits(self) -> None:
        """Raise a DataError for an empty split, one that no run would come to the end of, or less than a batch."""
        for split in SPLITS:
            count = self.num_samples(split)
            if not isinstance(count, int):
                raise ConfigError(
                    f"data ({type(self).__name__}): num_samples of {split} must be a whole number, got {count!r}"
                )
            if count < 1:
                raise DataError(f"the {split} split has no samples; data.{split}_size must be at least 1")
            if count > MOST_SAMPLES:
                raise DataError(
                    f"the {split} split has {count:,} samples, which no run comes to the end of;"
                    f" data.{split}_size must be at most {MOST_SAMPLES:,}"
                )
        if self.num_samples(Split.TRAIN) < self.batch_size:
            raise DataError(
                f"the train split has {self.num_samples(Split.TRAIN)} samples, fewer than one batch;"
                f" give data.batch_size={self.num_samples(Split.TRAIN)} or more samples"
            )

    @property
    def train_batches(self) -> int:
        """Whole batches in an epoch of training, of all devices together."""
        return self.num_samples(Split.TRAIN) // self.batch_size

    def order(self, epoch: int) -> Callable[[int], int]:
        """Return the order of an epoch of training: the sample at each position, a permutation keyed by the epoch."""
        return shuffled(self.num_samples(Split.TRAIN), "order", self.order_seed)(epoch)

    def loader(self, split: Split) -> EpochLoader:
        """Return the loader of a split; only the training split is shuffled, augmented and cut to whole batches."""
        training = split == Split.TRAIN
        rank = self.trainer.global_rank if self.trainer else 0
        world_size = 1
        if self.trainer:
            world_size = self.trainer.world_size
        if self.batch_size % world_size:
            raise ConfigError(f"data.batch_size={self.batch_size} cannot be shared by {world_size} devices")
        sampler = PlanSampler(
            self.num_samples(split),
            self.batch_size // world_size,
            order=self.order if training else None,
            drop_last=training,
            rank=rank,
            world_size=world_size,
        )
        dataset = SplitDataset(self, split, augment=self.augment if training else None, seed=self.order_seed)
        position = None
        if training:
            position = self.position or self._epoch_of_trainer
        return EpochLoader(
            dataset, sampler, num_workers=self.num_workers, pin_memory=self.pin_memory, position=position
        )

    def _epoch_of_trainer(self) -> tuple[int, int]:
        """Return where training is, in a Trainer that does not continue epochs in their middle."""
        return (self.trainer.current_epoch if self.trainer else 0), 0

    def train_dataloader(self) -> Iterable[Delivered]:
        """Return the training loader."""
        return self.deliver(self.loader(Split.TRAIN))

    def val_dataloader(self) -> Iterable[Delivered]:
        """Return the validation loader."""
        return self.deliver(self.loader(Split.VAL))

    def test_dataloader(self) -> Iterable[Delivered]:
        """Return the test loader."""
        return self.deliver(self.loader(Split.TEST))


def as_it_is(loader: EpochLoader) -> Iterable[Delivered]:
    """Return the batches where they were read."""
    return loader


def _check_augment(augment: object, channels: Channels) -> None:
    if augment is None:
        return
    if not isinstance(augment, Augment):
        raise ConfigError(
            "augment must describe an augmentation, with _target_: segbench.data.loading.augment.Augment and its"
            f" transforms, got {type(augment).__name__}"
        )
    augment.check_bands(channels.count)


def _check_normalisation(mean: Sequence[float] | None, std: Sequence[float] | None, *, channels: int) -> None:
    """Raise a ConfigError for figures that no picture can have; those of 0..255 are the usual mistake."""
    if mean is None and std is None:
        return
    mean = mean or ()
    std = std or ()
    fitting = len(mean) == len(std) == channels and min(mean) >= 0 and max(*mean, *std) <= 1 and min(std) >= LEAST_STD
    if not fitting:
        advice = ""
        if 1 < max([*mean, *std], default=0) <= 255:
            advice = "; divide figures of 0..255 by 255"
        raise ConfigError(
            f"data.mean must be {channels} numbers from 0 to 1, one for each channel, and data.std {channels} from"
            f" {LEAST_STD:g} to 1, or both null to be measured, got {list(mean)} and {list(std)}{advice}"
        )

"""What an export consists of: its options, and the chunks of samples that are its units of work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from segbench.core.choices import SPLITS, Split, check_word
from segbench.core.errors import ConfigError

FORMATS = ("folder", "webdataset")
IMAGE_SUFFIXES = {"png": ".png", "jpeg": ".jpg"}


@dataclass(frozen=True)
class Options:
    """How an export is written.

    Raises:
        ConfigError: for an option that does not exist or is out of range.
    """

    format: str = "folder"
    """`folder` or `webdataset`."""

    splits: Sequence[Split] = SPLITS
    """Which ones, in this order."""

    count: int | None = None
    """The first samples of each split; None takes all."""

    chunk: int = 1000
    """Samples in a chunk, and in a shard."""

    image_format: str = "png"
    """Of images and backgrounds: `png` (exact) or `jpeg`."""

    quality: int = 95
    """Of the JPEG, 1..100."""

    def __post_init__(self) -> None:
        check_word("format", self.format, valid=FORMATS)
        check_word("image_format", self.image_format, valid=IMAGE_SUFFIXES)
        if not self.splits or len(set(self.splits)) != len(self.splits):
            raise ConfigError(f"splits must name one or more different splits, got {list(self.splits)}")
        if self.chunk < 1 or (self.count is not None and self.count < 1) or not 1 <= self.quality <= 100:
            raise ConfigError(
                f"chunk and count must be at least 1 and quality in 1..100, got {self.chunk}, {self.count} and"
                f" {self.quality}"
            )

    def record(self) -> dict[str, object]:
        """Return what decides the written bytes as plain data; the quality of a PNG is none of it."""
        return {
            "format": self.format,
            "splits": list(self.splits),
            "count": self.count,
            "chunk": self.chunk,
            "image_format": self.image_format,
            "quality": self.quality if self.image_format == "jpeg" else None,
        }


@dataclass(frozen=True)
class Chunk:
    """Samples `start` to `stop` (exclusive) of a split, written and marked as finished together."""

    split: Split
    """The split."""

    number: int
    """Its place among the chunks of the split, from 0."""

    start: int
    """The first sample."""

    stop: int
    """The sample after the last one."""

    @property
    def name(self) -> str:
        """Return the name of the chunk's shard and of its part of the manifest, such as `train-000012`."""
        return f"{self.split}-{self.number:06d}"


def chunks(samples: Mapping[Split, int], size: int) -> Iterator[Chunk]:
    """Yield the chunks of all splits, in the order of the manifest."""
    for split, total in samples.items():
        for number, start in enumerate(range(0, total, size)):
            yield Chunk(split, number, start, min(start + size, total))


def sample_name(index: int) -> str:
    """Return a file name that sorts as the index does."""
    return f"{index:08d}"

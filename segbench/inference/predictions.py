"""Masks that any program predicted: found in a folder, paired with the pictures of a data set, read as class ids."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from segbench.core.choices import SPLITS, Split
from segbench.core.errors import DataError
from segbench.core.npy import open_npy
from segbench.data.export.options import sample_name
from segbench.data.files.dataset import FileData
from segbench.data.files.items import pictures_below
from segbench.data.files.masks import MaskReader
from segbench.data.folders import LOSSLESS, SUFFIXES
from segbench.data.loading.datamodule import SegmentationData

ARRAYS = (".npz", ".npy")
NAMES_END_IN = ("", "_mask")
"""What is tried after a picture's name: `segbench predict` writes `<name>_mask.png` beside other files."""
MAX_ARRAY = 4_000_000_000
"""Bytes of an array that is read."""


@dataclass(frozen=True, order=True)
class Sample:
    """A picture of a split."""

    split: Split
    """The split."""

    index: int
    """Its number."""


@dataclass
class Paired:
    """What was found in a folder of predictions."""

    suffix: str
    """What the names of its files end in after the picture's name."""

    files: dict[Sample, Path] = field(default_factory=dict)
    """The file of each picture that has one."""

    others: int = 0
    """How many are of pictures that are not scored."""

    surplus: list[str] = field(default_factory=list)
    """Names of files that belong to no picture."""

    unclear: list[str] = field(default_factory=list)
    """Names of files that could belong to several pictures."""

    twice: list[str] = field(default_factory=list)
    """Names of files that are a second one of a picture."""

    by_number: bool = False
    """Whether they are named by the numbers of an export, though the pictures have names of their own."""

    @property
    def rank(self) -> tuple[int, int]:
        """How well the files fit the pictures; more is better."""
        return len(self.files), -len(self.surplus) - len(self.unclear) - len(self.twice)


def pair_predictions(
    folder: Path, data: SegmentationData, *, splits: Sequence[Split], suffix: str | None = None
) -> Paired:
    """Return the predictions in a folder and its sub-folders by picture.

    A file belongs to the picture (or its mask) whose path ends in the same folders and name, as far as needed to tell
    pictures apart; samples of generated sets are named as `data export` names them, and so are pictures where that fits
    better. Where a picture has a mask and an array, the mask counts.

    Args:
        folder: Where predictions are; hidden files are left out, and so are files of other kinds.
        data: The prepared data set.
        splits: The splits that are scored.
        suffix: What names of predictions end in after the picture's; None tries NAMES_END_IN, and takes the best.

    Raises:
        DataError: if there is no such folder, or no file of a kind that is read in it.
    """
    if not folder.is_dir():
        raise DataError(f"--predictions: there is no folder {folder}")
    files = [path for path in sorted(folder.rglob("*")) if _is_prediction(path.relative_to(folder)) and path.is_file()]
    if not files:
        raise DataError(f"--predictions: {folder} holds no masks ({', '.join(LOSSLESS)}) or arrays (.npz, .npy)")
    ends = NAMES_END_IN if suffix is None else (suffix,)
    own = _best(folder, files, data=data, splits=splits, ends=ends, by_number=not isinstance(data, FileData))
    if not isinstance(data, FileData) or own.rank == (sum(data.num_samples(split) for split in splits), 0):
        return own
    exported = _best(folder, files, data=data, splits=splits, ends=ends, by_number=True)
    exported.by_number = True
    return max(own, exported, key=lambda paired: paired.rank)


def _best(
    folder: Path,
    files: Sequence[Path],
    *,
    data: SegmentationData,
    splits: Sequence[Split],
    ends: Sequence[str],
    by_number: bool,
) -> Paired:
    """Return what fits best of what names of predictions may end in."""
    wanted = _by_tail(data, splits, by_number=by_number)
    rest = _others(data, [split for split in SPLITS if split not in splits], by_number=by_number)
    named = {tail: samples for tail, samples in wanted.items() if _are_one_picture(data, samples)}
    tried = [_pair(folder, files, wanted=wanted, named=named, rest=rest, suffix=end) for end in ends]
    return max(tried, key=lambda paired: paired.rank)


def _is_prediction(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return path.suffix.lower() in (*SUFFIXES, *ARRAYS) and not hidden


def _by_tail(data: SegmentationData, splits: Sequence[Split], *, by_number: bool) -> dict[str, set[Sample]]:
    """Return the samples by every end of their paths: `test/a/p1`, `a/p1` and `p1`."""
    found: dict[str, set[Sample]] = {}
    for split in splits:
        for index in range(data.num_samples(split)):
            for path in _paths(data, split, index=index, by_number=by_number):
                for tail in _tails(path):
                    found.setdefault(tail, set()).add(Sample(split, index))
    return found


def _others(data: SegmentationData, splits: Sequence[Split], *, by_number: bool) -> set[str]:
    """Return every end of the paths of pictures that are not scored: of other splits, or beyond `data.test_size`."""
    found = set(_by_tail(data, splits, by_number=by_number))
    if isinstance(data, FileData) and data.root is not None:
        for path in pictures_below(data.root):
            found.update(_tails(PurePosixPath(path.with_suffix("").as_posix())))
    return found


def _paths(data: SegmentationData, split: Split, *, index: int, by_number: bool) -> list[PurePosixPath]:
    if by_number or not isinstance(data, FileData):
        return [PurePosixPath(split, kind, sample_name(index)) for kind in ("images", "masks")]
    item = data.items[split][index]
    files = [file for file in (item.image, item.label) if isinstance(file, Path)]
    return [PurePosixPath(file.with_suffix("").as_posix()) for file in files]


def _tails(path: PurePosixPath) -> Iterator[str]:
    """Yield the ends of a path, the longest first."""
    parts = path.parts
    for start in range(len(parts)):
        yield "/".join(parts[start:])


def _are_one_picture(data: SegmentationData, samples: set[Sample]) -> bool:
    """Whether these are one sample, or the same picture in val and in a test that was taken from it."""
    if len(samples) == 1:
        return True
    return data.test_is_val and len({data.image_name(one.split, one.index) for one in samples}) == 1


def _pair(
    folder: Path,
    files: Sequence[Path],
    *,
    wanted: dict[str, set[Sample]],
    named: dict[str, set[Sample]],
    rest: set[str],
    suffix: str,
) -> Paired:
    found = Paired(suffix)
    for file in files:
        name = file.relative_to(folder)
        stem = name.with_suffix("").as_posix()
        if not stem.endswith(suffix):
            continue
        stem = stem.removesuffix(suffix)
        tail = next((tail for tail in _tails(PurePosixPath(stem)) if tail in wanted or tail in rest), None)
        if tail is None:
            found.surplus.append(name.as_posix())
        elif tail not in wanted:
            found.others += 1
        elif tail not in named:
            found.unclear.append(name.as_posix())
        for sample in named.get(tail or "", ()):
            _take(found, sample, file=file, name=name.as_posix())
    return found


def _take(found: Paired, sample: Sample, *, file: Path, name: str) -> None:
    before = found.files.setdefault(sample, file)
    if before is file:
        return
    arrays = [path.suffix.lower() in ARRAYS for path in (before, file)]
    if arrays == [True, False]:
        found.files[sample] = file
    elif arrays[0] == arrays[1]:
        found.twice.append(name)


class PredictionReader:
    """Reads predictions as class ids.

    Args:
        data: The data set, for its classes, unlabelled ids and colours.
        masks: Kind of the masks: `auto`, `index`, `palette`, `rgb` or `binary`, as `data.masks` of `data=folder`.
    """

    def __init__(self, data: SegmentationData, masks: str = "auto") -> None:
        own = getattr(data, "reader", None)
        ignore = []
        colours = None
        if isinstance(own, MaskReader):
            ignore = own.ignore
            if masks in ("auto", "rgb"):
                colours = own.class_dict
        if masks == "binary":
            ignore = []
        elif colours is None:
            ignore = [value for value in ignore if not isinstance(value, str)]
        self.classes = len(data.classes)
        self._reader = MaskReader(masks, data.classes, ignore=ignore, class_dict=colours)
        self._reader.prepare()

    def read(self, path: Path) -> np.ndarray:
        """Return ids uint8 `[H,W]`, 255 where it names no class.

        Args:
            path: A mask, or an array of ids `[H,W]` or of probabilities: `[K,H,W]`, `[H,W,K]`, or of the second of two
                classes alone; among several arrays in a file the one called `probabilities`.

        Raises:
            DataError: if it cannot be read, or holds values that are no classes.
        """
        if path.suffix.lower() not in ARRAYS:
            return self._reader.read(path)
        array = _read_array(path)
        if array.ndim == 2 and array.dtype.kind in "iub":
            return self._checked(array)
        return self._most_probable(array)

    def _checked(self, ids: np.ndarray) -> np.ndarray:
        wrong = (ids != 255) & ((ids < 0) | (ids >= self.classes))
        if wrong.any():
            some = ", ".join(map(str, np.unique(ids[wrong])[:5].tolist()))
            raise DataError(f"ids {some} are no classes (0 to {self.classes - 1})")
        return ids.astype(np.uint8)

    def _most_probable(self, array: np.ndarray) -> np.ndarray:
        if array.dtype.kind != "f":
            raise DataError(f"an array {list(array.shape)} of {array.dtype}; write ids [H,W] or probabilities [K,H,W]")
        if not np.isfinite(array).all():
            raise DataError("probabilities that are not finite")
        if array.ndim == 4 and array.shape[1] == 1:
            array = array[:, 0]  # of one slice
        if array.ndim == 2:
            array = array[None]
        channels = (self.classes, 1) if self.classes == 2 else (self.classes,)
        if array.ndim == 3 and array.shape[0] not in channels:
            array = np.moveaxis(array, 2, 0)
        if array.ndim != 3 or array.shape[0] not in channels:
            raise DataError(f"an array {list(array.shape)}, not probabilities [K,H,W] of {self.classes} classes")
        if len(array) > 1:
            ids: np.ndarray = np.argmax(array, axis=0)
            return ids.astype(np.uint8)
        if array.min() < 0 or array.max() > 1:
            raise DataError("one channel that is no probability from 0 to 1")
        foreground: np.ndarray = array[0] > 0.5
        return foreground.astype(np.uint8)


def _read_array(path: Path) -> np.ndarray:
    try:
        if path.suffix.lower() == ".npy":
            mapped: np.ndarray = open_npy(path)
            return mapped
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_ARRAY:
                raise DataError(f"more than {MAX_ARRAY:,} bytes")
        with np.load(path, allow_pickle=False) as arrays:
            name = "probabilities"
            if "probabilities" not in arrays.files:
                name = arrays.files[0]
            if len(arrays.files) > 1 and name != "probabilities":
                raise DataError(f"several arrays ({', '.join(arrays.files[:5])}) and none called probabilities")
            array: np.ndarray = arrays[name]
            return array
    except DataError:
        raise
    except (OSError, ValueError, EOFError, IndexError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"no array that can be read: {error}") from None

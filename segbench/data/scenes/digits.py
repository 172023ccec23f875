"""MNIST and CIFAR-10 as arrays, from the forms that people have them in; official training and test pictures apart.

Read are: idx files (plain or .gz), .npz, folders of PNG, and torchvision's own folder, into which it can download.
The CIFAR-10 pickles are only ever opened by torchvision, and only after their checksums were found right. Archives are
read in memory, only the members that are needed, and never more of one than its header announces.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segbench.core.errors import DataError
from segbench.data.folders import read_all, together
from segbench.data.pictures import read_rgb
from segbench.data.problems import first_names

DIGIT = (28, 28)
PHOTO = (32, 32, 3)
MAX_BYTES = 1 << 30
"""The largest array that is read; the training photos of CIFAR-10 have 154 MB."""

MAX_MEMBERS = 100
IDX_FILES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
BATCHES = "cifar-10-batches-py"
WANTED = {
    "data.mnist": "a folder of the four idx files (train-images-idx3-ubyte.gz ...), an .npz with x_train, y_train,"
    " x_test and y_test, or folders train/<digit>/*.png and test/<digit>/*.png",
    "data.cifar": f"an .npz with x_train and x_test, a folder that holds {BATCHES}, or folders train/<class>/*.png and"
    " test/<class>/*.png",
}
DOWNLOAD = "data.root=DIR data.download=true has torchvision fetch it into DIR"


@dataclass(frozen=True)
class Pool:
    """Pictures by number: the official training pictures first, then the official test pictures."""

    images: np.ndarray
    """uint8 `[N, 28, 28]` or `[N, 32, 32, 3]`."""

    labels: np.ndarray | None
    """uint8 `[N]`, 0..9; None for photos."""

    training: int
    """How many of the pictures are official training pictures."""

    def digest(self) -> str:
        """Return a digest of all pictures and labels, the same for every form they are read from."""
        digest = hashlib.sha256(f"{self.images.shape}:{self.training}".encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(b"" if self.labels is None else self.labels.tobytes())
        return digest.hexdigest()

    def check(self, key: str) -> None:
        """Raise a DataError unless there are two training pictures (one of them for val) and one test picture."""
        testing = len(self.images) - self.training
        if self.training < 2 or testing < 1:
            raise DataError(
                f"{key} has {self.training} training and {testing} test pictures, but at least 2 and 1 are needed"
            )


def read_digits(path: str | None, root: str | None, *, download: bool) -> Pool:
    """Return MNIST from `path`, or from torchvision's folder in `root`.

    Raises:
        DataError: where it is missing or not what it should be, saying what to put where.
    """
    key = "data.mnist"
    if path is None:
        home = _root(key, root)
        place = home / "MNIST" / "raw"
        if download and len(_idx_files(place)) < len(IDX_FILES):
            _torchvision(key, "MNIST", home=home, download=True)
        if not _idx_files(place):
            raise DataError(f"{key}: there is no MNIST in {place}; give {key}=PATH: {WANTED[key]}; or {DOWNLOAD}")
        return _digit_pool(key, place, arrays=_read_idx(place))
    place = Path(path).expanduser()
    nested = place / "MNIST" / "raw"
    if place.is_file():
        return _digit_pool(key, place, arrays=_read_npz(key, place, names=tuple(IDX_FILES)))
    for folder in (place, nested):
        if _idx_files(folder):
            return _digit_pool(key, folder, arrays=_read_idx(folder))
    if (place / "train").is_dir():
        return _digit_pool(key, place, arrays=_read_digit_folders(place))
    raise DataError(f"{key}: {_nothing(place)}; it takes {WANTED[key]}; or {DOWNLOAD}")


def read_photos(path: str | None, root: str | None, *, download: bool) -> Pool:
    """Return the photos of CIFAR-10 from `path`, or from torchvision's folder in `root`; raises as `read_digits`."""
    key = "data.cifar"
    if path is None:
        return _photo_pool(key, _root(key, root), arrays=_read_batches(key, _root(key, root), download=download))
    place = Path(path).expanduser()
    if place.is_file():
        return _photo_pool(key, place, arrays=_read_npz(key, place, names=("x_train", "x_test")))
    if place.name == BATCHES or (place / BATCHES).is_dir():
        home = place.parent if place.name == BATCHES else place
        return _photo_pool(key, place, arrays=_read_batches(key, home, download=False))
    if (place / "train").is_dir():
        return _photo_pool(key, place, arrays=_read_photo_folders(place))
    raise DataError(f"{key}: {_nothing(place)}; it takes {WANTED[key]}; or {DOWNLOAD}")


def _root(key: str, root: str | None) -> Path:
    if root is None:
        raise DataError(f"{key} is not set; give {key}=PATH: {WANTED[key]}; or {DOWNLOAD}")
    return Path(root).expanduser()


def _nothing(place: Path) -> str:
    if place.exists():
        return f"{place} holds nothing that can be read"
    return f"there is no {place}"


def _idx_files(folder: Path) -> dict[str, Path]:
    choices = [(name, folder / f"{file}{end}") for name, file in IDX_FILES.items() for end in (".gz", "")]
    return {name: file for name, file in choices if file.is_file()}


def _read_idx(folder: Path) -> dict[str, np.ndarray]:
    found = _idx_files(folder)
    missing = [file for name, file in IDX_FILES.items() if name not in found]
    if missing:
        raise DataError(f"data.mnist: {folder} has no {', '.join(missing)} (plain or .gz); all four files are needed")
    return {name: _read_idx_file(file) for name, file in found.items()}


def _read_idx_file(file: Path) -> np.ndarray:
    # the format: two zero bytes, 8 for bytes, the number of axes, each axis as 4 bytes big-endian, then the values
    axes = 3 if "idx3" in file.name else 1
    start = 4 + 4 * axes
    named = "3 axes" if axes == 3 else "1 axis"
    try:
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            head = stream.read(start)
            if len(head) < start or head[:4] != bytes((0, 0, 8, axes)):
                raise DataError(f"data.mnist: {file} is no idx file of bytes with {named}")
            shape = tuple(np.frombuffer(head[4:], dtype=">u4").astype(int).tolist())
            size = math.prod(shape)
            if size > MAX_BYTES:
                raise DataError(f"data.mnist: {file} announces {list(shape)} bytes, but {MAX_BYTES:,} are the most")
            raw = stream.read(size + 1)  # one more than there should be, however large it is when unpacked
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"data.mnist: {file} cannot be read: {error}") from None
    if len(raw) != size:
        has = "more" if len(raw) > size else f"{len(raw):,}"
        raise DataError(f"data.mnist: {file} should hold {list(shape)} bytes, has {has}; fetch it again")
    return np.frombuffer(raw, dtype=np.uint8).reshape(shape)


def _read_npz(key: str, file: Path, *, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(file) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()[: MAX_MEMBERS + 1]}
            if len(members) > MAX_MEMBERS:
                raise ValueError(f"it has more than {MAX_MEMBERS} members")
            missing = [name for name in names if name not in members]
            if missing:
                has = ", ".join(members)[:200]
                raise DataError(f"{key}: {file} has no {', '.join(missing)}, only {has}; it takes {WANTED[key]}")
            return {name: _read_member(archive, members[name]) for name in names}
    except (
        OSError,
        ValueError,
        EOFError,
        TypeError,
        MemoryError,
        NotImplementedError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise DataError(f"{key}: {file} cannot be read as .npz: {error}; it takes {WANTED[key]}") from None


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """Return an array of an archive; a ValueError refuses one that is, or claims to be, larger than it should be."""
    if info.file_size > MAX_BYTES:
        raise ValueError(f"{info.filename} has {info.file_size:,} bytes, but {MAX_BYTES:,} are the most")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename} is compressed in another way than numpy does")
    with archive.open(info) as stream:
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, _, kind = read_header.get(np.lib.format.read_magic(stream), _unknown)(stream)
        if math.prod(shape) * kind.itemsize > info.file_size:
            raise ValueError(f"{info.filename} announces {list(shape)} values, which it cannot hold")
    with archive.open(info) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _unknown(stream: Any) -> Any:
    raise ValueError("it was written by a version of numpy that is not known")


def _read_digit_folders(root: Path) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    listed: dict[str, list[Path]] = {}
    for split in ("train", "test"):
        folders = sorted(item for item in (root / split).glob("*") if item.is_dir())
        strange = [item.name for item in folders if item.name not in "0123456789"]
        if strange:
            raise DataError(f"data.mnist: {root / split} must hold folders 0 to 9, not {first_names(strange)}")
        files = [file for folder in folders for file in sorted(folder.glob("*.png"))]
        listed[split] = files
        arrays[f"y_{split}"] = np.array([int(file.parent.name) for file in files], dtype=np.uint8)
    return {**arrays, **_stacks("data.mnist", listed, read=_read_grey, shape=DIGIT)}


def _read_photo_folders(root: Path) -> dict[str, np.ndarray]:
    files = {split: sorted((root / split).glob("*/*.png")) for split in ("train", "test")}
    return _stacks("data.cifar", files, read=_read_colour, shape=PHOTO)


def _read_grey(file: Path) -> np.ndarray:
    return np.array(read_rgb(file).convert("L"))  # grey stays as it is


def _read_colour(file: Path) -> np.ndarray:
    return np.array(read_rgb(file))


def _stacks(
    key: str, files: dict[str, list[Path]], *, read: Callable[[Path], np.ndarray], shape: tuple[int, ...]
) -> dict[str, np.ndarray]:
    train, test = together(*(partial(_stack, key, files[split], read=read, shape=shape) for split in ("train", "test")))
    return {"x_train": train, "x_test": test}


def _stack(key: str, files: list[Path], *, read: Callable[[Path], np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    def checked(file: Path) -> np.ndarray:
        picture = read(file)
        if picture.shape != shape:
            raise DataError(f"{picture.shape[0]} x {picture.shape[1]} pixels, not {shape[0]} x {shape[1]}")
        return picture

    if files:
        return np.stack(read_all(files, checked, key=key))
    return np.zeros((0, *shape), np.uint8)


def _read_batches(key: str, home: Path, *, download: bool) -> dict[str, np.ndarray]:
    sets = {
        split: _torchvision(key, "CIFAR10", home=home, download=download, train=split == "train")
        for split in ("train", "test")
    }
    return {f"x_{split}": np.asarray(data.data) for split, data in sets.items()}


def _torchvision(key: str, name: str, *, home: Path, download: bool, train: bool = True) -> Any:
    import torchvision  # takes seconds

    try:
        return getattr(torchvision.datasets, name)(str(home), train=train, download=download)
    except (RuntimeError, OSError, EOFError, tarfile.TarError, zlib.error) as error:
        reason = str(error).split(". You can")[0].split("\n")[0]
        raise DataError(
            f"{key}: torchvision finds no intact {name} in {home} ({reason}); give {key}=PATH: {WANTED[key]};"
            f" or {DOWNLOAD}"
        ) from None


def _digit_pool(key: str, place: Path, *, arrays: dict[str, np.ndarray]) -> Pool:
    _check(key, place, arrays=arrays, shape=DIGIT)
    labels = np.concatenate([arrays["y_train"].reshape(-1), arrays["y_test"].reshape(-1)])
    if not np.issubdtype(labels.dtype, np.integer) or not np.isin(labels, range(10)).all():
        raise DataError(f"{key}: the labels in {place} must be whole numbers 0 to 9")
    for split in ("train", "test"):
        pictures = len(arrays[f"x_{split}"])
        names = arrays[f"y_{split}"].size
        if pictures != names:
            raise DataError(f"{key}: {place} has {pictures} {split} pictures but {names} labels")
    images = np.concatenate([arrays["x_train"], arrays["x_test"]])
    return Pool(images, labels.astype(np.uint8), len(arrays["x_train"]))


def _photo_pool(key: str, place: Path, *, arrays: dict[str, np.ndarray]) -> Pool:
    _check(key, place, arrays=arrays, shape=PHOTO)
    return Pool(np.concatenate([arrays["x_train"], arrays["x_test"]]), None, len(arrays["x_train"]))


def _check(key: str, place: Path, *, arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> None:
    for name in ("x_train", "x_test"):
        array = arrays[name]
        if array.dtype != np.uint8 or array.shape[1:] != shape:
            wanted = ", ".join(map(str, shape))
            got = ", ".join(map(str, array.shape[1:]))
            raise DataError(f"{key}: {name} in {place} must be uint8 [N, {wanted}], got {array.dtype} [N, {got}]")

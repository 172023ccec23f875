"""The pictures a generated set draws from: the shipped ones or the user's folders, read, checked and split."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from PIL import Image

from segbench.core.choices import SPLITS, Split, check_word
from segbench.core.errors import ConfigError, DataError
from segbench.core.npy import open_npy
from segbench.core.rng import generator
from segbench.data.folders import CUTOUTS, SUFFIXES, list_pictures, read_all, unchanged
from segbench.data.pictures import open_picture, read_cutout, read_rgb
from segbench.data.problems import first_names

ASSETS = Path(__file__).parent / "assets"
MOST_MARGIN = 4.0
"""How much larger than the canvas a background may be kept, as a share."""
SPLIT_RULES = ("by_source", "random")


@dataclass(frozen=True)
class Pictures:
    """Decoded pictures with their files' names within their folder, in that order, and a digest of the files."""

    names: list[str]
    """The files' names within their folder."""

    images: list[Image.Image]
    """The pictures, in the order of the names."""

    digest: str
    """Of the files' contents."""

    def __len__(self) -> int:
        return len(self.images)


def read_foregrounds(folder: str | None) -> Pictures:
    """Read cut-outs with alpha from `folder`, or the shipped ones where it is None."""
    path = Path(folder).expanduser() if folder else ASSETS / "foregrounds"
    return _read(path, read_cutout, key="data.foregrounds", useful=CUTOUTS)


def read_backgrounds(folder: str | None) -> Pictures:
    """Read photographs from `folder`, or the shipped ones where it is None."""
    path = Path(folder).expanduser() if folder else ASSETS / "backgrounds"
    return _read(path, read_rgb, key="data.backgrounds")


def _read(folder: Path, read: Callable[[Path], Image.Image], *, key: str, useful: Sequence[str] = SUFFIXES) -> Pictures:
    files = list_pictures(folder, key, useful=useful)
    with unchanged(files, key):
        images = read_all(files, read, key=key)
        return Pictures([file.relative_to(folder).as_posix() for file in files], images, digest_files(files))


def check_opacity(pictures: Pictures, threshold: int) -> None:
    """Raise a DataError for cut-outs that are nowhere as opaque as `threshold`, 1..255: they would never be drawn."""
    bands = (image.getchannel("A").getextrema() for image in pictures.images)
    largest = [cast("tuple[int, int]", extrema)[1] for extrema in bands]
    faint = [name for name, alpha in zip(pictures.names, largest, strict=True) if alpha < threshold]
    if faint:
        raise DataError(
            f"data.mask_threshold: {len(faint)} of {len(pictures)} foregrounds ({first_names(faint)}) are nowhere as"
            f" opaque as that, at most {max(0.0, min(largest) / 255):.3g} of 1; give less, or other foregrounds"
        )


def digest_files(files: Sequence[Path]) -> str:
    """Return a digest of the names and the bytes of files."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.name}:".encode())
        try:
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        except OSError as error:
            raise DataError(f"{file} cannot be read any more: {error.strerror}") from None
    return digest.hexdigest()


def read_depth_maps(folder: str, names: Sequence[str], *, size: tuple[int, int], far: float) -> np.ndarray:
    """Read a depth map of every background, made elsewhere.

    Args:
        folder: Holds one file for each background, of the same stem: `.npy` (float, in the unit of the depth model,
            NaN where unknown) or a grey PNG of 8 or 16 bit (0 unknown, the largest value `far`).
        names: Files of the backgrounds.
        size: Height and width to resize to, nearest only.
        far: Depth of the largest PNG value.

    Returns:
        float32 `[len(names), H, W]`.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise DataError(f"data.depth.from_folder: there is no folder {path}")
    found = {file.stem: file for file in sorted(path.iterdir()) if file.suffix.lower() in (".npy", ".png")}
    stems = [Path(name).stem for name in names]
    missing = [stem for stem in stems if stem not in found]
    if missing:
        raise DataError(
            f"data.depth.from_folder: {path} has no .npy or .png for {len(missing)} of {len(stems)} backgrounds:"
            f" {first_names(missing)}"
        )
    maps = read_all([found[stem] for stem in stems], lambda file: _depth_map(file, far), key="data.depth.from_folder")
    resized = [Image.fromarray(depth).resize((size[1], size[0]), Image.Resampling.NEAREST) for depth in maps]
    return np.stack([np.array(image, dtype=np.float32) for image in resized])


def _depth_map(path: Path, far: float) -> np.ndarray:
    if path.suffix.lower() == ".npy":
        try:
            # mapped: a header may announce more than the file holds
            depth = open_npy(path)
        except Exception as error:  # numpy meets damaged files with many kinds
            raise DataError(f"no .npy file of numbers: {error}") from None
    else:
        picture = open_picture(path)
        if picture.mode not in ("L", "I", "I;16"):
            raise DataError(f"a depth map must be grey, its mode is {picture.mode}")
        raw = np.asarray(picture).astype(np.float32)
        depth = np.where(raw == 0, np.nan, raw / (255 if picture.mode == "L" else 65535) * far)
    if not isinstance(depth, np.ndarray):
        raise DataError("an archive of arrays; save one array with numpy.save")
    if depth.ndim != 2 or not np.issubdtype(depth.dtype, np.floating):
        raise DataError(f"a depth map must be a float array [height, width], got {depth.dtype} {list(depth.shape)}")
    if np.nanmin(depth, initial=np.inf) <= 0 or np.isinf(depth).any():
        raise DataError("depth must be positive and finite, NaN where it is unknown")
    return depth.astype(np.float32)


def split_sources(
    count: int, rule: str, *, shares: tuple[float, float], seed: int, what: str
) -> dict[Split, list[int]]:
    """Return the numbers of the source pictures that each split may use.

    Args:
        count: How many sources there are.
        rule: `by_source`: no source is in two splits. `random`: every split uses all of them.
        shares: Shares of the sources for val and for test, for `by_source`.
        seed: Key of the choice.
        what: Name of the sources, for messages.
    """
    check_word("data.split", rule, valid=SPLIT_RULES)
    if rule == "random":
        return {split: list(range(count)) for split in SPLITS}
    if min(shares) <= 0 or sum(shares) >= 1:
        raise ConfigError(f"data.val_share and data.test_share must be above 0 and together below 1, got {shares}")
    if count < 3:
        raise DataError(
            f"data.{what} has {count} picture{'s' * (count != 1)}, but data.split=by_source needs one for each of"
            " train, val and test; add pictures or use data.split=random"
        )
    order = generator("sources", seed, what).permutation(count).tolist()
    val = max(1, round(shares[0] * count))
    test = max(1, min(round(shares[1] * count), count - val - 1))
    val = min(val, count - test - 1)
    return {
        Split.VAL: sorted(order[:val]),
        Split.TEST: sorted(order[val : val + test]),
        Split.TRAIN: sorted(order[val + test :]),
    }

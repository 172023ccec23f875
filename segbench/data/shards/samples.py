"""A sample out of a shard: where its bytes are, which members they hold, and what these decode to."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

import numpy as np
from PIL import Image

from segbench.core.choices import Split
from segbench.core.errors import DataError
from segbench.data.export.options import sample_name
from segbench.data.export.shards import INDEX_SUFFIX, INDEX_TYPE, shard_name
from segbench.data.loading.source import Arrays
from segbench.data.shards.store import Store
from segbench.data.tiffs import tiff_values

INDICES = 256
"""Indices of shards that a process keeps: 8 bytes a sample."""
KINDS = {
    "mask.png": "mask",
    "depth.npy": "depth",
    **{f"background.{suffix}": "background" for suffix in ("png", "jpg", "tif")},
}
IMAGES = ("png", "jpg", "tif")
ROW = "json"


class Shards:
    """The shards of one split of an export.

    Args:
        store: Where they lie.
        split: The split.
        samples: Its samples.
        chunk: Samples in a shard; the last one may have fewer.
        block: Consecutive samples that are fetched together.
    """

    def __init__(self, store: Store, split: Split, *, samples: int, chunk: int, block: int) -> None:
        self.store = store
        self.split = split
        self.samples = samples
        self.chunk = chunk
        self.block = block
        self._indices: dict[int, np.ndarray] = {}

    def members(self, index: int) -> dict[str, bytes]:
        """Return the contents of a sample's members by what follows its name, such as `mask.png`.

        Raises:
            DataError: naming the shard where it is missing, shorter than its index says, or another one.
        """
        number, place = divmod(index, self.chunk)
        name = shard_name(self.split, number)
        try:
            offsets = self._offsets(number)
            first = place - place % self.block
            last = min(first + self.block, len(offsets) - 1)
            run = (int(offsets[first]), int(offsets[last]))
            content = self.store.part(name, start=int(offsets[place]), stop=int(offsets[place + 1]), run=run)
            return _members(content, sample_name(index))
        except (OSError, EOFError, ValueError, tarfile.TarError) as error:
            raise DataError(f"sample {index} of {self.split} cannot be read from {name}: {error}") from error

    def _offsets(self, number: int) -> np.ndarray:
        found = self._indices.pop(number, None)
        if found is None:
            found = self._read_offsets(number)
            if len(self._indices) >= INDICES:
                del self._indices[next(iter(self._indices))]  # the one that was not used for longest
        self._indices[number] = found
        return found

    def _read_offsets(self, number: int) -> np.ndarray:
        """Return the byte at which each sample of a shard begins, and the end of the last, int64 `[N+1]`."""
        name = shard_name(self.split, number)
        offsets = np.frombuffer(self.store.whole(name + INDEX_SUFFIX), INDEX_TYPE)
        wanted = min(self.chunk, self.samples - number * self.chunk)
        if len(offsets) != wanted + 1 or offsets[0] != 0 or not (np.diff(offsets) > 0).all():
            raise ValueError(f"its index is not one of {wanted} samples; export it again")
        if self.store.size(name) < offsets[-1]:
            raise EOFError(f"it ends before byte {offsets[-1]:,}, where its index ends; copy it again")
        return offsets


def _members(content: bytes, name: str) -> dict[str, bytes]:
    """Return the members of a run of bytes that is one sample's, by what follows its name."""
    members = {}
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
        for member in tar:
            found, _, kind = member.name.partition(".")
            if found != name:
                raise ValueError(f"it holds {member.name} where sample {name} should be; export it again")
            file = tar.extractfile(member)
            members[kind] = file.read() if file is not None else b""
    return members


def decode(members: dict[str, bytes]) -> Arrays:
    """Return the arrays of a sample.

    Image and background are uint8 or float32 `[H,W,C]`, the mask uint8 `[H,W]`, depth float32 `[H,W]`.

    Raises:
        OSError: for a picture that cannot be decoded; ValueError: for an array.
    """
    arrays = {}
    for kind, content in members.items():
        if kind in IMAGES:
            arrays["image"] = _decoded(kind, content)
        elif kind == "depth.npy":
            arrays["depth"] = np.load(io.BytesIO(content), allow_pickle=False)
        elif kind in KINDS:
            arrays[KINDS[kind]] = _decoded(kind, content)
    return arrays


def _decoded(kind: str, content: bytes) -> np.ndarray:
    if kind.endswith("tif"):
        return tiff_values(content)
    return _picture(content)


def _picture(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content), formats=("PNG", "JPEG")) as picture:
        return np.array(picture)  # of a palette picture its indices, which are the class ids


def row(members: dict[str, bytes]) -> dict[str, Any]:
    """Return a sample's row of the manifest."""
    found = json.loads(members[ROW])
    if isinstance(found, dict):
        return found
    return {}

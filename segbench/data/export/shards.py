"""The `webdataset` format: tar shards whose members share a sample's name, for streaming readers.

The layout is the WebDataset library's (https://github.com/webdataset/webdataset): members of a sample lie one after the
other, and what follows the first dot of a member's name is its kind. Beside each shard lies its index, so that any
sample is one run of bytes: `segbench.data.shards` reads it.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from segbench.core.choices import Split
from segbench.core.files import replacing, sync_folder, write_atomic
from segbench.data.export.manifest import Row
from segbench.data.export.options import Chunk

KINDS = {"image": "", "mask": ".mask", "depth": ".depth", "background": ".background"}
INDEX_SUFFIX = ".index"
"""Of the file beside a shard that says where its samples begin and end."""
INDEX_TYPE = np.dtype("<i8")


def shard_name(split: Split, number: int) -> str:
    """Return where a shard lies in its export."""
    return f"{split}/{split}-{number:06d}.tar"


class ShardWriter:
    """Writes the shard of one chunk: `<split>/<split>-000000.tar`, the same bytes for the same samples.

    Its index is `<shard>.index`: the byte at which each sample begins, and that at which the last one ends, as 64-bit
    whole numbers, the lowest byte first.

    Args:
        out: The folder of the export.
        staging: Where the shard grows until it is whole.
        chunk: The chunk to write.
        suffixes: File suffix of every kind.
    """

    def __init__(self, out: Path, staging: Path, *, chunk: Chunk, suffixes: Mapping[str, str]) -> None:
        self.suffixes = suffixes
        self.path = out / shard_name(chunk.split, chunk.number)
        self.staged = staging / self.path.name
        self._open = ExitStack()
        self._offsets: list[int] = []

    def __enter__(self) -> ShardWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._open.enter_context(replacing(self.staged))
        self._tar = self._open.enter_context(tarfile.open(fileobj=self._file, mode="w", format=tarfile.USTAR_FORMAT))
        return self

    def columns(self, name: str, kinds: Sequence[str]) -> dict[str, str]:
        """Return the manifest's columns on where a sample is: the shard, and the names of its members."""
        members = {f"{kind}_file": f"{name}{KINDS[kind]}{self.suffixes[kind]}" for kind in kinds}
        return {"shard": f"{self.path.parent.name}/{self.path.name}", **members}

    def add(self, name: str, files: Mapping[str, bytes], *, row: Row) -> None:
        """Append the members of a sample, and its row of the manifest as JSON."""
        self._offsets.append(self._file.tell())
        members = {str(row[f"{kind}_file"]): content for kind, content in files.items()}
        members[f"{name}.json"] = json.dumps(row, sort_keys=True).encode()
        for member, content in members.items():
            info = tarfile.TarInfo(member)  # its defaults are owner 0 and time 0
            info.size = len(content)
            self._tar.addfile(info, io.BytesIO(content))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._offsets.append(self._file.tell())
        self._open.__exit__(kind, error, trace)
        if kind is None:
            index = np.array(self._offsets, INDEX_TYPE).tobytes()
            write_atomic(self.path.with_name(self.path.name + INDEX_SUFFIX), index)
            self.staged.replace(self.path)
            sync_folder(self.path.parent)

"""The `webdataset` format: tar shards whose members share a sample's name, for streaming readers.

The layout is the WebDataset library's (https://github.com/webdataset/webdataset): members of a sample lie one after the
other, and what follows the first dot of a member's name is its kind.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from segbench.core.files import replacing, sync_folder
from segbench.data.export.options import Chunk

KINDS = {"image": "", "mask": ".mask", "depth": ".depth", "background": ".background"}


class ShardWriter:
    """Writes the shard of one chunk: `<split>/<split>-000000.tar`, the same bytes for the same samples.

    Args:
        out: The folder of the export.
        staging: Where the shard grows until it is whole.
        chunk: The chunk to write.
        suffixes: File suffix of every kind.
    """

    def __init__(self, out: Path, staging: Path, chunk: Chunk, suffixes: Mapping[str, str]) -> None:
        self.suffixes = suffixes
        self.path = out / chunk.split / f"{chunk.name}.tar"
        self.staged = staging / self.path.name
        self._open = ExitStack()

    def __enter__(self) -> ShardWriter:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = self._open.enter_context(replacing(self.staged))
        self._tar = self._open.enter_context(tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT))
        return self

    def columns(self, name: str, kinds: Sequence[str]) -> dict[str, str]:
        """Return the manifest's columns on where a sample is: the shard, and the names of its members."""
        members = {f"{kind}_file": f"{name}{KINDS[kind]}{self.suffixes[kind]}" for kind in kinds}
        return {"shard": f"{self.path.parent.name}/{self.path.name}", **members}

    def add(self, name: str, files: Mapping[str, bytes], row: Mapping[str, Any]) -> None:
        """Append the members of a sample, and its row of the manifest as JSON."""
        members = {row[f"{kind}_file"]: content for kind, content in files.items()}
        members[f"{name}.json"] = json.dumps(row, sort_keys=True).encode()
        for member, content in members.items():
            info = tarfile.TarInfo(member)  # its defaults are owner 0 and time 0
            info.size = len(content)
            self._tar.addfile(info, io.BytesIO(content))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)
        if kind is None:
            self.staged.replace(self.path)
            sync_folder(self.path.parent)

"""The `folder` format: `<split>/images`, `masks`, `depth` and `backgrounds`, one file a sample and kind."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from segbench.data.export.manifest import Row
from segbench.data.export.options import Chunk

FOLDERS = {"image": "images", "mask": "masks", "depth": "depth", "background": "backgrounds"}


class FolderWriter:
    """Writes the files of one chunk.

    They are written plainly: a chunk that was not finished is written anew as a whole.

    Args:
        out: The folder of the export.
        staging: Not used; a file that belongs to no finished chunk does no harm where it is.
        chunk: The chunk to write.
        suffixes: File suffix of every kind.
    """

    def __init__(self, out: Path, staging: Path, *, chunk: Chunk, suffixes: Mapping[str, str]) -> None:
        self.out = out
        self.split = chunk.split
        self.suffixes = suffixes

    def __enter__(self) -> FolderWriter:
        return self

    def columns(self, name: str, kinds: Sequence[str]) -> dict[str, str]:
        """Return the manifest's columns on where the files of a sample are, relative to the export."""
        return {f"{kind}_file": f"{self.split}/{FOLDERS[kind]}/{name}{self.suffixes[kind]}" for kind in kinds}

    def add(self, name: str, files: Mapping[str, bytes], *, row: Row) -> None:
        """Write the files of a sample; `row` says where."""
        for kind, content in files.items():
            path = self.out / str(row[f"{kind}_file"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            os.sync()  # one flush for thousands of files; a chunk is marked only when they are on the disk

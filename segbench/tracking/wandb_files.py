"""What W&B's offline files hold: records of its protocol in blocks, as LevelDB writes a log."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from segbench.core.reading import read_bytes

if TYPE_CHECKING:
    from wandb.proto.wandb_internal_pb2 import HistoryRecord, Record

MAX_BYTES = 4_000_000_000
START = 7
"""Bytes before the first block's first piece: what kind of file it is."""
BLOCK = 32768
HEADER = struct.Struct("<LHB")
"""Checksum, length and kind of a piece."""
WHOLE = 1
FIRST = 2
MIDDLE = 3
LAST = 4


def reached_in(files: list[Path], step_name: str) -> dict[str, int]:
    """Return the last step of each tag in the parts of a run.

    Args:
        files: A `.wandb` file of each part. What a kill has torn off their ends is left out.
        step_name: The tag whose value is the step of a row.

    Raises:
        UnreadableError: for a file that is a link, or no file.
    """
    found: dict[str, int] = {}
    for file in files:
        for record in _records(read_bytes(file, MAX_BYTES, follow_links=False)):
            if record.WhichOneof("record_type") == "history":
                step, tags = _row(record.history, step_name)
                found |= {tag: max(step, found.get(tag, -1)) for tag in tags}
    return found


def _row(history: HistoryRecord, step_name: str) -> tuple[int, set[str]]:
    """Return the step of a row, -1 for none, and its tags."""
    step = -1
    tags: set[str] = set()
    for item in history.item:
        name = item.nested_key[0] if item.nested_key else item.key
        if name == step_name:
            step = int(float(item.value_json))
        else:
            tags.add(name)
    return step, tags


def _records(content: bytes) -> Iterator[Record]:
    from google.protobuf.message import DecodeError
    from wandb.proto.wandb_internal_pb2 import Record

    for record in _joined(content):
        try:
            yield Record.FromString(record)
        except DecodeError:
            return


def _joined(content: bytes) -> Iterator[bytes]:
    """Yield the records, each put together of its pieces."""
    begun: list[bytes] = []
    for kind, piece in _pieces(content):
        if kind in (WHOLE, FIRST):
            begun = []
        begun.append(piece)
        if kind in (WHOLE, LAST):
            yield b"".join(begun)


def _pieces(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and content of each piece; the first that is not whole is the end."""
    position = START
    while position + HEADER.size <= len(content):
        left = BLOCK - position % BLOCK
        if left < HEADER.size:  # a block has no room for a header at its end
            position += left
            continue
        _, length, kind = HEADER.unpack_from(content, position)
        position += HEADER.size
        if kind not in (WHOLE, FIRST, MIDDLE, LAST) or position + length > len(content):
            return
        yield kind, content[position : position + length]
        position += length

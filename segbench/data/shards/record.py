"""What an export says about itself, read without trusting it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from segbench.core.errors import DataError
from segbench.core.plain import Json, Plain
from segbench.data.export.record import LAYOUT
from segbench.data.export.target import RECORD
from segbench.data.shards.store import Store

MAX_RECORD = 4_000_000
"""Bytes of a record that is read."""


@dataclass(frozen=True)
class ShardRecord:
    """The record of an export of shards."""

    classes: list[str]
    """Names of the classes."""

    values: Plain | None
    """What the values of its source were and what of them has become 0 and 1; None where it says nothing."""

    entries: tuple[str, ...]
    """The arrays of every sample."""

    samples: dict[str, int]
    """Samples of each split."""

    fingerprint: dict[str, str]
    """Digest of each split of the data set that was exported."""

    test_is_val: bool
    """Whether the data set that was exported took its test from val."""

    chunk: int
    """Samples in a shard."""

    export: Plain
    """How it was written."""

    @property
    def is_exact(self) -> bool:
        """Whether the samples are to the byte those of the data set, all of each split."""
        return self.export.get("image_format") == "png" and self.export.get("count") is None


def read_record(store: Store, root: str) -> ShardRecord:
    """Return the record of the export at a store.

    Args:
        store: Where it lies.
        root: What the user calls that place, for messages.

    Raises:
        DataError: if there is none, or not one of shards that this version reads.
    """
    advice = "give the folder that segbench data export --format webdataset wrote as a whole"
    try:
        size = store.size(RECORD)
        content = b""
        if size <= MAX_RECORD:
            content = store.whole(RECORD)
    except FileNotFoundError:
        raise DataError(f"data.root={root} holds no {RECORD}; {advice}") from None
    except OSError as error:
        raise DataError(f"data.root={root} cannot be read: {error.strerror or error}") from None
    except Exception as error:  # what an object storage's package raises is its own
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"data.root={root} cannot be read: {type(error).__name__}: {reason}") from None
    try:
        return _parsed(json.loads(content))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"data.root={root}: {RECORD} is not that of an export of shards ({error}); {advice}") from None


def _parsed(found: Json) -> ShardRecord:
    if found["segbench_export"] != LAYOUT:
        raise ValueError(f"its layout is number {found['segbench_export']}, this version reads number {LAYOUT}")
    export = found["export"]
    if export["format"] != "webdataset":
        raise ValueError(f"its format is {export['format']}, which data=folder reads")
    samples = {str(split): int(number) for split, number in found["samples"].items()}
    return ShardRecord(
        classes=[str(name) for name in found["classes"]],
        values=None if found["values"] is None else dict(found["values"]),
        entries=tuple(str(entry) for entry in found["entries"]),
        samples=samples,
        fingerprint={str(split): str(digest) for split, digest in found["fingerprint"].items()},
        test_is_val=found.get("test_is_val") is True,
        chunk=int(export["chunk"]),
        export=dict(export),
    )

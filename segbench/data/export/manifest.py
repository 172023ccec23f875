"""The manifest of an export: one row a sample, as Parquet, and what a row consists of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from segbench.core.errors import ConfigError
from segbench.core.files import replacing
from segbench.core.tasks import IGNORE_INDEX

Cell = None | bool | int | float | str
Row = dict[str, Cell]
"""What the manifest says of a sample, by column."""
UNIT = "unit_"
"""What the columns begin with that say which units a sample comes from."""


def require_parquet() -> None:
    """Raise a ConfigError where pyarrow, which writes Parquet, is not installed."""
    if find_spec("pyarrow") is None:
        raise ConfigError("the manifest of an export is Parquet, which needs pyarrow: pip install -e '.[export]'")


def pixel_counts(mask: np.ndarray) -> Row:
    """Return how many pixels of a mask are of a class above 0, and how many are ignored."""
    ignored = int(np.count_nonzero(mask == IGNORE_INDEX))
    return {"foreground_pixels": int(np.count_nonzero(mask)) - ignored, "ignored_pixels": ignored}


def file_facts(files: Mapping[str, bytes]) -> Row:
    """Return the bytes of a sample's files together, and the SHA-256 of the files of image and mask."""
    digests = {f"{kind}_sha256": hashlib.sha256(files[kind]).hexdigest() for kind in ("image", "mask")}
    return {"bytes": sum(map(len, files.values())), **digests}


def plan_columns(scene: object) -> Row:
    """Return the fields of a plan as `plan_<field>`; what is not a number or a word is written as JSON."""
    fields = {}
    if is_dataclass(scene) and not isinstance(scene, type):
        fields = asdict(scene)
    return {f"plan_{name}": _cell(value) for name, value in fields.items()}


def _cell(value: object) -> Cell:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return json.dumps(value, default=lambda item: item.tolist())


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows as Parquet, atomically."""
    import pyarrow
    import pyarrow.parquet

    with replacing(path) as file:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), file)


def join_parts(parts: Sequence[Path], path: Path) -> None:
    """Write the rows of all parts, in their order, as one Parquet file."""
    import pyarrow
    import pyarrow.parquet

    # a column of a plan may hold whole numbers in one chunk, and fractions or nothing in another
    table = pyarrow.concat_tables([pyarrow.parquet.read_table(part) for part in parts], promote_options="permissive")
    with replacing(path) as file:
        pyarrow.parquet.write_table(table.combine_chunks(), file)


def total_bytes(path: Path) -> int:
    """Return the bytes of all samples' files, by the manifest."""
    import pyarrow.parquet

    return int(np.sum(pyarrow.parquet.read_table(path, columns=["bytes"])["bytes"].to_numpy()))

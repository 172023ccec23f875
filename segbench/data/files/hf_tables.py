"""Tables of the package `datasets`: opened without asking another machine, or fetched, and what their cells name."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from segbench.core.choices import Split
from segbench.core.errors import DataError
from segbench.data.files.patterns import ALL_SPLIT_WORDS, split_of
from segbench.data.files.stamps import settled_stamps

WORD = re.compile(rf"(?:^|[^a-z])({'|'.join(ALL_SPLIT_WORDS)})(?:[^a-z]|$)", re.I)
"""A split's word in the name of a Parquet file."""

HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
"""How a set is called on huggingface.co."""


def opened(name: str, download: bool) -> Any:
    """Return a `Dataset`, or a dict of them by split.

    Raises:
        DataError: if the package is missing, or there is no such set and none may be fetched.
    """
    try:
        import datasets
    except ImportError:
        raise DataError(
            "data=huggingface needs the package datasets; try: pip install 'segbench[huggingface]'"
        ) from None
    path = Path(name).expanduser()
    with _offline(datasets, not download or path.exists()):
        if path.is_file():
            return _from_parquet(datasets, [path], split=Split.TRAIN)
        if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
            return datasets.load_from_disk(str(path))
        if path.is_dir():
            return _of_parquet(datasets, path)
        try:
            if not HUB_NAME.fullmatch(name):
                raise ValueError("an address, or a path that is not there")
            return datasets.load_dataset(name)
        except Exception as error:  # whatever the network, the hub or its files raise
            if download:
                raise DataError(f"data.name={name} cannot be fetched: {first_line(error)}") from None
            raise DataError(
                f"data.name={name} is no file or folder here, and no set that was fetched before; data.download=true"
                " fetches one of that name from huggingface.co"
            ) from None


def _of_parquet(datasets: Any, folder: Path) -> Any:
    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise DataError(f"data.name={folder} holds no Parquet files and is no folder of save_to_disk")
    parts: dict[str, list[Path]] = {}
    for path in files:
        word = WORD.search(path.stem) or WORD.search(path.parent.relative_to(folder).as_posix())
        parts.setdefault(split_of(word[1]) if word else "", []).append(path)
    tables = {split: _from_parquet(datasets, paths, split=split or Split.TRAIN) for split, paths in parts.items()}
    if "" in tables and len(tables) > 1:
        raise DataError(f"data.name={folder}: {parts[''][0].name} has no split in its name, as others have")
    return tables.get("", tables)


def _from_parquet(datasets: Any, paths: Sequence[Path], *, split: str) -> Any:
    """Return a table of Parquet files, unpacked into a folder of the package's cache that is theirs as they are now.

    The package itself would take what it has unpacked before for any file of the same path and time of change.
    """
    names = [str(path.absolute()) for path in paths]
    stamps = json.dumps([[name, *stamp] for name, stamp in zip(names, settled_stamps(paths), strict=True)])
    key = hashlib.blake2b(stamps.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    folder = Path(datasets.config.HF_DATASETS_CACHE) / "segbench" / key
    try:
        return datasets.Dataset.from_parquet([str(path) for path in paths], split=split, cache_dir=str(folder))
    except datasets.exceptions.DatasetsError as error:  # which are of no other kind
        raise ValueError(f"its Parquet cannot be read: {first_line(error.__cause__ or error)}") from None


@contextmanager
def _offline(datasets: Any, is_wanted: bool) -> Iterator[None]:
    """Within it, the package asks no other machine."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    if is_wanted:
        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before


def files_of(table: Any) -> list[Path]:
    """Return the files that a table is mapped from."""
    return [Path(file["filename"]) for file in table.cache_files]


def has_files(cells: Any, column: str) -> bool:
    """Whether any row names a file instead of holding its content."""
    found = cells.with_format("arrow")[:][column]
    kind = found.type
    fields = [kind.field(number).name for number in range(kind.num_fields)]
    if "path" not in fields:
        return False
    import pyarrow.compute as pc

    return "bytes" not in fields or bool(pc.struct_field(found, "bytes").null_count)


def path_of(cell: object) -> Path | None:
    """Return the file that a cell names; None where it holds the content, or names none on this machine."""
    if not isinstance(cell, Mapping) or cell.get("bytes") is not None:
        return None
    path = cell.get("path")
    if path and "://" not in path:
        return Path(path)
    return None


def names_of(table: Any, column: str) -> list[str]:
    """Return what each image is called: its name in the set where all have different ones, else its row's number."""
    found = table.select_columns(column).with_format("arrow")[:][column]
    kind = found.type
    numbers = [f"{row:07d}" for row in range(len(table))]
    fields = []
    if hasattr(kind, "num_fields"):
        fields = [kind.field(number).name for number in range(kind.num_fields)]
    if "path" not in fields:
        return numbers
    import pyarrow.compute as pc

    names = [Path(name or "").name for name in pc.struct_field(found, "path").to_pylist()]
    if all(names) and len(set(names)) == len(names):
        return names
    return numbers


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its name where it says nothing."""
    return f"{error}".strip().split("\n")[0][:300] or type(error).__name__

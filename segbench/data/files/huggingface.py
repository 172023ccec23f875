"""huggingface: a set of the package `datasets` with a column of images and one of masks, on this machine or fetched."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from segbench.core.choices import SPLITS, Split
from segbench.core.errors import ConfigError, DataError, nearest
from segbench.data.files.dataset import FileData
from segbench.data.files.groups import UNIT, Division
from segbench.data.files.histograms import check_binary, check_black_and_white, rare_classes
from segbench.data.files.items import Item, Splits
from segbench.data.files.masks import MODES, MaskReader
from segbench.data.files.pairs import read_image
from segbench.data.files.patterns import SPLIT_WORDS, split_of
from segbench.data.problems import FileError, Problems
from segbench.data.rasters import Raster

WORD = re.compile(
    rf"(?:^|[^a-z])({'|'.join(word for words in SPLIT_WORDS.values() for word in words)})(?:[^a-z]|$)", re.I
)
"""A split's word in the name of a Parquet file."""

HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
"""How a set is called on huggingface.co."""

TAKEN_APART = (OSError, ValueError, KeyError, TypeError, NotImplementedError)
"""What the package raises for files that are not what they should be."""

Tables = dict[str, Any]
"""A `datasets.Dataset` for each split of ours; "" where the set has none."""


class HuggingFace(FileData):
    """Rows of a `datasets` set: their images and masks are read where they lie, as files are.

    Args:
        name: A Parquet file, a folder of them, a folder of `save_to_disk`; or, with `download`, a set's name on
            huggingface.co, such as `owner/set`.
        image: The column of images.
        mask: The column of masks, images as well.
        download: Whether a set of that name may be fetched. Otherwise no other machine is ever asked; a set that has
            been fetched before is found.
        splits: Which split of the set is which of ours, such as `{train: train, test: validation}`; None for the usual
            words.
        masks: Kind of the masks: `auto`, `index`, `palette`, `rgb` or `binary` (see `MaskReader`).
        labels: What ids, colours or names mean (see `label_map`); None for ids that are the classes' places.
        ignore: Ids (or, for rgb, names) that are unlabelled and become 255.
        class_dict: CSV file of colours, name,r,g,b; for rgb.
        threshold: Smallest foreground value for binary masks; None for 1.
        val_share: Share of the rows for val, where the set has none.
        test_share: Likewise for test.
        group: Which rows belong together: a column, or what `Folder` takes, of the names of images.
        folds: Number of folds; None for none.
        fold: Which of them is the test.
        **common: As for all file sets: `FileData`.
    """

    def __init__(
        self,
        name: str | None = None,
        image: str = "image",
        *,
        mask: str = "label",
        download: bool = False,
        splits: Mapping[str, str] | None = None,
        masks: str = "auto",
        labels: Mapping[object, object] | None = None,
        ignore: Sequence[int | str] = (),
        class_dict: str | None = None,
        threshold: int | None = None,
        val_share: float = 0.15,
        test_share: float = 0.15,
        group: str | None = None,
        folds: int | None = None,
        fold: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if masks not in MODES:
            raise ConfigError(f"data.masks={masks} is no kind of mask{nearest(masks, MODES)}")
        self.name, self.columns, self.download = name, (image, mask), download
        self.splits = None if splits is None else dict(splits)
        self.column = group if group and re.fullmatch(r"\w+", group) else None
        self.division = Division(self.seed, val_share, test_share, None if self.column else group, folds, fold)
        colours = Path(class_dict) if class_dict else None
        self.reader = MaskReader(
            masks, self.classes, ignore=ignore, class_dict=colours, threshold=threshold, labels=labels
        )
        self.tables: Tables = {}
        self.cells: dict[tuple[str, str], Any] = {}

    def place(self) -> str:
        """Return where the data is, for messages; raises a ConfigError if `data.name` is not set."""
        if self.name is None:
            raise ConfigError("data.name is not set; give data.name=PATH, a Parquet file or a folder of datasets")
        return f"data.name={self.name}"

    def find(self, problems: Problems) -> Splits:
        """Return the rows of each split."""
        self.reader.prepare()
        place = self.place()
        assert self.name is not None
        try:
            found = self._by_split(opened(self.name, self.download))
        except TAKEN_APART as error:
            raise DataError(f"{place}: {_first_line(error)}") from None
        self.tables = {split: self._checked(table) for split, table in found.items()}
        self.cells = {(s, c): table.select_columns(c) for s, table in self.tables.items() for c in self.columns}
        given = {split: self._items(split, table) for split, table in self.tables.items()}
        divided, notes = self.division.divide(given, Path(self.name), problems=problems)
        self.notes += notes
        return divided

    def _by_split(self, found: Any) -> Tables:
        if not isinstance(found, dict):
            return {"": found}
        words = {word for words in SPLIT_WORDS.values() for word in words}
        wanted = self.splits or {split_of(name): name for name in found if name.lower() in words}
        missing = [name for name in wanted.values() if name not in found]
        if missing or not set(wanted) <= set(SPLITS) or Split.TRAIN not in wanted:
            raise ValueError(
                f"its splits are {', '.join(found)}; give data.splits={{train:NAME,val:NAME,test:NAME}}, of which val"
                " and test may be missing"
            )
        return {split: found[name] for split, name in wanted.items()}

    def _checked(self, table: Any) -> Any:
        """Return the table with images and masks as they are stored; a ValueError names columns that are not there."""
        from datasets import Image, Value

        for setting, column in zip(("image", "mask"), self.columns, strict=True):
            kind = table.features.get(column)
            if kind is None:
                raise DataError(
                    f"{self.place()}: there is no column data.{setting}={column}{nearest(column, table.column_names)}"
                )
            if kind in (Value("binary"), Value("large_binary")):
                continue
            try:
                if isinstance(kind, Value):
                    raise TypeError("a column of plain values")
                table = table.cast_column(column, Image(decode=False))
            except TAKEN_APART:
                raise DataError(
                    f"{self.place()}: the column data.{setting}={column} holds {kind!s:.80}, no images; save it as a"
                    " datasets.Image, masks as PNG of ids"
                ) from None
        if self.column is not None and self.column not in table.column_names:
            raise DataError(f"{self.place()}: there is no column data.group={self.column}")
        return table

    def _items(self, split: str, table: Any) -> list[Item]:
        groups = table[self.column] if self.column is not None else None
        names = _names(table, self.columns[0])
        items = []
        for row, name in enumerate(names):
            units = {UNIT: str(groups[row])} if groups is not None else {}
            place = Path(self.name or "", split, name)
            items.append(Item(f"{split}/{row:07d}", place, (split, row), units))
        return items

    def _content(self, item: Item, column: str) -> bytes:
        split, row = item.label
        cell = self.cells[split, column][row][column]
        if isinstance(cell, bytes):
            return cell
        if cell and cell.get("bytes") is not None:
            content: bytes = cell["bytes"]
            return content
        path = cell.get("path") if cell else None
        if not path or "://" in path:
            raise FileError("the row has no {}", detail=column)
        return Path(path).read_bytes()

    def image_bytes(self, item: Item) -> bytes:
        """Return the content of the image."""
        return self._content(item, self.columns[0])

    def label_bytes(self, item: Item) -> bytes:
        """Return the content of the mask."""
        return self._content(item, self.columns[1])

    def read(self, item: Item) -> tuple[Raster, np.ndarray]:
        """Return the picture and the class ids of its mask."""
        try:
            content = self.label_bytes(item)
            mask = self.reader.read(content)
            return read_image(self.image_bytes(item), mask.shape, mask_file=content), mask
        except FileError as error:
            error.file = None  # it has no place of its own
            raise
        except OSError as error:
            raise FileError("the row's file cannot be read: {}", detail=error.strerror or str(error)) from None

    def files_of(self, item: Item) -> list[Path]:
        """Return the file of the row's table, which the package maps into memory."""
        return self._files(item.label[0])[:1]

    def shared_files(self) -> list[Path]:
        """Return the files of all tables."""
        return [path for split in self.tables for path in self._files(split)]

    def _files(self, split: str) -> list[Path]:
        return [Path(file["filename"]) for file in self.tables[split].cache_files]

    def image_name(self, split: Split, index: int) -> str:
        """Return the split of the set and the name of the image in it."""
        item = self.items[split][index]
        return "/".join(part for part in (item.label[0], item.image.name) if part)

    def locate_sample(self, split: Split, index: int) -> str:
        """Return the set and the number of the row."""
        source, row = self.items[split][index].label
        return f"row {row} of {source or 'the rows'} in {self.name}"

    def units(self, split: Split, index: int) -> dict[str, str]:
        """Return the group of a row, where there are groups."""
        return dict(self.items[split][index].units)

    def check_ids(self, problems: Problems) -> None:
        """Note masks that look as if their values meant something else."""
        if self.reader.mode == "binary":
            check_binary(self.index.table, self.reader.threshold, problems=problems)
        elif self.reader.has_plain_ids:
            check_black_and_white(self.index.table, problems)
        self.notes += rare_classes(self.index.table, self.index.names.texts(), classes=self.classes)

    def settings(self) -> dict[str, Any]:
        """Return how masks are read."""
        return self.reader.settings()


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
            return datasets.Dataset.from_parquet(str(path))
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
                raise DataError(f"data.name={name} cannot be fetched: {_first_line(error)}") from None
            raise DataError(
                f"data.name={name} is no file or folder here, and no set that was fetched before; data.download=true"
                " fetches one of that name from huggingface.co"
            ) from None


def _of_parquet(datasets: Any, folder: Path) -> Any:
    files = sorted(folder.rglob("*.parquet"))
    if not files:
        raise DataError(f"data.name={folder} holds no Parquet files and is no folder of save_to_disk")
    parts: dict[str, list[str]] = {}
    for path in files:
        word = WORD.search(path.stem) or WORD.search(path.parent.relative_to(folder).as_posix())
        parts.setdefault(split_of(word[1]) if word else "", []).append(str(path))
    tables = {split: datasets.Dataset.from_parquet(paths) for split, paths in parts.items()}
    if "" in tables and len(tables) > 1:
        raise DataError(f"data.name={folder}: {Path(parts[''][0]).name} has no split in its name, as others have")
    return tables.get("", tables)


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


def _names(table: Any, column: str) -> list[str]:
    """Return what each image is called: its name in the set where all have different ones, else its row's number."""
    found = table.select_columns(column).with_format("arrow")[:][column]
    kind = found.type
    numbers = [f"{row:07d}" for row in range(len(table))]
    fields = [kind.field(number).name for number in range(kind.num_fields)] if hasattr(kind, "num_fields") else []
    if "path" not in fields:
        return numbers
    import pyarrow.compute as pc

    names = [Path(name or "").name for name in pc.struct_field(found, "path").to_pylist()]
    return names if all(names) and len(set(names)) == len(names) else numbers


def _first_line(error: BaseException) -> str:
    return f"{error}".strip().split("\n")[0][:300] or type(error).__name__

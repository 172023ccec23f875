"""Data sets of stored pictures: which bands are read, how many are used, and what stands for a missing test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from segbench.core.choices import Split, check_word
from segbench.core.errors import ConfigError, DataError
from segbench.data.channels import Channels
from segbench.data.loading.viewed import ViewedData

MISSING_TEST = ("refuse", "val")


class StoredData(ViewedData):
    """Pictures that lie in files or shards, in splits that may be used in part.

    Args:
        bands: Numbers of the stored bands that are the image's channels, from 0; None for red, green and blue.
        display: The one or three of them that panels show; None for the first three.
        missing_test: Where there is no test split: `refuse`, or `val` to report the scores of val as the test's.
        train_size: Pictures of the training split to use, chosen by `seed`; None for all.
        val_size: Likewise for val.
        test_size: Likewise for test.
        **common: As for all pictures of any size: `ViewedData`.
    """

    def __init__(
        self,
        *,
        bands: Sequence[int] | None = None,
        display: Sequence[int] | None = None,
        missing_test: str = "refuse",
        train_size: int | None = None,
        val_size: int | None = None,
        test_size: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__(channels=Channels.of(bands, display), **common)
        check_word("data.missing_test", missing_test, valid=MISSING_TEST)
        self.missing_test = missing_test
        self.limits = {Split.TRAIN: train_size, Split.VAL: val_size, Split.TEST: test_size}
        for split, limit in self.limits.items():
            if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
                raise ConfigError(f"data.{split}_size must be null or a whole number of at least 1, got {limit!r}")

    def use_val_as_test(self, place: str) -> None:
        """Report val as the missing test; a DataError with the place of the data unless `missing_test` asks for it."""
        if self.missing_test == "refuse":
            raise DataError(
                f"{place}: there is no test split; give data.missing_test=val to report the scores of val instead"
            )
        self.test_is_val = True

    def describe(self, split: Split) -> str:
        """Return how many pictures a split has, and whether the test is val."""
        note = ""
        if split == Split.TEST and self.test_is_val:
            note = " of val (the data has no test split)"
        return f"{self.num_samples(split):,} pictures{note}"

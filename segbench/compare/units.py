"""Which units the images of a split come from: what would be drawn anew if the data were collected again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

MIN_UNITS = 5
"""Fewer units of a factor carry no interval about other units."""

_NUMBERS = ("no", "one", "two", "three", "four")


class Scope(StrEnum):
    """What an interval speaks of."""

    UNITS = "units"
    """Other units of the kinds that were drawn: other foregrounds, other patients."""
    IMAGES = "images"
    """Other images, taken as independent as no units are known."""
    WITHIN = "within"
    """Other images of the same few units: a lower bound of what other units would do."""
    NETWORKS = "none"
    """Nothing beyond these images: there is no table of images."""


@dataclass(frozen=True, eq=False)
class Factor:
    """One kind of unit, such as the foreground of a scene."""

    name: str
    """In the singular, as in the table's column `unit/<name>`."""
    levels: np.ndarray
    """The unit of each image: int `[N]`, 0 to count - 1."""

    @property
    def count(self) -> int:
        """How many units there are."""
        return int(self.levels.max()) + 1

    @property
    def plural(self) -> str:
        """Such as `recordings`."""
        return plural(self.name)

    @property
    def words(self) -> str:
        """Such as `24 foregrounds` or `one recording`."""
        number = _NUMBERS[self.count] if self.count < len(_NUMBERS) else str(self.count)
        return f"{number} {self.name if self.count == 1 else self.plural}"


@dataclass(frozen=True, eq=False)
class Design:
    """The units of a split, as far as its tables name them."""

    images: int
    """N, the number of images."""
    factors: tuple[Factor, ...]
    """Kinds with enough units to speak of others; crossed where there are several."""
    few: tuple[Factor, ...]
    """Kinds with fewer than MIN_UNITS."""

    @classmethod
    def of(cls, images: int, labels: Mapping[str, Sequence[str]]) -> Design:
        """Return the design of a table's unit columns: name of the factor to the unit of each image."""
        factors = [Factor(name, np.unique(list(units), return_inverse=True)[1]) for name, units in labels.items()]
        enough = tuple(factor for factor in factors if factor.count >= MIN_UNITS)
        return cls(images, enough, tuple(factor for factor in factors if factor.count < MIN_UNITS))

    @property
    def scope(self) -> Scope:
        """What intervals of this split speak of."""
        if self.factors:
            return Scope.UNITS
        if self.few:
            return Scope.WITHIN
        return Scope.IMAGES

    @property
    def words(self) -> str:
        """What was resampled: `24 foregrounds x 13 backgrounds`, `400 images taken as independent`."""
        if self.factors:
            return " x ".join(factor.words for factor in self.factors)
        if self.few:
            return f"{self.images} images within {' x '.join(factor.words for factor in self.few)}"
        return f"{self.images} images taken as independent"

    @property
    def silence(self) -> str:
        """What nothing can be said about, "" where there is no such thing."""
        parts = [f"{factor.words}: nothing can be said about other {factor.plural}" for factor in self.few]
        return "; ".join(parts)


def plural(name: str) -> str:
    """Return the plural of a unit's name, well enough for English nouns."""
    if name.endswith("y") and name[-2:-1] not in "aeiou":
        return f"{name[:-1]}ies"
    if name.endswith(("s", "x", "ch", "sh")):
        return f"{name}es"
    return f"{name}s"

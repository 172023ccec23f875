"""The `evaluate` settings: how a network looks at pictures, at which size masks are scored, and what is scored when."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from segbench.config.values import Like, Range
from segbench.core.errors import ConfigError, similar
from segbench.core.score_names import AT_INPUT

LEAST_TILE = 32
"""Pixels of the smallest tile."""
USUAL_TILE = 1024
"""Pixels of a tile where `evaluate.tile` says nothing."""
MIRRORINGS = ("hflip", "vflip")
SCALES = (0.25, 4.0)
"""Least and greatest scale of a further look."""


class ScoreAt(StrEnum):
    """The size that masks are scored at."""

    OWN = "own"
    """That of the picture's own mask; what the network says is brought to it."""
    INPUT = "input"
    """That at which the network sees the picture, with the mask brought to it: names of scores end in `_at_input`."""

    @property
    def suffix(self) -> str:
        """What names of scores end in."""
        if self is ScoreAt.OWN:
            return ""
        return AT_INPUT


class Boundary(StrEnum):
    """When boundary scores are computed, which cost several times as much as all others."""

    EPOCHS = "epochs"
    """In every validation, and at the end."""
    END = "end"
    """At the end of a training, and in `evaluate`."""
    NEVER = "never"


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """How a network looks at pictures, at which size masks are scored, and what is scored when.

    Raises:
        ConfigError: for a further look that there is none of.
    """

    score_at: ScoreAt
    """Size that masks are scored at: `own`, the pictures' own; `input`, as the network sees them (`..._at_input`)."""

    boundary: Boundary
    """When boundary scores are computed, which take long: `end` is at the end of a training, and in `evaluate`."""

    tile: Annotated[int, Range(least=LEAST_TILE)] | None
    """Sides of the tiles in which data.view=crop sees a larger picture; null: 1024, or the crop's longer side."""

    overlap: Annotated[float, Range(least=0, most=0.5)]
    """Least share of a tile that it has in common with the next."""

    tta: Annotated[tuple[str | float, ...], Like("[hflip,0.75,1.5]")] | str | float | None
    """Further looks whose probabilities are averaged: hflip, vflip or scales from 0.25 to 4; null: none."""

    def __post_init__(self) -> None:
        _ = self.looks

    @property
    def looks(self) -> tuple[str | float, ...]:
        """Further looks at a picture, each once: mirrorings, and scales."""
        return _looks(self.tta)

    def tile_for(self, crop: tuple[int, int]) -> int:
        """Return the sides of a tile; where no setting says it, it is no smaller than the run's crops."""
        return self.tile or max(USUAL_TILE, *crop)


def _looks(value: tuple[str | float, ...] | str | float | None) -> tuple[str | float, ...]:
    words: tuple[str | float, ...] = ()
    if isinstance(value, tuple):
        words = value
    elif value is not None:
        words = (value,)
    for word in words:
        is_scale = isinstance(word, int | float) and not isinstance(word, bool) and SCALES[0] <= word <= SCALES[1]
        if word not in MIRRORINGS and not is_scale:
            raise ConfigError(
                f"evaluate.tta must be null, or some of {', '.join(MIRRORINGS)} and scales from {SCALES[0]:g} to"
                f" {SCALES[1]:g}, such as [hflip,0.75,1.5], got {word}{_meant(word)}"
            )
    return tuple(dict.fromkeys(words))


def _meant(word: object) -> str:
    if not isinstance(word, str):
        return ""
    return similar(word, MIRRORINGS)

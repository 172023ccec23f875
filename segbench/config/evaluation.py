"""The `evaluate` settings: how a network looks at pictures, at which size masks are scored, and what is scored when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from segbench.core.choices import one_of
from segbench.core.errors import ConfigError, nearest

LEAST_TILE = 32
"""Pixels of the smallest tile."""
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
        return "" if self is ScoreAt.OWN else "_at_input"


class Boundary(StrEnum):
    """When boundary scores are computed, which cost several times as much as all others."""

    EPOCHS = "epochs"
    """In every validation, and at the end."""
    END = "end"
    """At the end of a training, and in `evaluate`."""
    NEVER = "never"


@dataclass(frozen=True)
class EvaluationSettings:
    """What `evaluate` in `conf/train.yaml` holds; each setting is explained there."""

    score_at: ScoreAt = ScoreAt.OWN
    """At which size masks are scored."""

    boundary: Boundary = Boundary.END
    """When boundary scores are computed."""

    tile: int | None = None
    """Height and width in pixels of the pieces that a large picture is seen in; None for what suits the crops."""

    overlap: float = 0.25
    """Least share of a tile that it has in common with the next."""

    tta: tuple[str | float, ...] = ()
    """Further looks at a picture: mirrorings, and scales."""

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> EvaluationSettings:
        """Return the settings of a configuration; raises a ConfigError for a word that they do not have."""
        node = config["evaluate"]
        return cls(
            one_of(ScoreAt, node["score_at"], "evaluate.score_at"),
            one_of(Boundary, node["boundary"], "evaluate.boundary"),
            _tile(node["tile"]),
            _overlap(node["overlap"]),
            _looks(node["tta"]),
        )


def _tile(value: object) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < LEAST_TILE):
        raise ConfigError(f"evaluate.tile must be null or a whole number of at least {LEAST_TILE} pixels, got {value}")
    return value


def _overlap(value: float) -> float:
    if not 0 <= value <= 0.5:
        raise ConfigError(f"evaluate.overlap must be a share of a tile from 0 to 0.5, got {value}")
    return value


def _looks(value: object) -> tuple[str | float, ...]:
    given = [] if value is None else value
    words = tuple(given) if isinstance(given, list) else (given,)
    for word in words:
        is_scale = isinstance(word, int | float) and not isinstance(word, bool) and SCALES[0] <= word <= SCALES[1]
        if word not in MIRRORINGS and not is_scale:
            raise ConfigError(
                f"evaluate.tta must be null, or some of {', '.join(MIRRORINGS)} and scales from {SCALES[0]:g} to"
                f" {SCALES[1]:g}, such as [hflip,0.75,1.5], got {word}{_meant(word)}"
            )
    return tuple(dict.fromkeys(words))


def _meant(word: object) -> str:
    hint = nearest(word, MIRRORINGS) if isinstance(word, str) else ""
    return hint if "did you mean" in hint else ""

"""The `evaluate` settings: at which size masks are scored, and what is scored when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from segbench.core.choices import one_of


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

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> EvaluationSettings:
        """Return the settings of a configuration; raises a ConfigError for a word that they do not have."""
        node = config["evaluate"]
        return cls(
            one_of(ScoreAt, node["score_at"], "evaluate.score_at"),
            one_of(Boundary, node["boundary"], "evaluate.boundary"),
        )

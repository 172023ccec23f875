"""What a file of an exported network says of itself, so that it needs no run folder. No torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from segbench.config.evaluation import Boundary, EvaluationSettings, ScoreAt
from segbench.core.choices import Fit
from segbench.core.errors import ConfigError
from segbench.core.plain import Json, Plain
from segbench.data.channels import Channels
from segbench.data.given import Given
from segbench.data.loading.views import EvaluationView
from segbench.data.values import Values
from segbench.export.steps import Step

KEY = "segbench"
"""The entry of a file's metadata that holds the description, as JSON."""

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a file holds and what it wants."""

    version: int = VERSION
    """Of this description."""
    runs: Sequence[str]
    """The runs whose predictions it gives; of several, their mean."""
    classes: Sequence[str]
    """Names of the classes; a class's id is its place."""
    inputs: Sequence[str]
    """Names of the pictures that it takes: `image`, or `image` and `background`."""
    heads: Sequence[str]
    """Names of what it gives: `mask`, `depth`."""
    steps: Sequence[str]
    """What it does beside the network, see `Step`."""
    size: Sequence[int]
    """Height and width that the network was trained at."""
    fit: str
    """How pictures come to that size, see `Fit`."""
    own_scale: bool
    """Whether it sees pictures at their own size instead."""
    bands: Sequence[int] | None
    """Numbers of the bands of a file that it takes; None: red, green and blue."""
    channels: int
    """Their number."""
    values: Plain | None
    """What the values of the files are, see `Values.record`; None: 8 bit."""
    mean: Sequence[float]
    """Mean of each channel in 0..1, which is subtracted."""
    std: Sequence[float]
    """Standard deviation likewise, by which it is then divided."""
    tile: int | None
    """`evaluate.tile` of the run."""
    overlap: float
    """`evaluate.overlap` of the run."""
    looks: Sequence[str | float]
    """`evaluate.tta` of the run."""

    def has(self, step: Step) -> bool:
        """Whether the file makes a step."""
        return step in self.steps

    @property
    def view(self) -> EvaluationView:
        """What the network sees of a picture."""
        return EvaluationView((self.size[0], self.size[1]), Fit(self.fit), self.own_scale)

    @property
    def given(self) -> Given:
        """What the network is given of a file."""
        values = None if self.values is None else Values.of_record(self.values)
        bands = None if self.bands is None else tuple(self.bands)
        return Given(Channels(bands, levels=None if values is None else values.levels), values)

    @property
    def settings(self) -> EvaluationSettings:
        """How the network looks at pictures."""
        return EvaluationSettings(
            score_at=ScoreAt.OWN,
            boundary=Boundary.NEVER,
            tile=self.tile,
            overlap=self.overlap,
            tta=tuple(self.looks) or None,
        )

    def as_text(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def of_text(cls, text: str | None, where: str) -> Description:
        """Return what `as_text` gave; raises a ConfigError for anything else, naming the file."""
        try:
            record: Json = json.loads(text or "")
            if record["version"] != VERSION:
                raise ConfigError(
                    f"{where} was exported by another segbench (version {record['version']} of its description, not"
                    f" {VERSION}); export it again"
                )
            found = cls(**record)
            _ = (found.view, found.given, found.settings)
        except (KeyError, TypeError, ValueError):
            raise ConfigError(
                f"{where} was not written by segbench export, so it does not say what it wants; give one that was"
            ) from None
        return found

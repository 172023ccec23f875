"""The base of every generated data set: a plan for each scene by its number, rendered as it is asked for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

from segbench.core.choices import Split
from segbench.data.loading.datamodule import SegmentationData

Plan_co = TypeVar("Plan_co", covariant=True)


class ScenePlanner(Protocol[Plan_co]):
    """Plans the scenes of one split."""

    def scene(self, epoch: int, index: int) -> Plan_co:
        """Return the plan of a scene."""


class PlannedData(SegmentationData, Generic[Plan_co]):
    """Scenes that are planned by number and rendered.

    Args:
        train_size: Scenes in an epoch of training.
        val_size: Scenes for validation.
        test_size: Scenes for the test.
        fresh: New training scenes in every epoch; otherwise every epoch shows the same ones.
        **common: As for every data set: `SegmentationData`.
    """

    planners: Mapping[Split, ScenePlanner[Plan_co]]

    def __init__(
        self,
        *,
        train_size: int = 1280,
        val_size: int = 200,
        test_size: int = 400,
        fresh: bool = True,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.sizes = {Split.TRAIN: train_size, Split.VAL: val_size, Split.TEST: test_size}
        self.fresh = fresh
        self.planners = {}

    def num_samples(self, split: Split) -> int:
        """Return the number of scenes of a split."""
        return self.sizes[split]

    def scene(self, split: Split, *, epoch: int, index: int) -> Plan_co:
        """Return the plan of a scene."""
        if not self.fresh or split != Split.TRAIN:
            epoch = 0
        return self.planners[split].scene(epoch, index)

    def digest(self, split: Split, settings: Mapping[str, object]) -> str:
        """Return a digest of what decides the scenes of a split: what all generated sets have, and `settings`."""
        decisive = {
            "seed": self.seed,
            "split": split,
            "size": self.sizes[split],
            "fresh": self.fresh,
            "classes": self.classes,
            **settings,
        }
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]

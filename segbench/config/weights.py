"""The `weights` settings: where pretrained weights are looked up. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from segbench.config.values import Like


@dataclass(frozen=True, kw_only=True)
class WeightsSettings:
    """Where the weights that `model.weights` names are looked up."""

    dirs: Annotated[tuple[str, ...], Like("[/data/weights]")]
    """Folders that are looked into before torch's and Hugging Face's caches."""
    download: bool
    """Whether weights that are nowhere on this machine are fetched from the server they are published on."""

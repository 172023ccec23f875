"""How a network looks at pictures, by its settings: at any size, several times, piece by piece."""

from __future__ import annotations

from segbench.config.evaluation import EvaluationSettings
from segbench.data.loading.views import EvaluationView
from segbench.inference.forward import Network
from segbench.inference.padded import padded
from segbench.inference.tiles import Tiling, tiled
from segbench.inference.tta import averaged, looks_of


def looking(network: Network, view: EvaluationView, *, settings: EvaluationSettings, foreign: bool) -> Network:
    """Return a network that is shown what a view shows, as the settings say.

    Args:
        network: Maps a batch of one size to its heads.
        view: What it sees of whole pictures. Large ones that it sees at their own scale are cut into tiles.
        settings: With tiles and further looks.
        foreign: Whether it is of another library, and may take multiples of its stride alone.
    """
    if foreign:
        network = padded(network, view.size)
    network = averaged(network, looks_of(settings.looks))
    if not view.own_scale:
        return network
    return tiled(network, Tiling.of(settings, view.size))

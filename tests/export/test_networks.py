"""Every shipped network as ONNX says what it says itself, at any size and for any number of pictures at once."""

import numpy as np
import pytest
import torch

from segbench.core.errors import ConfigError
from segbench.models.base import Network
from tests.models.test_models import CHANNELS, MODELS, make, need_packages
from tests.support.exported import session_of

pytest.importorskip("onnx", reason="an extra: pip install -e '.[export]'")
pytest.importorskip("onnxruntime", reason="an extra: pip install -e '.[export]'")

HEADS = {"mask": 3, "depth": 1}
SIZES = [(1, 32, 32), (3, 100, 100), (3, 33, 47), (1, 131, 190), (1, 5, 40)]
"""Pictures at once, height and width: multiples of no stride, of some, and smaller than most."""
MORE = {
    "smp-upernet": ("smp", {"arch": "upernet"}),
    "smp-pspnet": ("smp", {"arch": "pspnet"}),
    "dinov3-dpt": ("dinov3", {"arch": "dpt"}),
    "dinov3-upernet": ("dinov3", {"arch": "upernet"}),
    "gcn-positions": ("gcn", {"positions": True}),
    "gcn-sparse": ("gcn", {"implementation": "sparse"}),
    "unet-transposed": ("unet", {"transposed": True}),
}


@pytest.mark.parametrize("name", [*MODELS, *MORE])
def test_an_exported_network_says_what_the_network_says(name, tmp_path):
    model, settings = MORE.get(name, (name, {}))
    need_packages(model)
    torch.manual_seed(0)
    network = make(model, 3, HEADS, **settings).eval()
    channels = CHANNELS.get(model, 3)
    session = session_of(network, tmp_path / "model.onnx", in_channels=channels, heads=HEADS)
    for batch, height, width in SIZES:
        picture = torch.rand(batch, channels, height, width)
        with torch.no_grad():
            wanted = network(picture)
        found = session.run(None, {"image": picture.numpy()})
        for head, value in zip(HEADS, found, strict=True):
            assert value.shape == tuple(wanted[head].shape), (name, head, height, width)
            scale = max(1e-3, float(wanted[head].abs().max()))  # new networks say little
            assert np.abs(value - wanted[head].numpy()).max() / scale < 1e-4, (name, head, height, width)


class Sorting(Network):
    """What no graph has."""

    def forward(self, image):
        return {"mask": torch.special.bessel_j0(image)}


def test_a_network_that_cannot_be_exported_is_told_in_one_sentence(tmp_path, capfd):
    told = r"the network \(Sorting\) cannot be exported \(.*bessel_j0.*\); --format safetensors"
    with pytest.raises(ConfigError, match=told):
        session_of(Sorting(), tmp_path / "model.onnx", in_channels=3, heads={"mask": 3})
    assert capfd.readouterr().out == ""

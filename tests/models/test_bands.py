"""Every model in conf/model takes the channels of the data, or says in a sentence why not."""

import numpy as np
import pytest
import torch

from segbench.config.compose import compose_config, plain_config, run_config
from segbench.config.evaluation import Boundary, EvaluationSettings, ScoreAt
from segbench.core.errors import ConfigError
from segbench.core.tasks import Inputs, Task
from segbench.data.channels import Channels
from segbench.data.loading.views import EvaluationView
from segbench.inference.module import ScoredModule
from segbench.inference.parts import build_parts
from segbench.losses.dice import Dice
from segbench.models.two_stem import TwoStem
from segbench.models.unet import UNet
from tests.models.test_models import MODELS, need_packages, small_of

REFUSED = {
    "two_stem": "TwoStem looks at scene and background; it needs inputs=image\\+background",
    "gcn_original": "needs 3 bands a picture, not the 4 of data.bands|needs 3 or 6 model.in_channels, got 4",
}


def words(model, *more):
    return [f"model={model}", "data=folder", "data.size=[64,64]", "data.bands=[0,1,2,3]", *more]


@pytest.mark.parametrize("model", MODELS)
def test_channels_follow_from_the_bands(model):
    need_packages(model)
    both = plain_config(compose_config(words(model, "inputs=image+background")))
    assert both["model"]["in_channels"] == 8
    small = [f"model.{name}={value}".replace("'", "") for name, value in small_of(model).items()]
    config = run_config(compose_config(words(model, *small)))
    assert config.model.arguments["in_channels"] == 4
    if model in REFUSED:
        with pytest.raises(ConfigError, match=REFUSED[model]):
            build_parts(config)
        return
    parts = build_parts(config)
    assert parts.channels == 4
    module = parts.scored_module().eval()
    with torch.no_grad():
        found = module({"image": torch.zeros(2, 4, 64, 64, dtype=torch.uint8)})["mask"]
    assert found.shape == (2, 1, 64, 64)


def test_an_image_and_its_background_of_four_bands_are_normalised_each():
    mean, std = [0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]
    seen = []

    class Recorder(UNet):
        def forward(self, image):
            seen.append(image)
            return super().forward(image)

    network = Recorder(in_channels=8, width=4, depth=2)
    module = ScoredModule(
        network,
        Dice(),
        task=Task.MASK,
        classes=["a", "b"],
        mean=mean,
        std=std,
        inputs=Inputs.IMAGE_BACKGROUND,
        channels_last=True,
        view=EvaluationView((16, 16)),
        settings=EvaluationSettings(score_at=ScoreAt.OWN, boundary=Boundary.NEVER, tile=None, overlap=0.25, tta=None),
    ).eval()
    draw = np.random.default_rng(0)
    image = draw.integers(0, 256, (1, 4, 16, 16)).astype(np.uint8)
    background = draw.random((1, 4, 16, 16)).astype(np.float32)
    module({"image": torch.from_numpy(image), "background": torch.from_numpy(background)})
    for place, picture in ((0, image / 255), (4, background)):
        for band in range(4):
            wanted = (picture[:, band] - mean[band]) / std[band]
            assert np.abs(seen[0][:, place + band].numpy() - wanted).max() < 1e-5
    assert TwoStem(in_channels=8, width=4).eval()(torch.zeros(1, 8, 16, 16))["mask"].shape == (1, 1, 16, 16)


def test_pictures_of_bands_are_shown_by_those_that_are_chosen():
    image = np.random.default_rng(0).random((4, 5, 4)).astype(np.float32)
    channels = Channels.of([3, 5, 7, 9], [9, 3, 5])
    assert (channels.shown(image) == np.rint(image[..., [3, 0, 1]] * 255)).all()
    assert (Channels.of([3, 5, 7, 9], [7]).shown(image) == np.rint(image[..., [2, 2, 2]] * 255)).all()
    assert (Channels.of([3, 5], None).shown(image[..., :2]) == np.rint(image[..., [0, 0, 0]] * 255)).all()

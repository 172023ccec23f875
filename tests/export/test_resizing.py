"""What a graph works out from sizes: the filter is Pillow's, the averages are torch's, numpy interpolates as torch."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from segbench.core.errors import ConfigError
from segbench.data.loading.views import EvaluationView
from segbench.export.interpolation import ids_of, interpolated, probabilities_of
from segbench.export.pooling import TraceablePool, with_traceable_pools
from segbench.export.resizing import back, place_of, seen
from segbench.export.steps import Format, Step, steps_of

SIZES = [(33, 90), (100, 60), (24, 32), (7, 200), (301, 77)]


def smooth(height, width, channels=3):
    draw = np.random.default_rng(height)
    small = draw.integers(0, 256, (height // 6 + 2, width // 6 + 2, channels)).astype(np.uint8)
    return np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR))


def tensor(picture):
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float()


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("size", SIZES)
def test_a_view_is_seen_as_pillow_shows_it(fit, size):
    view = EvaluationView((24, 32), fit)
    picture = smooth(*size)
    floats = view.image(picture.astype(np.float32))
    found = seen(tensor(picture), place_of(view, tensor(picture)))[0].permute(1, 2, 0).numpy()
    assert found.shape == floats.shape
    assert np.abs(found - floats).max() < 1e-3  # of 255; Pillow rounds nothing of floats
    assert np.abs(found - view.image(picture)).max() <= 1.01  # it rounds twice where they are of 8 bit


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
@pytest.mark.parametrize("size", SIZES)
def test_what_is_said_of_a_view_goes_back_as_in_an_evaluation(fit, size):
    view = EvaluationView((24, 32), fit)
    place = view.place(*size)
    values = torch.randn(2, 3, *place.canvas)
    picture = torch.zeros(2, 3, *size)
    wanted = view.back(values, height=size[0], width=size[1])
    assert torch.equal(back(values, place_of(view, picture), like=picture), wanted)
    rows, columns = place.window
    assert np.allclose(interpolated(values[..., rows, columns].numpy(), size), wanted.numpy(), atol=1e-4)


@pytest.mark.parametrize("parts", [(2, 2), (3, 3), (6, 6), (2, 5)])
def test_averages_of_parts_are_those_of_torch(parts):
    for size in ((6, 6), (7, 13), (40, 31), (1, 2)):
        features = torch.randn(2, 4, *size)
        assert torch.allclose(TraceablePool(parts)(features), F.adaptive_avg_pool2d(features, parts), atol=1e-6)


def test_only_averages_that_a_trace_would_keep_the_size_of_are_replaced():
    network = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Sequential(nn.AdaptiveAvgPool2d((2, 3))))
    kept = network[1][0]  # some networks keep their layers in a list, too
    side = with_traceable_pools(nn.Sequential(nn.AdaptiveAvgPool2d((None, 3))))
    assert side(torch.zeros(1, 4, 9, 7)).shape == (1, 4, 9, 3)
    with_traceable_pools(network)
    assert type(network[0]) is nn.AdaptiveAvgPool2d
    assert type(kept) is TraceablePool
    assert kept(torch.zeros(1, 4, 9, 7)).shape == (1, 4, 2, 3)


@pytest.mark.parametrize("channels", [1, 4])
def test_probabilities_and_ids_in_numpy(channels):
    logits = torch.randn(channels, 5, 6) * 20
    both = torch.cat([-logits, logits]).sigmoid() if channels == 1 else logits.softmax(dim=0)
    assert np.allclose(probabilities_of(logits.numpy()), both.numpy(), atol=1e-6)
    assert np.array_equal(ids_of(logits.numpy()), both.argmax(dim=0).numpy())
    assert ids_of(np.zeros((channels, 1, 1), np.float32)).tolist() == [[0]]  # the first of equals


def test_the_words_of_the_command():
    assert steps_of(["argmax", "resize,normalisation"]) == (Step.NORMALISATION, Step.RESIZE, Step.ARGMAX)
    assert steps_of([]) == ()
    assert [form.file for form in Format] == ["model.onnx", "model.pt", "model.safetensors"]
    with pytest.raises(ConfigError, match="there is no --with 'argmaxx'; did you mean 'argmax'"):
        steps_of(["argmaxx"])
    with pytest.raises(ConfigError, match="--with resize needs normalisation too"):
        steps_of(["resize"])

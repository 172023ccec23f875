"""The graph convolution against a dense matrix built pixel by pixel in numpy, and by hand."""

import math

import numpy as np
import pytest
import torch

from segbench.core.errors import ConfigError
from segbench.models.gcn import GCN, Intensity, Sparse, Stencil

ORIGINAL = {
    "channels": [8],
    "features": "intensity",
    "neighbours": 4,
    "self_loops": False,
    "residual": False,
    "bias": False,
}
GRAPHS = [(4, False), (4, True), (8, False), (8, True)]


def dense(height, width, neighbours, self_loops):
    """Return `D^-1/2 A D^-1/2`, asking each pair of pixels how far apart they lie."""
    places = [(row, column) for row in range(height) for column in range(width)]
    adjacency = np.zeros((len(places), len(places)))
    for first, (row, column) in enumerate(places):
        for second, (other_row, other_column) in enumerate(places):
            down, right = abs(row - other_row), abs(column - other_column)
            near = down + right == 1 if neighbours == 4 else max(down, right) == 1
            adjacency[first, second] = near or (self_loops and first == second)
    root = np.diag(adjacency.sum(axis=1) ** -0.5)
    return root @ adjacency @ root


@pytest.mark.parametrize("kind", [Stencil, Sparse])
@pytest.mark.parametrize(("neighbours", "self_loops"), GRAPHS)
def test_propagation_is_the_dense_matrix(kind, neighbours, self_loops):
    features = np.random.default_rng(0).normal(size=(2, 3, 5, 4))
    matrix = dense(5, 4, neighbours, self_loops)
    expected = np.einsum("pq,bcq->bcp", matrix, features.reshape(2, 3, 20)).reshape(2, 3, 5, 4)
    found = kind(neighbours, self_loops)(torch.from_numpy(features).float())
    assert np.abs(found.numpy() - expected).max() < 1e-5


@pytest.mark.parametrize("kind", [Stencil, Sparse])
def test_degrees_at_the_border_by_hand(kind):
    corner = torch.zeros(1, 1, 4, 4)
    corner[..., 0, 0] = 1.0
    # a corner has 2 neighbours, a pixel of the border 3
    plain = kind(4, False)(corner)[0, 0]
    assert plain[0, 1] == pytest.approx(1 / math.sqrt(2 * 3))
    assert plain[1, 0] == pytest.approx(1 / math.sqrt(2 * 3))
    assert plain.count_nonzero() == 2
    # with diagonals and itself: corner 4, border 6, inside 9
    full = kind(8, True)(corner)[0, 0]
    assert [full[0, 0], full[0, 1], full[1, 1]] == pytest.approx([1 / 4, 1 / math.sqrt(24), 1 / 6])
    assert full.count_nonzero() == 4


@pytest.mark.parametrize("kind", [Stencil, Sparse])
@pytest.mark.parametrize("neighbours", [4, 8])
def test_without_self_loops_a_pixel_does_not_see_itself(kind, neighbours):
    point = torch.zeros(1, 1, 5, 5)
    point[..., 2, 2] = 1.0
    blind = kind(neighbours, False)(point)[0, 0]
    assert blind[2, 2] == 0
    assert blind.count_nonzero() == neighbours
    assert kind(neighbours, True)(point)[0, 0, 2, 2] == pytest.approx(1 / (neighbours + 1))
    alone = torch.ones(1, 1, 1, 1)
    assert kind(neighbours, False)(alone).item() == 0
    assert kind(neighbours, True)(alone).item() == 1


def pair(**settings):
    """Return the network in both implementations with the same weights."""
    torch.manual_seed(0)
    networks = [
        GCN(3, {"mask": 2, "depth": 1}, implementation=implementation, **settings)
        for implementation in ("stencil", "sparse")
    ]
    networks[1].load_state_dict(networks[0].state_dict())
    return networks


@pytest.mark.parametrize("size", [(9, 7), (1, 6), (5, 1), (1, 1), (16, 16)])
@pytest.mark.parametrize(("neighbours", "self_loops"), GRAPHS)
def test_stencil_and_sparse_agree(size, neighbours, self_loops):
    image, found = torch.rand(2, 3, *size, requires_grad=True), []
    for network in pair(neighbours=neighbours, self_loops=self_loops):
        prediction = network(image)
        assert {head: tuple(value.shape) for head, value in prediction.items()} == {
            "mask": (2, 2, *size),
            "depth": (2, 1, *size),
        }
        (gradient,) = torch.autograd.grad(sum(value.square().sum() for value in prediction.values()), image)
        found.append((*prediction.values(), gradient))
    for stencil, sparse in zip(*found, strict=True):
        assert torch.allclose(stencil, sparse, atol=1e-5)


def test_one_sparse_network_takes_many_sizes():
    stencil, sparse = pair()
    for size in ((8, 8), (5, 9), (9, 5), (8, 8)):
        image = torch.rand(1, 3, *size)
        assert torch.allclose(stencil(image)["mask"], sparse(image)["mask"], atol=1e-5)
    assert not any("latest" in key or "kernel" in key for key in sparse.state_dict())


@pytest.mark.parametrize("settings", [{}, ORIGINAL])
def test_training_goes_on_after_a_validation_in_inference_mode(settings):
    for network in pair(**settings):
        image = torch.rand(1, 3, 6, 6)
        with torch.inference_mode():
            network.eval()(image)
        network.train()(image)["mask"].sum().backward()
        assert torch.isfinite(network.heads["mask"].weight.grad).all()


def test_mixed_precision():
    for network in pair():
        image = torch.rand(1, 3, 12, 12)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = network(image)["mask"]
        assert torch.allclose(mixed.float(), network(image)["mask"], atol=0.05)


def turned(value, how):
    return {
        "left-right": lambda: value.flip(-1),
        "upside down": lambda: value.flip(-2),
        "quarter": lambda: value.rot90(1, (-2, -1)),
        "three quarters": lambda: value.rot90(3, (-2, -1)),
    }[how]()


@pytest.mark.parametrize("how", ["left-right", "upside down", "quarter", "three quarters"])
@pytest.mark.parametrize("settings", [{}, {"neighbours": 4, "implementation": "sparse"}, ORIGINAL])
def test_the_prediction_turns_with_the_image(how, settings):
    torch.manual_seed(0)
    network, image = GCN(3, {"mask": 1}, **settings), torch.rand(1, 3, 7, 10)
    expected = turned(network(image)["mask"], how)
    assert expected.std() > 0
    assert torch.allclose(network(turned(image, how))["mask"], expected, atol=1e-5)


@pytest.mark.parametrize("implementation", ["stencil", "sparse"])
def test_a_pixel_depends_on_the_pixels_around_it_alone(implementation):
    """The fork took rows of colours for rows of pixels: what a pixel saw lay elsewhere."""
    torch.manual_seed(0)
    network = GCN(3, {"mask": 1}, channels=[16, 16], implementation=implementation)
    image = torch.rand(1, 3, 15, 20, requires_grad=True)
    (gradient,) = torch.autograd.grad(network(image)["mask"][0, 0, 6, 11], image)
    seen = gradient.abs().sum((0, 1)) > 0
    expected = torch.zeros(15, 20, dtype=torch.bool)
    expected[3:10, 8:15] = True  # three propagations
    assert torch.equal(seen, expected)


def test_parameter_counts():
    def count(**settings):
        return sum(value.numel() for value in GCN(3, {"mask": 1}, **settings).parameters())

    assert count(**ORIGINAL) == 256 * 8 + 8 == 2_056
    assert count() == (3 * 32 + 32) + 7 * (32 * 32 + 32) + (32 + 1) == 7_553
    assert count(positions=True) == 7_553 + 2 * 32


def test_the_original_network_in_numpy():
    """Both layers with matrices: one-hot grey values, ReLU between, from an image as training feeds it."""
    torch.manual_seed(0)
    network = GCN(3, {"mask": 1}, **ORIGINAL)
    picture = np.repeat(np.random.default_rng(0).integers(0, 256, (5, 4, 1), dtype=np.uint8), 3, axis=2)
    picture[0, :2] = [[0, 0, 0], [255, 255, 255]]
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) * 255 for value in (network.mean, network.std))
    image = (torch.from_numpy(picture).permute(2, 0, 1)[None].float() - mean) / std
    one_hot = np.eye(256)[picture[..., 0].reshape(-1)]
    matrix = dense(5, 4, 4, False)
    first = network.hidden[0].columns[0].weight.detach().numpy().astype(float)
    second = network.heads["mask"].weight.detach().numpy().astype(float).reshape(1, 8).T
    expected = matrix @ np.maximum(matrix @ one_hot @ first, 0) @ second
    assert np.abs(network(image)["mask"].detach().numpy().reshape(-1) - expected[:, 0]).max() < 1e-5


def test_every_grey_value_has_its_own_row():
    looked_up = Intensity(1, 1)
    with torch.no_grad():
        looked_up.columns[0].weight.copy_(torch.arange(256.0)[:, None])
    grey = torch.arange(256).view(1, 1, 16, 16).expand(1, 3, 16, 16)
    assert torch.equal(looked_up(grey / 255)[0, 0].long(), grey[0, 0])
    # values that augmentation pushed out of range take the nearest
    assert looked_up(torch.tensor([-0.5, 1.5]).view(1, 1, 1, 2).expand(1, 3, 1, 2)).flatten().tolist() == [0, 255]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"neighbours": 6}, "neighbours must be 4 or 8"),
        ({"channels": []}, r"channels numbers of at least 1, got 8 and \[\]"),
        ({"features": "rbg"}, "did you mean 'rgb'"),
        ({"implementation": "stencl"}, "did you mean 'stencil'"),
        ({"features": "intensity", "positions": True}, "goes with model.features=rgb"),
        ({"features": "intensity", "in_channels": 4}, "3 or 6 model.in_channels, got 4"),
    ],
)
def test_gcn_refuses(settings, message):
    with pytest.raises(ConfigError, match=message):
        GCN(**{"in_channels": 3, "heads": {"mask": 1}, **settings})

"""Tiles: they cover a picture, join without seams, and give what the whole picture gives."""

import itertools

import pytest
import torch
from torch import nn

from segbench.inference.padded import padded
from segbench.inference.tiles import Tiling, blend, tiled


def joined(size, tiling, values):
    """The blocks put together; each pixel must be written once."""
    found, times = None, torch.zeros(size)
    for block in blend(size, tiling, values=lambda one: values(one.top, one.left, one.height, one.width)):
        height, width = block.values.shape[1:]
        place = (slice(block.top, block.top + height), slice(block.left, block.left + width))
        found = torch.full((block.values.shape[0], *size), torch.nan) if found is None else found
        found[(slice(None), *place)] = block.values
        times[place] += 1
    assert torch.equal(times, torch.ones(size)), "each pixel once"
    return found


@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.25, 0.5])
@pytest.mark.parametrize("length", [1, 31, 32, 33, 40, 63, 64, 65, 100, 257])
def test_tiles_cover_a_side_with_the_overlap_asked_for(length, overlap):
    starts = Tiling(32, overlap).starts(length)
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert starts[-1] + min(32, length) == length
    for start, following in itertools.pairwise(starts):
        assert start + 32 - following >= round(32 * overlap) - 1, "evenly spread starts are rounded"


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5])
@pytest.mark.parametrize("size", [(40, 100), (100, 33), (20, 70), (97, 131)])
def test_weights_add_up_to_1(size, overlap):
    found = joined(size, Tiling(32, overlap), lambda top, left, height, width: torch.ones(2, height, width))
    assert torch.allclose(found, torch.ones(2, *size), atol=1e-6)


def test_values_keep_their_place():
    picture = torch.rand(3, 90, 110, generator=torch.Generator().manual_seed(0))
    found = joined((90, 110), Tiling(32, 0.4), lambda top, left, h, w: picture[:, top : top + h, left : left + w])
    assert torch.allclose(found, picture, atol=1e-6)


def test_tiles_give_what_the_whole_picture_gives():
    torch.manual_seed(0)
    network = nn.Sequential(*(nn.Conv2d(3 if n == 0 else 8, 8, 3, padding=1) for n in range(4))).eval()
    picture = torch.rand(3, 128, 192)

    def seen(top, left, height, width):
        return network(picture[None, :, top : top + height, left : left + width])[0]

    with torch.no_grad():
        whole = network(picture[None])[0]
        overlapping, apart = (joined((128, 192), Tiling(64, overlap), seen) for overlap in (0.25, 0.0))
    assert torch.allclose(overlapping, whole, atol=1e-5), "it sees 4 pixels around one; a quarter of 16 is hidden"
    assert (apart - whole).abs().max() > 1e-2, "without overlap there are seams"


def test_a_tiled_network_says_of_a_batch_what_it_says_of_whole_pictures():
    torch.manual_seed(0)
    layers = nn.Conv2d(6, 3, 5, padding=2)

    def network(batch):
        assert max(batch["image"].shape[-2:]) <= 48 or batch["image"].shape[-1] == 100
        pictures = torch.cat([batch["image"], batch["background"]], dim=1)
        with torch.no_grad():
            found = layers(pictures.float() / 255)
        return {"mask": found[:, :2], "depth": found[:, 2:]}

    draw = torch.Generator().manual_seed(1)
    size = (2, 3, 70, 100)
    batch = {n: torch.randint(0, 256, size, dtype=torch.uint8, generator=draw) for n in ("image", "background")}
    batch["mask"] = torch.zeros(2, 70, 100)
    whole, pieces = network(batch), tiled(network, Tiling(48, 0.25))(batch)
    assert whole.keys() == pieces.keys()
    for head, values in whole.items():
        assert torch.allclose(pieces[head], values, atol=1e-5)
    small = {name: values[..., :40, :40] for name, values in batch.items()}
    assert torch.equal(tiled(network, Tiling(48))(small)["mask"], network(small)["mask"])


def test_a_network_of_another_library_is_shown_multiples_of_its_stride():
    shown = []

    def network(batch):
        shown.append(tuple(batch["image"].shape[-2:]))
        return {"depth": batch["image"][:, :1].float()}

    batch = {"image": torch.randint(0, 256, (1, 3, 40, 70), dtype=torch.uint8), "index": torch.tensor([0])}
    for size in ((40, 70), (48, 48)):
        assert torch.equal(padded(network, size)(batch)["depth"], batch["image"][:, :1].float())
    assert shown == [(40, 70), (64, 96)], "as it was trained, it is shown pictures as they are"

"""One thread for networks this small: more only wait for each other. One file stands in for downloads."""

import pytest
import torch
from torchvision.models import resnet18


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="package")
def resnet18_file(tmp_path_factory):
    """A plain resnet18 with a classifier and batch statistics that are not the initial ones."""
    torch.manual_seed(0)
    network = resnet18(weights=None)
    network.train()(torch.randn(4, 3, 64, 64))
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(network.state_dict(), path)
    return path

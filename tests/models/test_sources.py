"""Weights by name: looked up in folders and caches that the tests fill, never fetched without being told to."""

import socket
from urllib.error import URLError

import pytest
import torch

from segbench.core.errors import ConfigError
from segbench.models.fcn_resnet import FCNResNet
from segbench.models.lraspp import LRASPP
from segbench.models.sources import Source, find_weights

NAME = "resnet18-f37072fd.pth"


@pytest.fixture(autouse=True)
def _caches(tmp_path, monkeypatch):
    """Empty caches, and no network."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a server was asked"))


def put(file):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"weights")
    return file


def test_torchvision_says_where_its_weights_are():
    resnet18 = FCNResNet.weights_source("torchvision", {"encoder": "resnet18"})
    assert resnet18.names == [NAME]
    both = [FCNResNet.weights_source("torchvision", {"head": head}).names[0] for head in ("fcn", "deeplabv3")]
    assert both == ["fcn_resnet50_coco-1167a1af.pth", "deeplabv3_resnet50_coco-cd0a2569.pth"]
    assert FCNResNet.weights_source("imagenet", {}).names == ["resnet50-11ad3fa6.pth"]
    assert LRASPP.weights_source("torchvision", {}).names == ["lraspp_mobilenet_v3_large-d234d4ea.pth"]
    assert FCNResNet.weights_source("mine", {}) == Source()


def test_a_name_is_looked_up_in_folders_then_in_the_cache(tmp_path):
    source = Source(f"https://server/{NAME}")
    cached = put(tmp_path / "hub/checkpoints" / NAME)
    assert find_weights("imagenet", source) == cached
    mine = put(tmp_path / "mine" / NAME)
    assert find_weights("imagenet", source, dirs=[str(tmp_path / "none"), str(tmp_path / "mine")]) == mine
    own = put(tmp_path / "mine/dense.safetensors")
    assert find_weights("dense", Source(), dirs=[str(tmp_path / "mine")]) == own
    assert find_weights(str(own), source) == own


def test_a_repository_is_found_as_a_folder_or_a_file_of_its_name(tmp_path):
    source = Source(repo="timm/test_vit.r160_in1k")
    whole = put(tmp_path / "test_vit.r160_in1k/model.safetensors")
    assert find_weights("imagenet", source, dirs=[str(tmp_path)]) == whole
    assert find_weights(str(whole.parent), source) == whole
    single = put(tmp_path / "other/test_vit.r160_in1k.safetensors")
    assert find_weights("imagenet", source, dirs=[str(tmp_path / "other")]) == single


def test_a_repository_is_found_in_the_hubs_cache(tmp_path, monkeypatch):
    hub = pytest.importorskip("huggingface_hub")
    asked = []
    kept = put(tmp_path / "snapshot/model.safetensors")
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda *words, **more: asked.append((words, more)) or str(kept))
    assert find_weights("imagenet", Source(repo="a/b", revision="c")) == kept
    assert asked == [(("a/b", "model.safetensors"), {"revision": "c"})]


def test_what_is_missing_is_named_with_its_place(tmp_path):
    cache = tmp_path / "hub/checkpoints"
    with pytest.raises(
        ConfigError, match=rf"put https://server/{NAME} into a folder of weights\.dirs or into {cache}, or"
    ):
        find_weights("imagenet", Source(f"https://server/{NAME}"))
    hub = r"put model\.safetensors of https://huggingface\.co/a/b as b\.safetensors into .* weights\.download=true"
    with pytest.raises(ConfigError, match=hub):
        find_weights("imagenet", Source(repo="a/b"), dirs=["x"])
    with pytest.raises(ConfigError, match=r"no weights called model\.weights=mine in x, .*put mine\.safetensors or"):
        find_weights("mine", Source(), dirs=["x"])
    with pytest.raises(ConfigError, match="is not a file"):
        find_weights("mine.pth", Source())


def test_they_are_fetched_only_when_told(tmp_path, monkeypatch):
    source = Source(f"https://server/{NAME}")
    asked = []

    def fetch(url, file, hash_prefix, progress):
        asked.append((url, hash_prefix))
        put(tmp_path / "hub/checkpoints" / NAME)

    monkeypatch.setattr(torch.hub, "download_url_to_file", fetch)
    with pytest.raises(ConfigError, match=r"weights\.download=true"):
        find_weights("imagenet", source)
    assert asked == []
    assert find_weights("imagenet", source, download=True) == tmp_path / "hub/checkpoints" / NAME
    assert asked == [(f"https://server/{NAME}", "f37072fd")]
    find_weights("imagenet", source, download=True)
    assert len(asked) == 1


def test_a_failed_download_names_the_file(monkeypatch):
    def fail(*_, **__):
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(
        ConfigError, match=rf"could not be downloaded \(.*no network.*\); put https://server/{NAME} into"
    ):
        find_weights("imagenet", Source(f"https://server/{NAME}"), download=True)

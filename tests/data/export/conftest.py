"""A tiny fgbg to export, and a digest of all that an export left behind."""

import hashlib

import pytest
from omegaconf import OmegaConf

from segbench.config.instantiate import build
from segbench.config.paths import conf_dir

SIZES = {"train": 11, "val": 4, "test": 3}


@pytest.fixture
def config(pictures):
    """The configuration of a tiny fgbg: 18 scenes of 24 x 20 pixels."""
    data = OmegaConf.to_container(OmegaConf.merge(OmegaConf.load(conf_dir() / "data" / "fgbg.yaml"), {"augment": None}))
    sizes = {f"{split}_size": size for split, size in SIZES.items()}
    folders = {name: str(folder) for name, folder in pictures.items()}
    return {"data": {**data, **folders, **sizes, "size": [24, 20], "batch_size": 2}, "plugins": []}


@pytest.fixture
def data(config):
    made = build(config["data"], where="data")
    made.prepare()
    return made


@pytest.fixture
def digest():
    def compute(folder):
        """A digest of every name and byte below a folder, hidden ones too."""
        found = hashlib.sha256()
        for path in sorted(folder.rglob("*")):
            found.update(f"{path.relative_to(folder)}\0".encode())
            found.update(path.read_bytes() if path.is_file() else b"folder")
        return found.hexdigest()

    return compute

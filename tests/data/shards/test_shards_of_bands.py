"""An export of other bands than red, green and blue holds what the data set serves, and trains as that does."""

import numpy as np
import pytest
import tifffile
import yaml

from segbench.config.compose import compose_config, plain_config
from segbench.config.paths import conf_dir
from segbench.core.errors import ConfigError
from segbench.data.channels import Channels
from segbench.data.export.encode import Encoder
from segbench.data.rasters import Raster
from segbench.data.shards.dataset import ShardedData
from segbench.data.tiffs import tiff_values
from tests.support import tiny_bands
from tests.support.exports import export_data


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
@pytest.mark.parametrize("bands", [1, 2, 3, 4, 7])
def test_an_image_of_any_bands_is_written_exactly(bands, kind, tmp_path):
    image = (np.random.default_rng(0).random((9, 14, bands)) * 255).astype(kind)
    encoder = Encoder("png", 95, bytes(768), in_colour=False)
    content = encoder({"image": image, "mask": np.zeros((9, 14), np.uint8)})["image"]
    assert encoder.suffixes()["image"] == ".tif"
    assert tiff_values(content).dtype == kind
    assert (tiff_values(content) == image).all()
    (tmp_path / "a.tif").write_bytes(content)
    assert (tifffile.imread(tmp_path / "a.tif").reshape(image.shape) == image).all()  # as any other program has it
    with pytest.raises(ValueError, match="Error"):
        tiff_values(content[: len(content) // 2])


def test_shards_of_bands_serve_what_was_exported(tmp_path):
    root = tiny_bands.write_bands(tmp_path / "d")
    config = plain_config(compose_config([*tiny_bands.words(root)[:4], "data.display=[3]", "data.size=[24,28]"]))
    with pytest.raises(ConfigError, match="jpeg holds red, green and blue of 8 bit"):
        export_data(config, tmp_path / "jpeg", format="webdataset", image_format="jpeg")
    export_data(config, tmp_path / "out", format="webdataset", chunk=8)
    node = plain_config(compose_config(["data=shards", f"data.root={tmp_path / 'out'}", "augment=none"]))["data"]
    found = ShardedData(**{**{name: node[name] for name in node if name != "_target_"}, "augment": None})
    found.setup()
    from segbench.data.files.folder import Folder

    plain = yaml.safe_load((conf_dir() / "data" / "folder.yaml").read_text())
    plain |= {"root": str(root), "bands": [0, 1, 2, 3], "size": [24, 28], "augment": None}
    del plain["_target_"]
    wanted = Folder(**plain)
    wanted.setup()
    assert found.channels.bands == (0, 1, 2, 3)
    assert found.values_record() == wanted.values_record()
    assert (found.mean, found.std) == (wanted.mean, wanted.std)
    for split in ("train", "val", "test"):
        assert found.fingerprint(split) == wanted.fingerprint(split)
        for index in range(wanted.num_samples(split)):
            ours, theirs = found.original(split, index), wanted.original(split, index)
            assert all((ours[name] == theirs[name]).all() for name in ("image", "mask"))
    raster = Raster(np.full((4, 4, 4), 600, np.uint16))
    assert (found.image_of(raster) == wanted.image_of(raster)).all()
    assert Channels.of([0, 1], None).count == 2

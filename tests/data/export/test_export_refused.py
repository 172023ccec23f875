"""What an export refuses: folders and settings that are not its own, options that cannot be. Nothing is written."""

import pytest
from PIL import Image

from segbench.core.errors import ConfigError, DataError
from segbench.data.export import manifest
from tests.support.exports import export_data


def test_a_complete_export_is_left_alone(config, tmp_path):
    export_data(config, tmp_path / "out", count=2)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert export_data(config, tmp_path / "out", count=2, workers=2).startswith("complete already: 6 samples")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_folder_of_something_else_is_refused(config, tmp_path):
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter1.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="is not empty and holds no export"):
        export_data(config, out)
    (out / "dataset.json").write_text('{"name": "mine"}')
    with pytest.raises(ConfigError, match="is not empty and holds no export"):
        export_data(config, out)
    assert sorted(path.name for path in out.iterdir()) == ["chapter1.txt", "dataset.json"]
    with pytest.raises(ConfigError, match="is a file"):
        export_data(config, out / "chapter1.txt")


def test_other_settings_are_refused_by_name(config, pictures, tmp_path, digest):
    out = tmp_path / "out"
    export_data(config, out, count=2)
    before = digest(out)
    options = {"count": 3, "format": "webdataset", "image_format": "jpeg", "splits": ["val"]}
    for name, value in options.items():
        with pytest.raises(ConfigError, match=rf"export\.{name} was .*, is .* now"):
            export_data(config, out, **{"count": 2, name: value})
    with pytest.raises(ConfigError, match=r"settings: data\.flip was true, is false now; give another folder"):
        export_data({**config, "data": {**config["data"], "flip": False}}, out, count=2)
    export_data({**config, "data": {**config["data"], "num_workers": 2, "batch_size": 3}}, out, count=2)
    moved = tmp_path / "moved"
    pictures["backgrounds"].rename(moved)
    config["data"]["backgrounds"] = str(moved)
    export_data(config, out, count=2)  # the same pictures elsewhere are the same data
    Image.new("RGB", (50, 50), "red").save(moved / "b0.png")
    moved.rename(pictures["backgrounds"])
    config["data"]["backgrounds"] = str(pictures["backgrounds"])
    with pytest.raises(ConfigError, match="files that the samples are made from have changed"):
        export_data(config, out, count=2)
    assert digest(out) == before


def test_a_folder_that_cannot_be_made_is_one_sentence(config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write to .*file/out: Not a directory"):
        export_data(config, tmp_path / "file" / "out")


def test_without_pyarrow_nothing_is_written(config, tmp_path, monkeypatch):
    monkeypatch.setattr(manifest, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install -e '\.\[export\]'"):
        export_data(config, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "folders"}, "there is no format 'folders'; did you mean 'folder'"),
        ({"image_format": "jpg"}, "did you mean 'jpeg'"),
        ({"splits": ["trian"]}, "did you mean 'train'"),
        ({"splits": []}, "one or more different splits"),
        ({"splits": ["val", "val"]}, "one or more different splits"),
        ({"chunk": 0}, "at least 1"),
        ({"quality": 101}, "quality in 1..100"),
        ({"workers": -1}, "workers must be at least 0, got -1"),
    ],
)
def test_options_that_cannot_be(config, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        export_data(config, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()

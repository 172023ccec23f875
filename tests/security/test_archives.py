"""Archives of digits and photos: read in memory, no more than they announce, and only what is needed of them."""

import gzip
import io
import os
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from segbench.core.errors import DataError
from segbench.data.scenes.digits import MAX_BYTES, read_digits, read_photos
from tests.support.tiny_generated import write_cifar, write_mnist

IMAGES = "train-images-idx3-ubyte"
ARRAYS = {
    "x_train": np.zeros((4, 28, 28), np.uint8),
    "y_train": np.zeros(4, np.uint8),
    "x_test": np.ones((2, 28, 28), np.uint8),
    "y_test": np.ones(2, np.uint8),
}


def idx(shape, values):
    return bytes((0, 0, 8, len(shape))) + b"".join(struct.pack(">I", axis) for axis in shape) + values


def npy(array):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array)
    return stream.getvalue()


def announcing(shape, kind="|u1"):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def write_npz(path, changed=None, method=zipfile.ZIP_DEFLATED):
    members = {f"{name}.npy": npy(array) for name, array in ARRAYS.items()} | (changed or {})
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def refused(path, message):
    """Read the digits, which a DataError must refuse, and return the largest memory that this took in bytes."""
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=message):
            read_digits(str(path), None, download=False)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture
def mnist(tmp_path):
    """The four files, of which the training pictures are the test's to write, plain or packed."""
    write_mnist(tmp_path / "mnist")
    for path in (tmp_path / "mnist").glob(f"{IMAGES}*"):
        path.unlink()
    return tmp_path / "mnist"


def test_sound_archives_are_read(tmp_path):
    pool = read_digits(
        str(write_npz(tmp_path / "a.npz", {"more.npy": b"rubbish", "../../escaped": b"x"})), None, download=False
    )
    assert (pool.images.shape, pool.training, pool.labels.tolist()) == ((6, 28, 28), 4, [0, 0, 0, 0, 1, 1])
    assert sorted(path.name for path in tmp_path.parent.rglob("*") if path.name == "escaped") == []


def test_a_gzip_bomb_is_unpacked_no_further_than_it_announces(mnist):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    with (mnist / f"{IMAGES}.gz").open("wb") as file:
        file.write(packer.compress(idx((4, 28, 28), b"")))
        for _ in range(300):
            file.write(packer.compress(bytes(1 << 20)))
        file.write(packer.flush())
    assert refused(mnist, "has more") < 20_000_000


@pytest.mark.parametrize("end", [".gz", ""])
@pytest.mark.parametrize("shape", [(0xFFFFFFFF, 28, 28), (0xFFFFFFFF,) * 3, (MAX_BYTES, 1, 2)])
def test_an_idx_file_that_announces_too_much(mnist, shape, end):
    content = idx(shape, b"1234")
    (mnist / f"{IMAGES}{end}").write_bytes(gzip.compress(content) if end else content)
    assert refused(mnist, "are the most") < 5_000_000


def test_an_idx_file_that_is_longer_than_it_announces(mnist):
    (mnist / IMAGES).write_bytes(idx((4, 28, 28), b""))
    os.truncate(mnist / IMAGES, 1 << 34)
    assert refused(mnist, "should hold") < 5_000_000


def test_an_idx_file_that_is_none(mnist):
    (mnist / IMAGES).write_bytes(idx((4,), b"1234"))
    refused(mnist, "is no idx file of bytes with 3 axes")


@pytest.mark.parametrize(
    ("changed", "method", "message"),
    [
        ({"x_train.npy": announcing((1 << 40, 28, 28))}, zipfile.ZIP_DEFLATED, "which it cannot hold"),
        ({"x_train.npy": announcing((5, 28, 28)) + bytes(4 * 28 * 28)}, zipfile.ZIP_STORED, "which it cannot hold"),
        ({}, zipfile.ZIP_LZMA, "another way than numpy"),
        ({}, zipfile.ZIP_BZIP2, "another way than numpy"),
        ({f"{number}.npy": b"" for number in range(200)}, zipfile.ZIP_STORED, "more than 100 members"),
        ({"x_train.npy": npy(np.array([{"a": 1}], dtype=object))}, zipfile.ZIP_STORED, "cannot be read as .npz"),
        ({"x_train.npy": b"rubbish"}, zipfile.ZIP_STORED, "cannot be read as .npz"),
        ({"x_train.npy": b"\x93NUMPY\x09\x00"}, zipfile.ZIP_STORED, "version of numpy"),
    ],
)
def test_an_npz_that_is_not_what_it_should_be(tmp_path, changed, method, message):
    assert refused(write_npz(tmp_path / "a.npz", changed, method), message) < 5_000_000


def test_an_npz_with_a_member_beyond_the_limit(tmp_path):
    path = write_npz(tmp_path / "a.npz")
    raw = bytearray(path.read_bytes())
    entry = raw.index(b"PK\x01\x02")
    raw[entry + 24 : entry + 28] = struct.pack("<I", MAX_BYTES + 1)
    path.write_bytes(raw)
    assert refused(path, "are the most") < 5_000_000


def test_an_npz_whose_member_unfolds_further_than_it_announces(tmp_path):
    path = write_npz(tmp_path / "a.npz", {"x_train.npy": npy(ARRAYS["x_train"]) + bytes(200 << 20)})
    raw = bytearray(path.read_bytes())
    entry = raw.index(b"PK\x01\x02")
    raw[entry + 24 : entry + 28] = struct.pack("<I", len(npy(ARRAYS["x_train"])) - 1)
    path.write_bytes(raw)
    assert refused(path, "cannot be read as .npz") < 5_000_000


def test_photos_are_bounded_as_well(tmp_path):
    write_cifar(tmp_path / "cifar")
    (good,) = (tmp_path / "cifar").glob("*.npz")
    assert read_photos(str(good), None, download=False).training > 0
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("x_train.npy", announcing((1 << 40, 32, 32, 3)))
        archive.writestr("x_test.npy", b"")
    with pytest.raises(DataError, match=r"data\.cifar: .* cannot hold"):
        read_photos(str(tmp_path / "b.npz"), None, download=False)


def test_an_npz_whose_name_is_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    refused(tmp_path / "a.npz", "holds nothing that can be read")

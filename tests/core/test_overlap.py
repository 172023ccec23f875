"""Reading, work and writing at the same time."""

import threading

import pytest

from segbench.core.errors import DataError
from segbench.core.overlap import overlapped


def double(item, value):
    if item == 3:
        raise DataError("work")
    return value * 2


def read(item):
    if item == 1:
        raise DataError("read")
    return item * 10


def test_everything_is_written_in_order_and_what_cannot_be_is_told():
    written = {}

    def write(item, result):
        written[item] = result

    outcomes = [(item, error and str(error)) for item, error in overlapped(range(8), read, work=double, write=write)]
    assert outcomes == [(n, {1: "read", 3: "work"}.get(n)) for n in range(8)]
    assert written == {n: n * 20 for n in (0, 2, 4, 5, 6, 7)}


def test_the_next_is_read_and_the_last_written_while_one_is_at_work():
    reading_2, writing_0 = threading.Event(), threading.Event()

    def read(item):
        if item == 2:
            reading_2.set()
        return item

    def work(item, value):
        if item == 1:
            assert reading_2.wait(10)
            assert writing_0.wait(10)
        return value

    def write(item, result):
        if item == 0:
            writing_0.set()

    assert [item for item, _ in overlapped(range(4), read, work=work, write=write)] == [0, 1, 2, 3]


def test_little_is_read_ahead_and_left_unwritten():
    begun, written, most = [], [], []

    def read(item):
        begun.append(item)
        return item

    def work(item, value):
        most.append(len(begun) - len(written))
        return value

    for _ in overlapped(range(50), read, work=work, write=lambda item, result: written.append(item), waiting=2):
        pass
    assert max(most) <= 6


@pytest.mark.parametrize("error", [OSError("disk"), DataError("disk")])
def test_what_cannot_be_written_ends_it(error):
    done = []
    with pytest.raises(type(error), match="disk"):
        for _ in overlapped(
            range(100), lambda item: item, work=lambda item, value: value, write=lambda i, r: _full(done, i, error)
        ):
            pass
    assert len(done) < 20


def _full(done, item, error):
    done.append(item)
    if item == 4:
        raise error

"""The attacks of all selected tests are started at once; each test waits for its own."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.attacks import Attacks


@pytest.fixture(scope="session")
def attacks(request, tmp_path_factory):
    """Start the attacks of all tests that were selected; of several pytest workers each starts only its own."""
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    cases = [
        item.callspec.params["case"]
        for item in request.session.items
        if alone and "attacks" in getattr(item, "fixturenames", ()) and hasattr(item, "callspec")
    ]
    pool = ThreadPoolExecutor(max(2, len(os.sched_getaffinity(0))))
    started = Attacks(tmp_path_factory.mktemp("attacks"), pool)
    for case in cases:
        started.submit(case)
    yield started
    pool.shutdown(wait=True, cancel_futures=True)

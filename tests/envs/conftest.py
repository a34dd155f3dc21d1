"""Pictures of a few pixels are drawn by one thread: the bytes are the same, and two only wait for each other."""

import numba
import pytest


@pytest.fixture(autouse=True)
def one_thread():
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)

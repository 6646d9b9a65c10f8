"""How close float32 numbers are that two engines, or another toolkit and ours, made of the same weights."""

import numpy as np

OF_LARGEST = 1e-5  # of the largest number: some 80 roundings, on any processor


def assert_close(found: np.ndarray, wanted: np.ndarray, part: float = OF_LARGEST) -> None:
    """Assert that arrays are of one shape and differ by at most a part of the largest number (at least 1)."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.shape == wanted.shape
    size = max(1.0, float(np.abs(wanted).max(initial=0.0)))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=part * size)

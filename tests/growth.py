"""How the time of a function grows with its input, measured so that no processor and no load decides."""

import time
from collections.abc import Callable


def assert_linear(function: Callable[[int], object], small: int, large: int) -> None:
    """Assert that processor time grows about as the size does: 4 times what is in proportion is too much.

    What is quadratic takes large / small times that, so large should be 10 times small. On a busy machine
    other work takes the caches, so a measurement too long is made again, twice.
    """

    def seconds(size: int, times: int) -> float:
        taken = []
        for _ in range(times):
            start = time.process_time()
            function(size)
            taken.append(time.process_time() - start)
        return min(taken)

    limit = 4 * large / small * max(seconds(small, 3), 1e-3)
    assert any(seconds(large, 1) < limit for _ in range(3))

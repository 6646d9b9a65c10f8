"""Which rows are answered together. Without a service, without a model."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from deploy.batcher import Batcher, Batching, QueueFullError
from deploy.rows import TextRow


def batches_of(rows: Sequence[TextRow], **settings: Any) -> tuple[list[list[TextRow]], list[dict[str, Any]]]:
    """The batches in which rows that all wait already are answered, and each row's answer."""
    batches: list[list[TextRow]] = []

    def answer(batch: Sequence[TextRow]) -> list[dict[str, Any]]:
        batches.append(list(batch))
        return [{"to": row} for row in batch]

    async def ask() -> list[dict[str, Any]]:
        batcher = Batcher(answer, Batching(**settings))
        waiting = [asyncio.ensure_future(batcher.submit([row])) for row in rows]
        await asyncio.sleep(0)  # they are in the queue now
        batcher.start()
        result = [(await answers)[0] for answers in waiting]
        assert batcher.waiting == 0
        await batcher.close()
        return result

    return batches, asyncio.run(ask())


def row(length: int, number: int = 0) -> TextRow:
    return (f"{number:02}".ljust(length, "x"),)


def test_the_oldest_goes_with_those_nearest_its_length() -> None:
    rows = [row(30), *(row(length, 1) for length in (90, 31, 10, 33, 70, 28)), row(30, 2)]
    batches, answers = batches_of(rows, max_batch=4)
    assert batches == [
        [row(30), row(31, 1), row(28, 1), row(30, 2)],
        [row(90, 1), row(10, 1), row(33, 1), row(70, 1)],
    ]
    assert answers == [{"to": each} for each in rows]


@pytest.mark.parametrize(("workers", "sizes"), [(1, [32, 8]), (2, [20, 10, 8, 2]), (4, [10, 8, 8, 8, 6])])
def test_a_worker_takes_its_share_but_no_crumbs(workers: int, sizes: list[int]) -> None:
    """Of 40 rows of a length a half, a quarter …, never fewer than 8, and the oldest first."""
    rows = [row(20, number) for number in range(40)]
    batches, answers = batches_of(rows, workers=workers)
    batches.sort()  # workers may begin in any order
    assert [len(batch) for batch in batches] == sizes
    assert [each for batch in batches for each in batch] == rows
    assert answers == [{"to": each} for each in rows]


def test_pairs_are_as_long_as_both_texts() -> None:
    rows = [("aaaa", "bbbb"), ("a", "b"), ("a", "bbbbbbb"), ("aaa", "bbb")]
    batches, _ = batches_of(rows, max_batch=2)
    assert batches[0] == [("aaaa", "bbbb"), ("a", "bbbbbbb")]


def test_rows_nobody_waits_for_are_left_out() -> None:
    async def ask() -> list[list[TextRow]]:
        batches: list[list[TextRow]] = []

        def answer(batch: Sequence[TextRow]) -> list[dict[str, Any]]:
            batches.append(list(batch))
            return [{} for _ in batch]

        batcher = Batcher(answer)
        gone, kept = (asyncio.ensure_future(batcher.submit([row(9, number)])) for number in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        assert batcher.waiting == 1
        batcher.start()
        await kept
        await batcher.close()
        return batches

    assert asyncio.run(ask()) == [[row(9, 2)]]


def test_a_batch_is_chosen_among_the_oldest_only() -> None:
    """Rows of the oldest one's length that came much later do not go first."""
    rows = [row(20), *(row(60 + number, number) for number in range(1, 20)), row(20, 50), row(21, 51)]
    batches, answers = batches_of(rows, max_batch=2)
    assert batches[0] == [row(20), row(61, 1)]  # the other two of 20 and 21 stand beyond the 8 oldest
    assert answers == [{"to": each} for each in rows]
    position = {each: number for number, batch in enumerate(batches) for each in batch}
    assert all(position[each] <= number // 2 + 4 for number, each in enumerate(rows))


def test_long_rows_make_small_batches() -> None:
    """So that a short one is not kept waiting by many long ones."""
    rows = [row(9000, number) for number in range(5)] + [row(30_000, 7)]
    batches, _ = batches_of(rows)
    assert [len(batch) for batch in batches] == [2, 2, 1, 1]


def test_a_slow_first_batch_does_not_refuse_a_few_rows() -> None:
    seconds = iter([0.3, *[0.0] * 100])

    def answer(batch: Sequence[TextRow]) -> list[dict[str, Any]]:
        time.sleep(next(seconds))
        return [{} for _ in batch]

    async def ask() -> int:
        batcher = Batcher(answer, Batching(max_batch=4, max_delay=0.5))
        batcher.start()
        answered = len(await batcher.submit([row(5)]))
        answered += len(await asyncio.gather(*(batcher.submit([row(5, number)]) for number in range(4))))
        for _ in range(30):
            answered += len(await batcher.submit([row(5)]))
        answered += len(await asyncio.gather(*(batcher.submit([row(5, number)]) for number in range(40))))
        await batcher.close()
        return answered

    assert asyncio.run(ask()) == 75  # nothing was refused


def test_a_queue_that_takes_too_long_is_refused() -> None:
    def answer(batch: Sequence[TextRow]) -> list[dict[str, Any]]:
        time.sleep(0.05 * len(batch))
        return [{} for _ in batch]

    async def ask() -> list[Any]:
        batcher = Batcher(answer, Batching(max_batch=2, max_delay=0.5))
        batcher.start()
        await batcher.submit([row(5)])
        result = await asyncio.gather(
            *(batcher.submit([row(5, number)]) for number in range(40)), return_exceptions=True
        )
        await batcher.close()
        return result

    refused = [result for result in asyncio.run(ask()) if isinstance(result, QueueFullError)]
    assert 25 <= len(refused) <= 35  # those who would wait for more than 10 others
    assert refused[0].seconds == 1

"""The schedule against values worked out by hand."""

import pytest

from training.config import TrainingConfig
from training.schedule import factor, warmup_steps


@pytest.mark.parametrize(
    ("step", "kind", "wanted"),
    [
        # 10 steps, 2 of warm-up, 8 of decay.
        (0, "linear", 0.0), (1, "linear", 0.5), (2, "linear", 1.0), (3, "linear", 0.875),
        (6, "linear", 0.5), (9, "linear", 0.125), (10, "linear", 0.0), (11, "linear", 0.0),
        (1, "cosine", 0.5), (2, "cosine", 1.0), (4, "cosine", 0.8535533905932737),
        (6, "cosine", 0.5), (8, "cosine", 0.14644660940672627), (10, "cosine", 0.0),
    ],
)  # fmt: skip
def test_factor_by_hand(step: int, kind: str, wanted: float) -> None:
    assert factor(step, 2, 10, kind) == pytest.approx(wanted, abs=1e-15)


def test_without_warm_up_the_first_step_has_the_peak_rate() -> None:
    assert factor(0, 0, 4, "linear") == 1.0


def test_all_warm_up() -> None:
    assert [factor(step, 4, 4, "linear") for step in range(5)] == [0, 0.25, 0.5, 0.75, 0]


def test_a_count_of_warm_up_steps_wins_over_the_proportion() -> None:
    assert warmup_steps(TrainingConfig(warmup_proportion=0.1), 390) == 39
    assert warmup_steps(TrainingConfig(warmup_proportion=0.1), 99) == 9  # rounded down
    assert warmup_steps(TrainingConfig(warmup_proportion=0.1, warmup_steps=7), 390) == 7

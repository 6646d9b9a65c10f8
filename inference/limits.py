"""How far apart engines may be, in one place; docs/decisions.md has the reasons and the measurements."""

EPSILON = 2.0**-23  # float32's
OF_SIZE = 16.0  # float32 epsilons of the largest number: 1e-5 for logits that reach 5
OF_ROUNDING = 4.0  # times the measured rounding; sums in another order were up to 2.4 times it apart
# Of the larger of 1 and the largest number: of two options this close, another engine may prefer the other.
# Answers made of logits (probabilities, scores, odds) agree within it too.
NEAR_TIE = 1e-4


def limit_of(size: float, rounding: float = 0.0) -> float:
    """How far apart two float32 engines may be in an output.

    size: its largest number. rounding: how far float32 answers were from float64 ones; 0 if not measured.
    """
    return max(OF_SIZE * EPSILON * size, OF_ROUNDING * rounding)

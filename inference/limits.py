"""How far apart the numbers of two engines may be; docs/decisions.md has the reasons and the measurements."""

EPSILON = 2.0**-23  # float32's
MAX_EPSILONS = 16.0  # of the largest number: 1e-5 for logits that reach 5
MAX_ROUNDINGS = 4.0  # of the measured rounding; sums in another order differed by up to 2.4 of it
# Two options are nearly tied within this part of the larger of 1 and the largest number: another engine may
# prefer the other. Probabilities, scores and odds, which are made of logits, agree within it too.
NEAR_TIE = 1e-4


def max_difference(size: float, rounding: float = 0.0) -> float:
    """How far apart two float32 engines may be in an output, whose largest number is ``size``.

    rounding: how far float32 answers were from float64 ones; 0 if that was not measured.
    """
    return max(MAX_EPSILONS * EPSILON * size, MAX_ROUNDINGS * rounding)

"""What an Optuna search tries next, from the results so far and nothing else.

The study is played again for every suggestion: the same results give the same suggestion, whoever computes
it and however often the sweep was killed. Nothing is kept beside the trials themselves.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from commands.errors import InputError
from lab.plan import Range
from lab.records import Result
from lab.trials import Trial

_SEED = 42


def suggest(trial: Trial, earlier: Sequence[tuple[Trial, Result | None]]) -> Mapping[str, Any]:
    """The settings of a search's trial. earlier: the trials that it may know, with the results of those
    that are done. Of several seeds a suggestion's score is the mean; without any it has failed.

    Suggestion n knows the results of 1 … n - at_once, as each of those knew its own.
    """
    try:
        import optuna
    except ImportError:
        raise InputError("a search needs Optuna: pip install '.[cluster]'") from None
    search = trial.search
    assert search is not None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=_SEED)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    distributions = {key: _distribution(optuna, space) for key, space in search.space.items()}
    asked: list[Any] = []
    for number in range(1, trial.number + 1):
        known = number - search.at_once
        if known >= 1:
            scores = [result.main for other, result in earlier if other.number == known and result]
            if scores:
                study.tell(asked[known - 1], sum(scores) / len(scores))
            else:
                study.tell(asked[known - 1], state=optuna.trial.TrialState.FAIL)
        asked.append(study.ask(distributions))
    return dict(asked[-1].params)


def _distribution(optuna: Any, space: Range) -> Any:
    if space.choices:
        return optuna.distributions.CategoricalDistribution(space.choices)
    if isinstance(space.low, int) and isinstance(space.high, int):
        return optuna.distributions.IntDistribution(space.low, space.high, log=space.log)
    return optuna.distributions.FloatDistribution(space.low, space.high, log=space.log)

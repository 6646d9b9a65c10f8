"""What an Optuna search tries next, from the results so far and nothing else.

Every suggestion has a study of its own, given the settings and scores of the trials before: the same results
give the same suggestion, however often the sweep was killed. Nothing is kept beside the trials themselves;
what a trial has begun with stands in its run's args.json.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from common.errors import InputError
from lab.plan import Range, Trial
from lab.trial_store import TrialResult

_SEED = 42


def suggest(trial: Trial, earlier: Sequence[tuple[Trial, TrialResult | None]]) -> Mapping[str, Any]:
    """The settings of a search's trial. earlier: the trials that it may know, 1 … n - at_once, with the
    results of those that are done. Of several seeds a suggestion's score is the mean; one without any tells
    nothing."""
    try:
        import optuna
    except ImportError:
        raise InputError("a search needs Optuna: pip install '.[cluster]'") from None
    assert trial.search is not None
    search = trial.search
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=_SEED + trial.number)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    distributions = {key: _distribution(optuna, space) for key, space in search.space.items()}
    for number in range(1, trial.number - search.at_once + 1):
        done = [result for other, result in earlier if other.number == number and result]
        params = search.pick(done[0].recipe) if done else None
        if params is not None:
            mean = sum(result.main for result in done) / len(done)
            study.add_trial(optuna.trial.create_trial(params=params, distributions=distributions, value=mean))
    return dict(study.ask(distributions).params)


def _distribution(optuna: Any, space: Range) -> Any:
    if space.choices:
        return optuna.distributions.CategoricalDistribution(space.choices)
    is_whole = isinstance(space.low, int) and isinstance(space.high, int)
    kind = optuna.distributions.IntDistribution if is_whole else optuna.distributions.FloatDistribution
    return kind(space.low, space.high, log=space.log)

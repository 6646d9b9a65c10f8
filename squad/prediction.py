"""A trained model over a file's windows → answers → the official scores."""

from collections.abc import Mapping
from pathlib import Path

from common.errors import InputError
from encoders import distributed
from encoders.span_heads import SpanModel
from encoders.tokenizer import Tokenizer
from inference.network_engine import run_network
from squad.answers import Answers, Rules
from squad.config import SquadRunConfig, SquadTrainingConfig
from squad.data import Dataset, read_squad
from squad.official import always_null, score_v11, score_v20
from squad.spans import best_answers, best_of_beams, collect_outputs
from squad.windows import Windows, make_windows


def read_questions(config: SquadRunConfig, path: str) -> Dataset:
    """Read a file of questions; InputError where a setting has no meaning for it."""
    data = read_squad(Path(path), config.version_2_with_negative)
    threshold = config.training.null_score_diff_threshold
    if threshold and not data.has_unanswerable:
        raise InputError(
            f"is SQuAD 1.1, where every question has an answer; "
            f"--null_score_diff_threshold {threshold:g} is for SQuAD 2.0, leave it out",
            path=path,
        )
    return data


def cut_windows(training: SquadTrainingConfig, data: Dataset, tokenizer: Tokenizer) -> Windows:
    """Cut a file's texts as the settings say."""
    return make_windows(
        data, tokenizer, training.max_seq_length, training.doc_stride, training.max_query_length
    )


def answer_windows(config: SquadRunConfig, data: Dataset, windows: Windows, model: SpanModel) -> Answers:
    """Answer a file's questions as the settings say; the model must be in evaluation mode.

    Of several processes each runs its share of the windows, and all get all answers.
    """
    training = config.training
    rules = Rules(
        n_best=training.n_best_size,
        max_length=training.max_answer_length,
        max_context=training.max_context,
        nullable=data.has_unanswerable,
        threshold=training.null_score_diff_threshold,
    )
    batches = run_network(model, windows.features, config.eval_batch_size, "answering")
    logits, beams = collect_outputs(batches, windows)
    gathered = [part for parts in distributed.all_gather(beams) for part in parts]
    if gathered:
        return best_of_beams(gathered, windows, data, rules)
    start, end = distributed.all_reduce(logits)  # a logit is 0 in all processes but one
    return best_answers(windows, data, start, end, rules)


def dev_scores(answers: Answers) -> dict[str, float]:
    """The official numbers of ``predictions.json``, in the official order, and ``main``, which is F1.

    SQuAD 2.0: with what the best threshold would give (found on answers that were not emptied; an empty gold
    text is no answer there), and what answering nothing, always, would. InputError where there is no gold.
    """
    if not answers.data.has_answers:
        raise InputError("holds questions alone: there is nothing to score", path=answers.data.path)
    golds, predictions = answers.data.golds, answers.predictions()
    if not answers.rules.nullable:
        scores = score_v11(golds, predictions)
        return {**scores, "main": scores["f1"]}
    scores = score_v20(golds, predictions)
    best = score_v20(answers.data.answerable_golds, answers.not_null(), answers.null_odds())
    scores |= {key: value for key, value in best.items() if key.startswith("best_")}
    scores |= {f"always_null_{key}": value for key, value in always_null(golds).items()}
    return {**scores, "main": scores["f1"]}


def format_scores(scores: Mapping[str, float]) -> str:
    """Scores for people: percentages with their unit, thresholds with four decimals, no counts.

    >>> format_scores({"exact": 200 / 3, "total": 3, "best_f1_thresh": -0.5, "main": 70.0})
    'exact 66.67 %  best_f1_thresh -0.5000  main 70.00 %'
    """
    return "  ".join(
        f"{name} {value:.4f}" if name.endswith("thresh") else f"{name} {value:.2f} %"
        for name, value in scores.items()
        if not name.endswith("total")
    )

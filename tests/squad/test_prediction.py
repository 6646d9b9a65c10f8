"""What is scored in training."""

import numpy as np

from common.files import write_text
from encoders.tokenizer import SPECIALS, Tokenizer
from squad.answers import Rules
from squad.data import Answer, Dataset, Question
from squad.prediction import dev_scores, format_scores
from squad.spans import best_answers
from squad.windows import make_windows


def test_best_thresholds_are_found_on_answers_that_were_not_emptied(tmp_path):
    write_text(tmp_path / "vocab.txt", "".join(f"{piece}\n" for piece in [*SPECIALS, "x", "y"]))
    questions = [Question("h", "x", 0, (Answer("y", 2),)), Question("n", "x", 0, ())]
    data = Dataset(tmp_path / "data.json", ["x y"], questions, True)
    windows = make_windows(data, Tokenizer(tmp_path), 12, 4, 1)
    # [CLS] x [SEP] x y [SEP], twice: the answer is y, and its null odds are 2 − 1, then 7 − 1
    start = np.array([2, 0, 0, 0, 1, 0, 7, 0, 0, 0, 1, 0], dtype=np.float32)
    scores = dev_scores(best_answers(windows, data, start, 0 * start, Rules(nullable=True)))
    # At threshold 0 both are emptied, which is right for the second only; at 1 the first is answered.
    assert list(scores) == [
        "exact", "f1", "total", "HasAns_exact", "HasAns_f1", "HasAns_total", "NoAns_exact", "NoAns_f1",
        "NoAns_total", "best_exact", "best_exact_thresh", "best_f1", "best_f1_thresh", "always_null_exact",
        "always_null_f1", "main",
    ]  # fmt: skip
    assert (scores["exact"], scores["HasAns_f1"], scores["NoAns_f1"], scores["main"]) == (50, 0, 100, 50)
    assert (scores["best_exact"], scores["best_f1"]) == (100, 100)
    assert (scores["best_exact_thresh"], scores["best_f1_thresh"]) == (1, 1)
    assert (scores["always_null_exact"], scores["always_null_f1"]) == (50, 50)


def test_the_log_says_percent_and_no_counts():
    scores = {"exact": 200 / 3, "f1": 7, "total": 17, "best_f1_thresh": -1.23456, "main": 100.0}
    assert format_scores(scores) == "exact 66.67 %  f1 7.00 %  best_f1_thresh -1.2346  main 100.00 %"

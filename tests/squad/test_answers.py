"""From logits to answers: by hand, against the definition taken literally, and with odd logits."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InputError
from common.files import write_text
from encoders.tokenizer import SPECIALS, Tokenizer
from squad import spans as module
from squad.answers import Rules, write_answers
from squad.data import Dataset, Question
from squad.spans import Nulls, Spans, best_answers, best_of_beams, rank
from squad.windows import make_windows, max_context


@pytest.fixture(scope="module")
def letters(tmp_path_factory):
    folder = tmp_path_factory.mktemp("letters")
    write_text(
        folder / "vocab.txt", "".join(f"{piece}\n" for piece in [*SPECIALS, *"abcdefghijklmnopqrstuvwxyz"])
    )
    return Tokenizer(folder)


def dataset(tmp_path_factory, texts, asked):
    questions = [Question(f"q{number}", "x", text, ()) for number, text in enumerate(asked)]
    return Dataset(tmp_path_factory.getbasetemp() / "data.json", list(texts), questions, True)


@pytest.fixture
def one(letters, tmp_path_factory):
    """A question on the text "a  b c d e" in one window: [CLS] x [SEP] a b c d e [SEP]."""
    data = dataset(tmp_path_factory, ["a  b c d e"], [0])
    return data, make_windows(data, letters, 20, 8, 1)


def answered(one, start, end, **rules):
    """start, end: the logits of [CLS] and of the letters; everything else is very likely."""
    data, windows = one
    s, e = (np.array([x[0], 99, 99, *x[1:], 99], dtype=np.float32) for x in (start, end))
    return best_answers(windows, data, s, e, Rules(**rules))


def n_best(answers, question="q0"):
    rows = dict(answers.n_best())[question]
    return [(row["text"], row["start_logit"] + row["end_logit"]) for row in rows]


def test_the_best_span_is_the_largest_sum_of_start_and_end(one):
    # b is the likeliest start; a comes before it, so no span ends there; c is the likeliest end behind it
    answers = answered(one, [0, 1, 5, 2, 0, 0], [0, 9, 1, 4, 3, 0], n_best=4)
    assert n_best(answers) == [("a", 10), ("b c", 9), ("b c d", 8), ("b", 6)]
    assert answers.predictions() == {"q0": "a"}
    # a slice of the text as it is, two spaces and all
    assert answered(one, [0, 9, 0, 0, 0, 0], [0, 0, 9, 0, 0, 0]).predictions() == {"q0": "a  b"}


def test_no_longer_than_allowed(one):
    logits = [0, 9, 0, 0, 0, 0], [0, 0, 0, 0, 0, 9]
    assert answered(one, *logits, max_length=5).predictions() == {"q0": "a  b c d e"}
    # of the two that score 9 the earlier
    assert answered(one, *logits, max_length=4).predictions() == {"q0": "a"}


def test_nothing_is_answered_above_the_threshold_only(one):
    logits = [3, 2, 0, 0, 0, 0], [4, 1, 0, 0, 0, 0]
    answers = answered(one, *logits, nullable=True, threshold=3.9)
    assert answers.null_odds() == {"q0": 3 + 4 - (2 + 1)}
    assert (answers.predictions(), answers.not_null()) == ({"q0": ""}, {"q0": "a"})
    assert n_best(answers)[0] == ("", 7)
    assert answered(one, *logits, nullable=True, threshold=4.0).predictions() == {"q0": "a"}
    assert answered(one, *logits).predictions() == {"q0": "a"}  # SQuAD 1.1 knows no empty answer


def test_probabilities_are_those_among_the_n_best(one):
    rows = dict(answered(one, [1, 1, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], n_best=1, nullable=True).n_best())["q0"]
    assert [(row["text"], row["probability"]) for row in rows] == [("a", 0.5), ("", 0.5)]


def test_what_several_windows_say_of_a_question(letters, tmp_path_factory):
    # room for 4, step 2: abcd cdef efgh
    data = dataset(tmp_path_factory, ["a b c d e f g h", "a"], [0, 1])
    windows = make_windows(data, letters, 8, 2, 1)
    assert windows.question.tolist() == [0, 0, 0, 1]
    start, end = np.zeros((2, len(windows.features.ids)), dtype=np.float32)
    first = windows.features.starts[:-1]
    start[first] = [5, 3, 4, 1]  # the least null score is that of the second window
    # d is the last token of the first window and the second of the next, which shows more around it
    start[first[0] + 3 + 3] = 9
    start[first[1] + 3 + 1], end[first[1] + 3 + 1] = 2, 1
    for choice, text, best in ((True, "d", 3), (False, "d", 9)):
        answers = best_answers(windows, data, start, end, Rules(max_context=choice, nullable=True))
        assert answers.not_null()["q0"] == text
        assert answers.null_odds() == {"q0": 3 - best, "q1": 1}
        texts = [text for text, _ in n_best(answers)]
        assert len(texts) == len(set(texts))  # two windows, one entry


def definition(data, windows, s, e, rules):
    """Every span of every window, one by one."""
    best = max_context(windows)
    parts = np.concatenate([[0], np.cumsum(windows.count)])
    actual = {number: {} for number in range(len(data.questions))}
    nulls = {}
    for window in range(len(windows)):
        question = int(windows.question[window])
        row = windows.features.starts[window]
        nulls.setdefault(question, []).append(float(s[row]) + float(e[row]))
        row += windows.features.first_lengths[window]
        for i in range(windows.count[window]):
            if rules.max_context and not best[parts[window] + i]:
                continue
            for j in range(i, min(i + rules.max_length, windows.count[window])):
                token = windows.token[window]
                place = int(windows.texts.first[token + i]), int(windows.texts.behind[token + j])
                score = float(s[row + i]) + float(e[row + j])
                actual[question][place] = max(score, actual[question].get(place, -np.inf))
    ranked = {
        question: sorted((-score, *place) for place, score in spans.items())[: rules.n_best]
        for question, spans in actual.items()
    }
    return ranked, {question: min(values) for question, values in nulls.items()}


@given(
    lengths=st.lists(st.integers(0, 25), min_size=1, max_size=3),
    asked=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    room=st.integers(1, 12),
    step=st.integers(1, 12),
    rules=st.builds(Rules, st.integers(1, 6), st.integers(1, 8), st.booleans(), st.just(True)),
    chunk=st.sampled_from([1, 20, 1 << 18]),
    seed=st.integers(0, 99),
)
def test_exactly_the_n_best_by_definition(
    letters, tmp_path_factory, lengths, asked, room, step, rules, chunk, seed
):
    data = dataset(tmp_path_factory, [" ".join("abcdefghijklmnopqrstuvwxyz"[:n]) for n in lengths],
                   [number % len(lengths) for number in asked])  # fmt: skip
    windows = make_windows(data, letters, room + 4, step, 1)
    # few values, so that there are ties
    s, e = np.random.default_rng(seed).integers(-3, 4, (2, len(windows.features.ids))).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_CHUNK", chunk)
        answers = best_answers(windows, data, s, e, rules)
    ranked, nulls = definition(data, windows, s, e, rules)
    for number in range(len(data.questions)):
        rows = range(*answers.starts[number : number + 2])
        scores = answers.start + answers.end
        actual = [(-float(scores[row]), int(answers.first[row]), int(answers.behind[row])) for row in rows]
        assert actual == ranked[number]
        if actual:
            assert answers.odds[number] == nulls[number] + actual[0][0]
            assert answers.not_null()[f"q{number}"] == data.contexts[data.questions[number].context][
                actual[0][1] : actual[0][2]
            ]  # fmt: skip


INFINITE = st.lists(st.sampled_from([0.0, 1.0, np.inf, -np.inf, 3e38, -3e38]), min_size=6, max_size=6)


@given(start=INFINITE, end=INFINITE)
def test_odd_logits_raise_nothing_and_give_slices_and_json(one_again, start, end):
    answers = answered(one_again, start, end, nullable=True)
    assert answers.not_null()["q0"] in answers.data.contexts[0]
    assert answers.not_null()["q0"]
    assert np.isfinite(answers.odds).all()
    shares = [row["probability"] for _, rows in answers.n_best() for row in rows]
    assert sum(shares) == pytest.approx(1)
    json.dumps([*answers.n_best()], allow_nan=False)


@pytest.fixture(scope="module")
def one_again(letters, tmp_path_factory):
    data = dataset(tmp_path_factory, ["a  b c d e"], [0])
    return data, make_windows(data, letters, 20, 8, 1)


def test_equal_logits_give_the_first_token(one):
    assert answered(one, [0] * 6, [0] * 6).predictions() == {"q0": "a"}


@pytest.mark.parametrize(("side", "place"), [(0, "first"), (0, "last"), (1, "last")])
def test_nan_is_refused_with_the_question(letters, tmp_path_factory, side, place):
    data = dataset(tmp_path_factory, ["a b c d e f", "a"], [1, 0, 1])
    windows = make_windows(data, letters, 8, 2, 1)
    logits = np.zeros((2, len(windows.features.ids)), dtype=np.float32)
    starts = windows.features.starts  # of four windows, the second and third of which are q1's
    logits[side, starts[1] if place == "first" else starts[3] - 1] = np.nan
    with pytest.raises(InputError, match="question 'q1': the model's logits are NaN"):
        best_answers(windows, data, *logits, Rules())


def test_a_text_without_tokens_is_answered_with_nothing(letters, tmp_path_factory):
    data = dataset(tmp_path_factory, [" ", "a"], [0, 1, 0])
    windows = make_windows(data, letters, 8, 2, 1)
    zeros = np.zeros(len(windows.features.ids), dtype=np.float32)
    answers = best_answers(windows, data, zeros, zeros, Rules(nullable=True, threshold=100))
    assert answers.predictions() == {"q0": "", "q1": "a", "q2": ""}
    assert answers.odds.tolist() == [1e30, 0, 1e30]
    json.dumps([*answers.n_best()], allow_nan=False)


def test_odds_of_an_answerability_classifier(one):
    data, windows = one
    spans = Spans(*np.zeros((3, 1), dtype=np.int64), *np.full((2, 1), -2, dtype=np.float32))
    answers = rank(spans, Nulls(odds=np.array([0.25])), windows, data, Rules(nullable=True))
    assert (answers.null_odds(), answers.predictions()) == ({"q0": 0.25}, {"q0": ""})
    assert n_best(answers) == [("a", -4)]


def beams(windows=(0,), **changes):
    """One batch of the joint head with beam 2, for [CLS] x [SEP] a b c d e [SEP]: c alone is the likeliest
    pair; [CLS] alone, b–[SEP] and c–b are likelier and no answers; c–e is the next."""
    values = {
        "start": [[-0.5, -1]], "start_at": [[5, 0]],
        "end": [[[-3, -1], [-0.1, -0.2]]], "end_at": [[[7, 5], [0, 8]]], "impossible": [0.25], **changes,
    }  # fmt: skip
    kinds = {"start_at": np.int64, "end_at": np.int64}
    parts = [np.array(value, dtype=kinds.get(name, np.float32)) for name, value in values.items()]
    return [(np.array(windows), parts)]


def test_the_joint_head_by_hand(one):
    data, windows = one
    rules = Rules(nullable=True)
    answers = best_of_beams(beams(), windows, data, rules)
    assert n_best(answers) == [("c", -1.5), ("c d e", -3.5)]
    assert (answers.null_odds(), answers.predictions(), answers.not_null()) == (
        {"q0": 0.25}, {"q0": ""}, {"q0": "c"}
    )  # fmt: skip
    # neither in the question, nor up to the last [SEP], nor with its end before its start
    odd = beams(start_at=[[1, 4]], end_at=[[[1, 5], [8, 3]]])
    assert n_best(best_of_beams(odd, windows, data, rules)) == [("", 0)]
    # no longer than allowed
    assert n_best(best_of_beams(beams(), windows, data, Rules(max_length=2))) == [("c", -1.5)]


def test_what_several_windows_of_the_joint_head_say(letters, tmp_path_factory):
    # room for 4, step 2: abcd cdef; [CLS] x [SEP] and the text from position 3 on
    data = dataset(tmp_path_factory, ["a b c d e f"], [0])
    windows = make_windows(data, letters, 8, 2, 1)
    actual = best_of_beams(
        beams(
            (1, 0),
            start=[[-1, -1], [-1, -2]], start_at=[[3, 4], [3, 6]],  # c and d; a and d
            end=[[[-2, -9], [-3, -9]], [[-4, -9], [0, -9]]],
            end_at=[[[3, 7], [4, 7]], [[3, 7], [6, 7]]], impossible=[3, -2],
        ),
        windows, data, Rules(nullable=True),
    )  # fmt: skip
    # d begins in the window that shows more around it, which is not the first; c not in the second
    assert n_best(actual) == [("d", -4), ("a", -5)]
    assert actual.null_odds() == {"q0": -2}  # where the classifier says least


@pytest.mark.parametrize("name", ["start", "end", "impossible"])
def test_odd_numbers_of_the_joint_head(one, name):
    data, windows = one
    shape = {"start": (1, 2), "end": (1, 2, 2), "impossible": (1,)}[name]
    for value in (np.inf, -np.inf, 3e38):
        answers = best_of_beams(beams(**{name: np.full(shape, value)}), windows, data, Rules(nullable=True))
        json.dumps([answers.null_odds(), *answers.n_best()], allow_nan=False)
    value = np.zeros(shape)
    value.flat[-1] = np.nan
    with pytest.raises(InputError, match="question 'q0': the model's logits are NaN"):
        best_of_beams(beams(**{name: value}), windows, data, Rules())


@pytest.mark.parametrize("nullable", [False, True])
def test_files(one, tmp_path, nullable):
    data, windows = one
    data.contexts[0] = "\u00e4  b c d e"
    answers = answered((data, windows), [3, 2, 0, 0, 0, 0], [4, 1, 0, 0, 0, 0], nullable=nullable)
    write_answers(answers, tmp_path)
    read = {path.name: json.loads(path.read_bytes().decode("ascii")) for path in tmp_path.iterdir()}
    rows = read.pop("nbest_predictions.json")["q0"]
    assert rows == dict(answers.n_best())["q0"]
    assert list(rows[0]) == ["text", "probability", "start_logit", "end_logit"]
    if nullable:
        assert read == {
            "predictions.json": {"q0": ""},
            "predictions_not_null.json": {"q0": "\u00e4"},
            "null_odds.json": {"q0": 4.0},
        }
    else:
        assert read == {"predictions.json": {"q0": "\u00e4"}}

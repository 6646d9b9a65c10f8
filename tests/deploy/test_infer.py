"""deploy.infer and deploy.predict: the same from both engines, the model folder and plain arithmetic."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from common.errors import InputError, UsageError
from deploy import answering
from deploy.classification import softmax
from deploy.infer import main as infer
from deploy.model_loading import load, open_exported
from deploy.predict import main as predict
from deploy.rows import DEFAULT_TEXT
from encoders.batching import pack
from encoders.cpu import onednn
from encoders.tokenizer import Tokenizer
from inference.engine import predict_logits
from inference.graph_engine import open_engine
from tests.deploy.tiny_models import write_classifier

FAULT = onednn.status().fault
needs_bfloat16 = pytest.mark.skipif(bool(FAULT), reason=FAULT or "here it can")
TEXTS = [f"number {number} is a {'very ' * (number % 13)}good film" for number in range(50)]


def write_jsonl(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


def read_jsonl(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_probabilities_are_the_softmax_of_the_logits(sst2: Path) -> None:
    features = pack(Tokenizer(sst2).encode([(TEXTS[3],)], 48))
    first, second = predict_logits(open_engine(sst2), features, 1)[0].astype(float)
    share = 1 / (1 + np.exp(second - first))
    result = open_exported(sst2).answer([(TEXTS[3],)])[0]
    assert result["probabilities"] == pytest.approx({"0": share, "1": 1 - share}, abs=1e-12)
    assert result["label_id"] == int(second > first)
    assert result["label"] == str(result["label_id"])
    assert result["prob"] == max(result["probabilities"].values())


def test_softmax_of_huge_logits() -> None:
    result = softmax(np.array([[1000.0, 1000.0], [0.0, -1000.0]]))
    np.testing.assert_allclose(result, [[0.5, 0.5], [1.0, 0.0]])


def test_a_score_is_scaled_and_stays_in_the_tasks_range(stsb: Path) -> None:
    model = open_exported(stsb)
    rows = [(TEXTS[row], TEXTS[row + 1]) for row in range(20)]
    logits = predict_logits(model.engine, pack(Tokenizer(stsb).encode(rows, 48)), 7)[:, 0]
    scores = [result["score"] for result in model.answer(rows)]
    np.testing.assert_allclose(scores, np.clip(5 * logits.astype(float), 0, 5), atol=1e-5)
    assert min(scores) == 0.0 < max(scores) < 5.0


def test_the_line_is_the_references(sst2: Path, sst2_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    infer(["--model_dir", str(sst2)])
    lines = capsys.readouterr().out.splitlines()
    predict(["--model_path", str(sst2_model), "--text", DEFAULT_TEXT, "--device", "cpu"])
    wanted = open_exported(sst2).answer([(DEFAULT_TEXT,)])[0]
    for line in (lines[0], capsys.readouterr().out.splitlines()[0]):
        name, number, label, share = line.replace(",", "").split()
        assert (name, int(number), label) == ("label_id:", wanted["label_id"], "prob:")
        assert float(share) == pytest.approx(wanted["prob"], abs=1e-5)


def test_files_are_answered_in_order_by_all_engines(
    sst2: Path, sst2_paddle: Path, sst2_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answering, "CHUNK_ROWS", 8)  # fifty rows in chunks
    rows = write_jsonl(tmp_path / "rows.jsonl", TEXTS)
    alone = open_exported(sst2)
    wanted = [alone.answer([(text,)])[0]["probabilities"]["1"] for text in TEXTS]
    assert len(set(wanted)) == len(TEXTS)
    for number, (command, flag, folder) in enumerate(
        [
            (infer, "--model_dir", sst2),
            (infer, "--model_dir", sst2_paddle),
            (predict, "--model_path", sst2_model),
        ]
    ):
        target = tmp_path / f"{number}.jsonl"
        command([flag, str(folder), "--input", str(rows), "--output", str(target), "--batch_size", "3"])
        result = read_jsonl(target)
        assert [row["index"] for row in result] == list(range(50))
        np.testing.assert_allclose([row["probabilities"]["1"] for row in result], wanted, atol=1e-5)


@needs_bfloat16
def test_a_model_folder_in_bfloat16_gives_float32s_labels(
    sst2_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = write_jsonl(tmp_path / "rows.jsonl", TEXTS * 8)
    answers = {}
    for engine in ("dynamic", "bfloat16"):
        target = tmp_path / f"{engine}.jsonl"
        flags = ["--input", str(rows), "--output", str(target), "--engine", engine]
        infer(["--model_dir", str(sst2_model), *flags])
        answers[engine] = read_jsonl(target)
    assert "computes in bfloat16" in capsys.readouterr().err
    labels = {engine: [row["label_id"] for row in rows] for engine, rows in answers.items()}
    assert labels["bfloat16"] == labels["dynamic"]
    probabilities = [[row["prob"] for row in rows] for rows in answers.values()]
    np.testing.assert_allclose(*probabilities, atol=0.02)
    assert probabilities[0] != probabilities[1]


@needs_bfloat16
def test_a_regression_stays_in_float32(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_classifier(tmp_path, "sts-b", ["score"], scale=5.0, bias=2.5)
    rows = [("a film", "the film"), ("yes", "no")]
    asked = load(folder, engine="bfloat16")
    assert "computes in float32" in capsys.readouterr().err
    assert asked(rows) == load(folder)(rows)


def test_an_exported_folder_has_its_own_engine(sst2: Path) -> None:
    with pytest.raises(InputError, match="has its own") as caught:
        infer(["--model_dir", str(sst2), "--engine", "bfloat16", "--text", "a"])
    assert caught.value.path == str(sst2)


@needs_bfloat16
def test_threads_get_the_answers_to_their_own_texts(sst2_model: Path) -> None:
    wanted, asked = load(sst2_model), load(sst2_model, engine="bfloat16")
    exact = {text: wanted([text])[0] for text in TEXTS}
    assert np.ptp([answer["prob"] for answer in exact.values()]) > 0.1
    with ThreadPoolExecutor(8) as pool:
        for text, answers in zip(TEXTS * 6, pool.map(lambda text: asked([text]), TEXTS * 6), strict=True):
            assert answers[0]["label_id"] == exact[text]["label_id"]
            assert answers[0]["prob"] == pytest.approx(exact[text]["prob"], abs=0.02)


def test_a_tsv_has_a_column_a_label(rte: Path, tmp_path: Path) -> None:
    (tmp_path / "in.tsv").write_text(
        "index\tsentence1\tsentence2\n0\ta film\tthe film\n1\tno\tyes\n", encoding="utf-8"
    )
    infer(
        ["--model_dir", str(rte), "--input", str(tmp_path / "in.tsv"), "--output", str(tmp_path / "out.tsv")]
    )
    header, *rows = [
        line.split("\t") for line in (tmp_path / "out.tsv").read_text(encoding="utf-8").splitlines()
    ]
    assert header == ["index", "label_id", "label", "prob", "prob_entailment", "prob_not_entailment"]
    wanted = open_exported(rte).answer([("a film", "the film"), ("no", "yes")])
    for row, result in zip(rows, wanted, strict=True):
        assert row[1:3] == [str(result["label_id"]), result["label"]]
        assert float(row[4]) == pytest.approx(result["probabilities"]["entailment"], abs=1e-6)


def test_a_bad_row_leaves_no_output(sst2: Path, tmp_path: Path) -> None:
    rows = write_jsonl(tmp_path / "rows.jsonl", [*TEXTS, "\0"])
    with pytest.raises(InputError, match=r"rows.jsonl:51: text holds a NUL"):
        infer(["--model_dir", str(sst2), "--input", str(rows), "--output", str(tmp_path / "out.jsonl")])
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_an_output_that_is_a_folder_is_said_before_anything_is_answered(tmp_path: Path) -> None:
    (tmp_path / "out.jsonl").mkdir()
    argv = ["--input", str(tmp_path / "no.txt"), "--output", str(tmp_path / "out.jsonl")]
    with pytest.raises(UsageError, match=r"out\.jsonl: is a folder"):
        infer(["--model_dir", str(tmp_path / "nothing"), *argv])


@pytest.mark.parametrize(
    "argv",
    [
        ["--text", "a", "--input", "b.txt", "--output", "c.tsv"],
        ["--input", "b.txt"],
        ["--output", "b.tsv"],
        ["--text", "a", "--columns", "b"],
        ["--input", "b.txt", "--output", "c.tsv", "--json"],
        ["--text_pair", "a"],
        ["--input", "b.txt", "--output", "c.csv"],
        ["--input", "b.jsonl", "--output", "b.jsonl"],
        ["--use_gpu", "false", "--device", "gpu"],
        ["--text", "a", "--text_pair", "b"],  # a model for one text
    ],
)
def test_contradicting_flags_are_wrong_usage(sst2: Path, argv: list[str]) -> None:
    with pytest.raises(UsageError):
        infer(["--model_dir", str(sst2), *argv])


@pytest.mark.parametrize("text", ["", "  ", "a\0b", "\ud800"])
def test_a_text_that_cannot_be_answered_is_an_error(sst2: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"--text (is|holds) "):
        infer(["--model_dir", str(sst2), "--text", text])


def test_a_benchmark_says_percentiles_and_throughput(sst2: Path, capsys: pytest.CaptureFixture[str]) -> None:
    infer(["--model_dir", str(sst2), "--benchmark", "True", "--warmup", "1", "--batch_size", "4"])
    latency, throughput = capsys.readouterr().out.splitlines()[-2:]
    numbers = [float(part.split()[1]) for part in latency.split(": ")[1].split(", ")]
    assert numbers[:4] == sorted(numbers[:4])
    assert throughput.startswith("throughput in batches of 4 (16 rows): ")


def test_a_benchmark_of_a_file_needs_no_output(
    sst2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.txt").write_text("one\ntwo\nthree\n", encoding="utf-8")
    infer(["--model_dir", str(sst2), "--input", str(tmp_path / "rows.txt"), "--benchmark", "--warmup", "1"])
    assert "throughput in batches of 64 (258 rows): " in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["rows.txt"]


def test_an_onnx_export_needs_neither_paddle_nor_training(
    sst2: Path, squad: Path, joint: Path, project_dir: Path
) -> None:
    """Paddle cannot even be imported here."""
    texts = ["--question", "Who came?", "--context", "Ada came, and left."]
    commands = [["--model_dir", str(sst2)], *(["--model_dir", str(path), *texts] for path in (squad, joint))]
    code = (
        "import sys; sys.modules['paddle'] = None\n"
        f"from deploy.infer import main; [main(argv) for argv in {commands!r}]\n"
        "print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project_dir, capture_output=True, encoding="utf-8", timeout=60
    )
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.splitlines()[-1].split())
    assert "onnxruntime" in loaded
    assert not {name for name in loaded if name.split(".")[0] in ("training", "sklearn", "scipy", "onnx")}
    assert "encoders.encoder" not in loaded


def test_a_pair_model_does_not_answer_the_default_text(rte: Path) -> None:
    with pytest.raises(UsageError, match="trained on pairs"):
        infer(["--model_dir", str(rte)])

"""The report page: its numbers worked out anew from the files, its texts and its charts."""

import re
import shutil
import statistics
import zipfile
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, matthews_corrcoef

from glue.published import rows_of
from glue.tasks import TASKS
from lab import report_charts
from lab.report_charts import ChartLine, dot_chart, line_chart
from lab.report_page import page as render_page
from lab.report_rows import DevRows, dev_rows
from lab.report_runs import averages
from lab.report_submission import categories, diagnostic_answers
from lab.results import done_runs, results
from tests.lab.page_reader import Element, read_page
from tests.lab.report_samples import NASTY, gold_rows, read_tsv, write_run


def test_the_page_needs_nothing_from_outside(report_runs: Path, report_data: Path) -> None:
    html = render_page(report_runs, report_data, report_runs / "submission.zip")
    page = read_page(html)
    assert not re.search(r"https?:|url\((?!#)|@import|<link|<img|<iframe|<object", html)
    links = {link.attributes["href"] for link in page.all("a")}
    targets = {f"#{element.attributes['id']}" for element in page.all() if "id" in element.attributes}
    logs = {f"{run}/train.log" for run in results(report_runs)["run"]}
    assert links - targets <= {quote(log) for log in logs}
    assert "prefers-color-scheme: dark" in html
    assert html == render_page(report_runs, report_data, report_runs / "submission.zip")


def cells(page: Element, first: str) -> list[str]:
    """The first row of a table that begins with this cell."""
    rows = [[cell.text for cell in row.all("td")] for row in page.all("tr")]
    return next(row for row in rows if row and row[0].strip() == first)


def test_scores_by_hand(report_page: Element, report_data: Path) -> None:
    """Best evaluations of RTE's runs: 0.71, 0.60, 0.66, 0.64; the first is the best one, 0.50 at its end."""
    values = [71.0, 60.0, 66.0, 64.0]
    expected = [71.0, 50.0, statistics.median(values), statistics.stdev(values)]
    published = [row.scores["rte"]["accuracy"] for row in rows_of("base")]
    gold = [label for label, _ in gold_rows(report_data, "RTE.tsv")]
    majority = 100 * gold.count(TASKS["rte"].majority) / len(gold)
    texts = (
        [f"{value:.2f}" for value in expected]
        + ["4", f"{majority:.2f}"]
        + [f"{value:.2f}" for value in published]
    )
    assert cells(report_page, "RTE") == ["RTE", "accuracy", *texts]
    assert cells(report_page, "STS-B")[:7] == ["STS-B", "pearson", "81.00", "81.00", "81.00", "–", "1"]


def test_averages_name_what_they_lack_and_are_there_where_nothing_is(
    report_page: Element, tmp_path: Path
) -> None:
    lacking = [tile.text for tile in report_page.all("div", class_="tile") if "for lack of" in tile.text]
    assert len(lacking) == 2
    assert "cola/matthews" in lacking[0]
    for number, task in enumerate(TASKS.values()):
        keys = {key: 0.5 + number / 100 + index / 1000 for index, key in enumerate(task.score_keys)}
        write_run(tmp_path, task.name, task.name, 1, [keys])
    leaderboard, paper = (
        100 * row.value for row in averages(done_runs(results(tmp_path)), "base") if row.value
    )
    extra = (1 + 1 + 1 + 1) / 2 / 1000  # mrpc, sts-b, qqp and mnli have a second score, 0.001 above the first
    assert leaderboard == pytest.approx(100 * (0.54 + extra / 9), abs=0.006)
    # eight tasks: mrpc's, qqp's and sts-b's second score, mnli's first, no wnli
    assert paper == pytest.approx(100 * (sum(range(8)) / 800 + 0.5 + 3 / 8000), abs=0.006)


# --- dev rows ---------------------------------------------------------------------------------------


def answers_of(run: Path, file: str) -> list[str]:
    return [row[1] for row in read_tsv(run / "predictions" / "dev" / file)[1:]]


def read_dev_rows(runs: Path, data: Path, task: str) -> list[DevRows]:
    done = done_runs(results(runs))
    parts = dev_rows(TASKS[task], done[done["task"] == task], data)
    assert not isinstance(parts, str), parts
    return parts


@pytest.mark.parametrize(("task", "run"), [("rte", "rte/base-seed0"), ("mnli", "mnli")])
def test_labels_are_counted_and_the_worst_errors_named(
    report_runs: Path, report_data: Path, task: str, run: str
) -> None:
    for rows in read_dev_rows(report_runs, report_data, task):
        golds, texts = zip(*gold_rows(report_data, rows.file), strict=True)
        answers = answers_of(report_runs / run, rows.file)
        assert (rows.run, rows.labels) == (run, list(TASKS[task].labels))
        np.testing.assert_array_equal(rows.counts, confusion_matrix(golds, answers, labels=rows.labels))
        assert rows.share(0, 1) == pytest.approx(rows.counts[0, 1] / golds.count(rows.labels[0]))
        stored = np.load((report_runs / run / "predictions" / "dev" / rows.file).with_suffix(".npz"))
        shares = np.exp(stored["logits"].astype(float))
        shares /= shares.sum(axis=1, keepdims=True)
        columns = stored["labels"].tolist()
        wrong = [row for row, gold in enumerate(golds) if gold != answers[row]]
        assert rows.wrong == len(wrong)
        worst = sorted(wrong, key=lambda row: shares[row, columns.index(golds[row])])[:6]
        assert [error.row for error in rows.errors] == worst
        for error in rows.errors:
            assert (list(error.texts), error.gold) == (texts[error.row], golds[error.row])
            assert error.answer == answers[error.row]
            assert error.certainty == pytest.approx(shares[error.row].max())


def test_numbers_are_rounded_and_ranked_by_their_distance(report_runs: Path, report_data: Path) -> None:
    (rows,) = read_dev_rows(report_runs, report_data, "sts-b")
    golds = np.array([float(gold) for gold, _ in gold_rows(report_data, "STS-B.tsv")])
    answers = np.array(answers_of(report_runs / "sts-b", "STS-B.tsv"), dtype=float)
    whole = [np.floor(values + 0.5).astype(int) for values in (golds, answers)]
    np.testing.assert_array_equal(rows.counts, confusion_matrix(*whole, labels=range(6)))
    far = np.abs(golds - answers)
    assert [far[error.row] for error in rows.errors] == pytest.approx(sorted(far)[:-7:-1])
    assert sum(part.rows * part.score for part in rows.bins) == pytest.approx(far.sum())


@pytest.mark.parametrize("task", ["rte", "mnli"])
def test_bins_are_fifths_by_length(report_runs: Path, report_data: Path, task: str) -> None:
    for rows in read_dev_rows(report_runs, report_data, task):
        golds, texts = zip(*gold_rows(report_data, rows.file), strict=True)
        answers = answers_of(report_runs / rows.run, rows.file)
        lengths = [sum(len(text.split()) for text in pair) for pair in texts]
        assert sum(part.rows for part in rows.bins) == len(lengths)
        for part in rows.bins:
            inside = [row for row, length in enumerate(lengths) if part.low <= length <= part.high]
            assert part.rows == len(inside)
            right = accuracy_score([golds[row] for row in inside], [answers[row] for row in inside])
            assert part.score == pytest.approx(right)
        assert 2 <= len(rows.bins) <= 5


def test_texts_cannot_become_markup(report_runs: Path, report_data: Path, tmp_path: Path) -> None:
    """Also not those of run names, categories and zip entries."""
    odd = tmp_path / "<i>runs"
    shutil.copytree(report_runs, odd)
    (odd / "rte" / "base-seed0").rename(odd / "rte" / "<u>&amp;-seed0")
    folder = odd / "rte" / "<u>&amp;-seed0" / "predictions" / "dev"
    stored = dict(np.load(folder / "RTE.npz"))
    gold = gold_rows(report_data, "RTE.tsv")[0][0]
    wrong = next(label for label in TASKS["rte"].labels if label != gold)
    stored["logits"][0] = [50.0 if label == wrong else -50.0 for label in stored["labels"]]
    np.savez(folder / "RTE.npz", **stored)
    lines = (folder / "RTE.tsv").read_text(encoding="utf-8").split("\n")
    (folder / "RTE.tsv").write_text("\n".join([lines[0], f"0\t{wrong}", *lines[2:]]), encoding="utf-8")
    html = render_page(odd, report_data, odd / "submission.zip")
    page = read_page(html)
    assert NASTY in [quote.text for quote in page.all("q")]
    assert not page.all("script")
    assert not page.all("i")
    assert not page.all("u")
    assert "Core <args>" in page.text
    assert "rte/<u>&amp;-seed0" in page.text
    assert page.all("h1")[0].parent.all(class_="name")[0].text == "<i>runs"


# --- charts -----------------------------------------------------------------------------------------


def points_of(chart: str, run: str) -> list[tuple[float, float]]:
    """Where the line of a run goes, in the units of the picture."""
    (path,) = re.findall(rf'<g><title>{run}</title>\s*<path d="([^"]*)"', chart)
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path)]


def test_lines_lie_as_their_values_do() -> None:
    pytest.importorskip("matplotlib")
    chart = line_chart([
        ChartLine("best", [(0, 50.0), (10, 80.0)], True), ChartLine("other", [(0, 50.0), (20, 65.0)], False),
        ChartLine("empty", [], False),
    ])  # fmt: skip
    (x0, y50), (x10, y80) = points_of(chart, "best")
    start, (x20, y65) = points_of(chart, "other")
    assert start == (x0, y50)
    assert (x20 - x0, y65 - y50) == pytest.approx((2 * (x10 - x0), (y80 - y50) / 2), abs=1e-3)
    assert chart.index(">best<") > chart.index(">other<")  # drawn last, so on top
    assert chart.count("var(--accent)") < chart.count("var(--other)") + 3
    assert not re.search("#00000[1-4]", chart)


def test_dots_stand_in_the_row_of_their_configuration() -> None:
    pytest.importorskip("matplotlib")
    chart = dot_chart([("a<b", "r1", 50.0, False), ("a<b", "r2", 60.0, True), ("c", "r3", 55.0, False)])
    spots = dict(re.findall(r'<title>(r\d)</title>.*?<use [^>]*?x="([\d.]+)"', chart, re.DOTALL))
    heights = dict(re.findall(r'<title>(r\d)</title>.*?<use [^>]*?y="([\d.]+)"', chart, re.DOTALL))
    assert float(spots["r3"]) == pytest.approx((float(spots["r1"]) + float(spots["r2"])) / 2, abs=1e-3)
    assert heights["r1"] == heights["r2"]
    assert float(heights["r1"]) < float(heights["r3"])  # the first configuration is on top
    assert ">a&lt;b<" in chart


def test_without_matplotlib_a_line_says_so(report_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_charts, "find_spec", lambda _: None)
    page = read_page(render_page(report_runs, None, None))
    assert not page.all("svg")
    assert any("matplotlib is not installed" in line.text for line in page.all("p", class_="WARNING"))


# --- a zip ------------------------------------------------------------------------------------------


def test_what_a_zip_says_of_itself(
    report_page: Element, report_runs: Path, report_data: Path, tmp_path: Path
) -> None:
    rows = {row.all("td")[0].text: row for row in report_page.all("tr") if row.all("td", class_="file")}
    assert len(rows) == 11
    assert [cell.text for cell in rows["RTE.tsv"].all("td")[4:]] == ["rte/base-seed0", "0", "71.00", "–"]
    joined = ["mean of mnli-1, mnli-2", "–", "66.00", "61.25"]
    assert [cell.text for cell in rows["AX.tsv"].all("td")[4:]] == joined
    assert rows["WNLI.tsv"].all("td")[4].text == "every row is 0"
    assert {row.all("span", class_="OK")[0].text for row in rows.values()} == {"OK"}
    other = tmp_path / "other.zip"
    with zipfile.ZipFile(report_runs / "submission.zip") as old, zipfile.ZipFile(other, "w") as new:
        for name in old.namelist():
            if name != "WNLI.tsv":
                new.writestr(name, old.read(name))
        new.writestr("notes.txt", "<p>")
    (tmp_path / "other.manifest.json").write_bytes((report_runs / "submission.manifest.json").read_bytes())
    again = read_page(render_page(report_runs, report_data, other))
    checks = {
        row.all("td")[0].text: row.all("td")[1].text
        for row in again.all("tr")
        if row.all("td", class_="file")
    }
    assert checks["WNLI.tsv"].startswith("ERROR")
    assert checks["notes.txt"].startswith("ERROR")
    assert "other.manifest.json is of another zip" in again.text
    assert "Expected leaderboard average" in report_page.text
    assert "Expected leaderboard average" not in again.text
    assert "rte/base-seed0" not in "".join(
        row.text for row in again.all("tr") if row.all("td", class_="file")
    )


def test_the_diagnostic_set_by_category(report_runs: Path, report_data: Path) -> None:
    answers = diagnostic_answers(report_runs / "submission.zip")
    header, *rows = read_tsv(report_data / "diagnostic" / "diagnostic-full.tsv")
    lines = [dict(zip(header, row, strict=True)) for row in rows]
    parts = categories(answers, report_data)
    names = ["Negation", "Quantifiers"]
    assert [part.name for part in parts if part.group == "Lexical Semantics"] == ["", *names]
    for part in parts:
        tags = [set(filter(None, line.get(part.group, "").split(";"))) for line in lines]
        inside = [row for row, tag in enumerate(tags)
                  if part.group == "all" or (part.name in tag if part.name else tag)]  # fmt: skip
        golds, given = [lines[row]["Label"] for row in inside], [answers[row] for row in inside]
        assert part.rows == len(inside)
        assert part.matthews == pytest.approx(matthews_corrcoef(golds, given))
        assert part.accuracy == pytest.approx(accuracy_score(golds, given))

"""The report page: every number on it, every line and dot, followed back to its file."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from glue.tasks import TASKS
from lab import report
from lab.report_charts import Line, line_chart, ticks
from tests.lab.page_reader import Element, read_page
from tests.lab.report_samples import NASTY, gold_rows
from tests.lab.report_truth import Truth


def test_every_number_is_what_its_source_says(
    report_page: Element, report_runs: Path, report_data: Path
) -> None:
    truth = Truth(report_runs, report_data)
    seen = set()
    for number in report_page.all(class_="n"):
        source, text = number.attributes["data-source"], number.text
        kind, _, place = source.partition(":")
        seen.add(kind)
        if kind == "row":
            continue  # the test of the errors follows it
        expected = truth.runs_of(place) if kind == "runs" else truth.of(source)
        digits = len(text.partition(".")[2])
        assert float(text) == pytest.approx(expected, abs=0.5 * 10**-digits + 1e-9), source
    assert seen == {
        "file", "published", "median", "deviation", "runs", "tasks", "confusion", "wrong", "row", "certainty",
        "bin-low", "bin-high", "bin-rows", "bin-accuracy", "bin-error", "zip-rows", "zip-count", "zip-lowest",
        "zip-median", "zip-highest", "ax-rows", "ax-matthews", "ax-accuracy",
    }  # fmt: skip


def test_there_are_no_other_numbers(report_page: Element) -> None:
    """What has digits and is no followed number is a name, a row's text or a chart's axis."""
    (body,) = report_page.all("body")
    for text, element in body.texts():
        if not element.classes & {"n", "name", "text", "tick"} and element.tag != "title":
            assert not re.search(r"\d", text.replace("SHA-256", "")), text


def test_the_bars_and_the_colours_are_as_long_and_as_deep_as_the_numbers(report_page: Element) -> None:
    for bar in report_page.all(class_="bar"):
        width = float(re.search(r"width: ([\d.]+)%", bar.attributes["style"])[1])
        (number,) = bar.parent.parent.all(class_="n")
        if number.attributes["data-source"].startswith("bin-accuracy"):
            assert width == pytest.approx(float(number.text), abs=0.06)
        else:
            values = [
                float(n.text)
                for n in report_page.all(class_="n")
                if n.attributes["data-source"].startswith("bin-error")
            ]
            assert width == pytest.approx(100 * float(number.text) / max(values), abs=0.1)
    cells = report_page.all(class_="cell")
    for cell in cells:
        counts = [float(other.text) for other in cell.parent.all(class_="cell")]
        depth = float(re.search(r"rgb\), ([\d.]+)\)", cell.attributes["style"])[1])
        assert depth == pytest.approx(0.45 * float(cell.text) / max(1, sum(counts)), abs=0.006)
    assert len(cells) == 2 * 2 + 6 * 6 + 2 * 3 * 3


# --- errors, with their texts -----------------------------------------------------------------------


def error_tables(page: Element) -> list[Element]:
    return page.all("details")


def test_the_errors_are_the_worst_ones_with_their_texts(
    report_page: Element, report_runs: Path, report_data: Path
) -> None:
    truth, files = Truth(report_runs, report_data), []
    for table in error_tables(report_page):
        rows = [row for row in table.all("tr") if row.all("td")]
        shown = [row.all(class_="n")[0] for row in rows]
        place = shown[0].attributes["data-source"].removeprefix("row:")
        files.append(place)
        gold, answers, texts = truth._dev(place)
        if place.endswith("STS-B.tsv"):
            far = [abs(float(a) - float(b)) for a, b in zip(gold, answers, strict=True)]
        else:
            shares, labels = truth._npz(place)
            far = [0.0 if a == b else 1 - shares[row][labels.index(a)]
                   for row, (a, b) in enumerate(zip(gold, answers, strict=True))]  # fmt: skip
        numbers = [int(number.text) for number in shown]
        assert len(set(numbers)) == 6
        assert [far[row] for row in numbers] == pytest.approx(sorted(far, reverse=True)[:6])
        for row, line in zip(numbers, rows, strict=True):
            assert [quote.text for quote in line.all("q")] == texts[row]
            cells = [cell.text for cell in line.all("td")]
            assert float(cells[2]) == float(gold[row]) if place.startswith("sts-b") else cells[2] == gold[row]
            assert cells[3] == answers[row]
    assert files == ["sts-b/STS-B.tsv", "mnli/MNLI-m.tsv", "mnli/MNLI-mm.tsv", "rte/base-seed0/RTE.tsv"]


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
    html = report.page(odd, report_data, odd / "submission.zip")
    page = read_page(html)
    assert NASTY in [quote.text for quote in page.all("q")]
    assert not page.all("script")
    assert not page.all("i")
    assert not page.all("u")
    assert "Core <args>" in page.text
    assert "rte/<u>&amp;-seed0" in page.text
    assert page.all("h1")[0].parent.all(class_="name")[0].text == "<i>runs"


# --- charts -----------------------------------------------------------------------------------------


def on(axis: str, value: float) -> float:
    """Where a value stands: axes say low, high, and the places of both."""
    low, high, begin, end = json.loads(axis)
    return begin + (value - low) / (high - low) * (end - begin)


def test_lines_are_the_history(report_page: Element, report_runs: Path) -> None:
    seen = []
    for chart in report_page.all("svg"):
        heading = chart.parent.all("h3")[0].text
        x, y = chart.attributes["data-x"], chart.attributes.get("data-y", "")
        for line in chart.all("polyline"):
            run = line.attributes["data-run"]
            lines = [
                json.loads(text)
                for text in (report_runs / run / "history.jsonl").read_text(encoding="utf-8").splitlines()
            ]
            if heading.startswith("Training loss"):
                points, scale = [[line["step"], line["loss"]] for line in lines if "loss" in line], 1
            else:
                kept = [line for line in lines if "evaluation" in line]
                points, scale = [[line["step"], line["evaluation"]["main"]] for line in kept], 100
            assert json.loads(line.attributes["data-points"]) == points
            places = [tuple(map(float, pair.split(","))) for pair in line.attributes["points"].split()]
            expected = [(on(x, step), on(y, scale * value)) for step, value in points]
            np.testing.assert_allclose(places, expected, atol=0.051)
            assert line.all("title")[0].text == run
            seen.append((heading.split()[0], run, "best" in line.attributes["class"].split()))
    every = {"rte/base-seed0", "rte/base-seed1", "rte/base-seed2", "rte/other-seed7", "sts-b", "mnli"}
    assert {run for _, run, _ in seen} == every
    assert len(seen) == 2 * len(every)
    assert {run for _, run, is_best in seen if is_best} == {"rte/base-seed0", "sts-b", "mnli"}


def test_dots_are_the_scores_by_configuration(report_page: Element, report_runs: Path) -> None:
    (chart,) = [svg for svg in report_page.all("svg") if "every run" in svg.parent.all("h3")[0].text]
    dots = chart.all("circle")
    heights = {}
    for dot in dots:
        run = dot.attributes["data-run"]
        value = json.loads((report_runs / run / "scores.json").read_text(encoding="utf-8"))["best"]["main"]
        assert float(dot.attributes["data-value"]) == value
        assert float(dot.attributes["cx"]) == pytest.approx(
            on(chart.attributes["data-x"], 100 * value), abs=0.051
        )
        heights.setdefault(dot.attributes["cy"], set()).add(run.partition("-seed")[0])
    assert sorted(map(sorted, heights.values())) == [["rte/base"], ["rte/other"]]
    assert [text.text for text in chart.all("text", class_="name")] == ["rte/base", "rte/other"]
    assert len(dots) == 4


def test_the_values_at_the_axes_stand_where_they_belong(report_page: Element) -> None:
    for chart in report_page.all("svg"):
        for tick in chart.all("text", class_="tick"):
            if "x" in tick.attributes["class"].split():
                assert float(tick.attributes["x"]) == pytest.approx(
                    on(chart.attributes["data-x"], float(tick.text)), abs=0.1
                )
            else:
                place = on(chart.attributes["data-y"], float(tick.text)) + 3.5
                assert float(tick.attributes["y"]) == pytest.approx(place, abs=0.1)


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e4))
def test_round_values_within_an_axis(low: float, span: float) -> None:
    found = ticks(low, low + span)
    assert 3 <= len(found) <= 8
    assert low - 1e-6 <= found[0]
    assert found[-1] <= low + span + 1e-6
    steps = np.diff(found)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-5)
    assert f"{steps[0]:e}"[0] in "125" or f"{steps[0]:.3e}"[0] in "125"


def test_a_history_of_the_first_step_alone_has_a_chart() -> None:
    assert "<svg" in line_chart([Line("run", [(0, 0.5)], True)], 100)

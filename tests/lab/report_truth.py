"""The numbers of the report page worked out again: from the files alone, with NumPy and scikit-learn."""

import json
import math
import zipfile
from pathlib import Path

import numpy as np
from sklearn.metrics import accuracy_score, confusion_matrix, matthews_corrcoef

from glue.published import ROWS
from tests.lab.report_samples import gold_rows, read_tsv


class Truth:
    """The value that a source stands for."""

    def __init__(self, runs: Path, data: Path) -> None:
        self.runs, self.data = runs, data
        self.scores = {
            path.parent.relative_to(runs).as_posix(): json.loads(path.read_text(encoding="utf-8"))
            for path in runs.glob("**/scores.json")
        }

    def of(self, source: str) -> float:
        kind, _, rest = source.partition(":")
        place, _, key = rest.partition("#")
        return float(getattr(self, kind.replace("-", "_"))(place, key))

    def file(self, place: str, key: str) -> float:
        value = json.loads((self.runs / place).read_text(encoding="utf-8"))
        for name in key.split("."):
            value = value[name]
        return value * (100 if name not in ("step", "seed") else 1)

    def published(self, place: str, key: str) -> float:
        task, score = key.split("/")
        if task == "average":
            return {("0", "leaderboard"): 84.1889, ("0", "paper"): 87.6750, ("1", "paper"): 86.3625}[
                place, score
            ]
        return ROWS[int(place)].scores[task][score]

    def _values(self, task: str, key: str) -> list[float]:
        return [100 * scores["best"][key] for scores in self.scores.values() if scores["task"] == task]

    def median(self, place: str, key: str) -> float:
        return float(np.median(self._values(place, key)))

    def deviation(self, place: str, key: str) -> float:
        return float(np.std(self._values(place, key), ddof=1))

    def runs_of(self, place: str) -> int:
        return sum(not place or scores["task"] == place for scores in self.scores.values())

    def tasks(self, place: str, key: str) -> int:
        return len({scores["task"] for scores in self.scores.values()})

    def _dev(self, place: str) -> tuple[list[str], list[str], list[list[str]]]:
        run, _, file = place.rpartition("/")
        rows = gold_rows(self.data, file)
        answers = [row[1] for row in read_tsv(self.runs / run / "predictions" / "dev" / file)[1:]]
        return [label for label, _ in rows], answers, [texts for _, texts in rows]

    def confusion(self, place: str, key: str) -> int:
        gold, answers, _ = self._dev(place)
        if place.endswith("STS-B.tsv"):
            gold, answers = (
                [str(math.floor(float(value) + 0.5)) for value in part] for part in (gold, answers)
            )
        labels = sorted({*gold, *answers, *key.split("/")})
        matrix = confusion_matrix(gold, answers, labels=labels)
        row, column = key.split("/")
        return matrix[labels.index(row), labels.index(column)]

    def wrong(self, place: str, key: str) -> int:
        gold, answers, _ = self._dev(place)
        return sum(a != b for a, b in zip(gold, answers, strict=True))

    def _npz(self, place: str) -> tuple[np.ndarray, list[str]]:
        run, _, file = place.rpartition("/")
        stored = np.load((self.runs / run / "predictions" / "dev" / file).with_suffix(".npz"))
        odds = np.exp(stored["logits"].astype(float))
        return odds / odds.sum(axis=1, keepdims=True), stored["labels"].tolist()

    def certainty(self, place: str, key: str) -> float:
        return 100 * self._npz(place)[0][int(key)].max()

    def _bin(self, place: str, key: str) -> list[int]:
        """Rows of a bin: those with more words than the fifth before it ends with, up to its own end."""
        words = [
            sum(len(text.split()) for text in texts)
            for _, texts in gold_rows(self.data, place.split("/")[-1])
        ]
        ordered = sorted(words)
        ends = sorted({ordered[math.ceil(share * (len(words) - 1) / 5)] for share in range(1, 6)})
        low = ends[int(key) - 1] if int(key) else -1
        return [row for row, count in enumerate(words) if low < count <= ends[int(key)]]

    def bin_rows(self, place: str, key: str) -> int:
        return len(self._bin(place, key))

    def _bin_words(self, place: str, key: str) -> list[int]:
        texts = self._dev(place)[2]
        return [len(" ".join(texts[row]).split()) for row in self._bin(place, key)]

    def bin_low(self, place: str, key: str) -> int:
        return min(self._bin_words(place, key))

    def bin_high(self, place: str, key: str) -> int:
        return max(self._bin_words(place, key))

    def bin_accuracy(self, place: str, key: str) -> float:
        gold, answers, _ = self._dev(place)
        rows = self._bin(place, key)
        return 100 * accuracy_score([gold[row] for row in rows], [answers[row] for row in rows])

    def bin_error(self, place: str, key: str) -> float:
        gold, answers, _ = self._dev(place)
        return float(np.mean([abs(float(gold[row]) - float(answers[row])) for row in self._bin(place, key)]))

    def _zip(self, file: str) -> list[str]:
        with zipfile.ZipFile(self.runs / "submission.zip") as archive:
            return [line.split("\t")[1] for line in archive.read(file).decode().splitlines()[1:]]

    def zip_rows(self, place: str, key: str) -> int:
        return len(self._zip(place))

    def zip_count(self, place: str, key: str) -> int:
        return self._zip(place).count(key)

    def zip_lowest(self, place: str, key: str) -> float:
        return min(map(float, self._zip(place)))

    def zip_median(self, place: str, key: str) -> float:
        return float(np.median([*map(float, self._zip(place))]))

    def zip_highest(self, place: str, key: str) -> float:
        return max(map(float, self._zip(place)))

    def _ax(self, place: str) -> tuple[list[str], list[str]]:
        group, _, name = place.partition("/")
        header, *rows = read_tsv(self.data / "diagnostic" / "diagnostic-full.tsv")
        pairs = [
            (row[header.index("Label")], answer)
            for row, answer in zip(rows, self._zip("AX.tsv"), strict=True)
            if group == "all"
            or (name or ";") in (*row[header.index(group)].split(";"), row[header.index(group)] and ";")
        ]
        return [label for label, _ in pairs], [answer for _, answer in pairs]

    def ax_rows(self, place: str, key: str) -> int:
        return len(self._ax(place)[0])

    def ax_matthews(self, place: str, key: str) -> float:
        return 100 * matthews_corrcoef(*self._ax(place))

    def ax_accuracy(self, place: str, key: str) -> float:
        return 100 * accuracy_score(*self._ax(place))

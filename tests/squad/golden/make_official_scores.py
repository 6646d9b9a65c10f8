"""What the two original SQuAD scripts say of the generated pairs → official_scores.json beside this file.

  python tests/squad/golden/make_official_scores.py evaluate-v1.1.py evaluate-v2.0.py

The scripts are run unchanged, in this process; only their plotting library is replaced by nothing. Needs
NumPy (evaluate-v2.0.py imports it) and Python before 3.12, whose ``sum`` rounds otherwise.
"""

import argparse
import contextlib
import hashlib
import io
import json
import platform
import sys
import tempfile
import types
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from odd_pairs import Pair, make_pair

VERSIONS = ("v1.1", "v2.0")
PAIRS = 1200


def load(path: str) -> types.ModuleType:
    script = types.ModuleType("script")
    exec(compile(Path(path).read_text("utf-8"), path, "exec"), vars(script))
    return script


def run_v11(script: types.ModuleType, pair: Pair) -> dict[str, float]:
    return script.evaluate(pair.data["data"], pair.predictions)


def run_v20(script: types.ModuleType, pair: Pair, folder: Path) -> dict[str, float]:
    """Through the script's own main(), with files."""
    files = {"data": pair.data, "pred": pair.predictions, "na": pair.no_answer}
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    script.plt = MagicMock()
    script.OPTS = argparse.Namespace(
        data_file=folder / "data.json",
        pred_file=folder / "pred.json",
        out_file=folder / "out.json",
        na_prob_file=folder / "na.json" if pair.no_answer is not None else None,
        na_prob_thresh=pair.threshold,
        out_image_dir=folder / "images" if pair.curves else None,
    )
    script.main()
    return json.loads((folder / "out.json").read_text(encoding="utf-8"))


def result_of(run: Any, *words: Any) -> dict[str, float] | str:
    """The numbers, or the name of the exception that the script died of."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            return run(*words)
        except (KeyError, ValueError, ZeroDivisionError) as error:
            return type(error).__name__


def digest(pairs: dict[str, list[Pair]]) -> str:
    """Tells whether another Python makes the same pairs."""
    values = {version: [vars(pair) for pair in made] for version, made in pairs.items()}
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def main(v11: str, v20: str) -> None:
    if sys.version_info >= (3, 12):
        sys.exit("take a Python before 3.12")
    pairs = {
        version: [make_pair(number, version == "v2.0") for number in range(PAIRS)] for version in VERSIONS
    }
    one, two = load(v11), load(v20)
    with tempfile.TemporaryDirectory() as folder:
        results = [
            {"v1.1": result_of(run_v11, one, old), "v2.0": result_of(run_v20, two, new, Path(folder))}
            for old, new in zip(pairs["v1.1"], pairs["v2.0"], strict=True)
        ]
    lines = ",\n".join(json.dumps(result) for result in results)
    scripts = {Path(path).name: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in (v11, v20)}
    head = {"python": platform.python_version(), "scripts_sha256": scripts, "pairs_sha256": digest(pairs)}
    text = json.dumps(head, indent=1)[:-2] + f',\n "results": [\n{lines}\n]\n}}\n'
    Path(__file__).with_name("official_scores.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""The commands as Python functions: the examples in their docstrings, errors, and when they are imported."""

import doctest
import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import deploy
import glue
import lab
import squad
import submission
from common.errors import InputError, UsageError
from common.files import write_json
from scripts.make_sample import write_sample
from tests.lab.trials import run_trials_in_this_process

# In the order in which the examples need one another.
EXAMPLES = [
    (glue, "fine_tune"), (glue, "predict"), (glue, "evaluate"), (submission, "check"), (submission, "pack"),
    (submission, "verify"), (lab, "results"), (lab, "sweep"), (squad, "fine_tune"), (squad, "predict"),
    (squad, "evaluate"), (deploy, "load"), (glue.Task, "from_files"),
]  # fmt: skip
# Functions whose names are modules too.
CLASHING = [
    ("submission", "check"), ("submission", "pack"), ("submission", "verify"), ("squad", "evaluate"),
    ("lab", "results"), ("lab", "sweep"),
]  # fmt: skip


def squad_file(path: Path, rows: int) -> None:
    context = "Ada came to Paris in May, and Bob left for Rome in June."
    answer = {"text": "Paris", "answer_start": context.index("Paris")}
    questions = [
        {"id": str(row), "question": "Where did Ada go?", "answers": [answer]} for row in range(rows)
    ]
    paragraphs = [{"context": context, "qas": questions}]
    write_json(path, {"version": "1.1", "data": [{"title": "A", "paragraphs": paragraphs}]})


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    write_sample(folder / "glue_data")
    squad_file(folder / "train.json", 8)
    squad_file(folder / "dev.json", 4)
    write_json(folder / "perfect.json", dict.fromkeys("0123", "Paris"))
    (folder / "reviews.csv").write_text("review,label\na fine film,good\na dull one,bad\n", encoding="utf-8")
    (folder / "plan.yaml").write_text(
        "checkpoints: {mini: convbert-mini}\nseeds: [1]\nsettings: {max_steps: 2}\ntasks: {rte: }\n",
        encoding="utf-8",
    )
    return folder


@pytest.mark.parametrize(("package", "name"), EXAMPLES)
def test_examples(package: object, name: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    run_trials_in_this_process(monkeypatch)
    function = inspect.unwrap(getattr(package, name))
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    test = parser.get_doctest(inspect.getdoc(function) or "", {}, name, None, None)
    assert test.examples
    assert runner.run(test).failed == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": -1},
        {"learning_rat": 1e-4},
        {"preset": "theirs"},
        {"task": "no-such-task"},
        {"resume": "perhaps"},
        {"overwrite_output_dir": True, "resume": True},
        {"max_steps": 0, "num_train_epochs": 0},
    ],
)
def test_a_wrong_setting_is_an_error_and_no_exit(workplace: Path, tmp_path: Path, settings: dict) -> None:
    values = {"task": "rte", "model": "convbert-mini", "data_dir": workplace / "glue_data", **settings}
    with pytest.raises(InputError):
        glue.fine_tune(output_dir=tmp_path / "run", **values)
    assert not (tmp_path / "run").exists()


def test_wrong_usage_and_wrong_files_of_the_other_functions(workplace: Path, tmp_path: Path) -> None:
    dev, perfect = workplace / "dev.json", workplace / "perfect.json"
    with pytest.raises(UsageError):
        squad.evaluate(dev, perfect, out_image_dir=tmp_path)
    with pytest.raises(UsageError):
        squad.predict("convbert-mini", dev, output_dir=tmp_path, learning_rate=1e-4)
    with pytest.raises(UsageError):
        glue.evaluate("rte", "convbert-mini", engine="steam")
    with pytest.raises(UsageError):
        lab.sweep(workplace / "plan.yaml", tmp_path, workers=0)
    with pytest.raises(UsageError):
        submission.pack(tmp_path, tmp_path / "a.zip", runs=tmp_path)
    for call in (submission.check, lab.results, deploy.load):
        with pytest.raises(InputError):
            call(tmp_path / "absent")


def test_a_model_answers_one_text_many_and_no_wrong_number_of_them(workplace: Path) -> None:
    model = deploy.load(workplace / "runs" / "rte")
    pairs = [("A man sleeps.", "A man is awake."), ("It rains.", "It is wet.")]
    answers = model(pairs)
    assert [model([pair])[0]["label"] for pair in pairs] == [answer["label"] for answer in answers]
    assert all(sum(answer["probabilities"].values()) == pytest.approx(1) for answer in answers)
    for rows in ("one text", ["one text"], [("a", "b", "c")], [("a", " ")]):
        with pytest.raises(InputError):
            model(rows)


def run_python(code: str, project_dir: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project_dir, capture_output=True, encoding="utf-8", timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


IMPORTS = [
    "import {0}",
    "import {0}.{1}",
    "from {0} import {1}",
    "from {0}.{1} import {1}; import {0}",
    "import {0}; {0}.{1}; import {0}.{1}",
    "import {0}; import {0}.{1} as module; assert module is {0}.{1}",
]


def test_what_a_name_is_does_not_depend_on_what_was_imported_before(project_dir: Path) -> None:
    """In one process, which keeps the libraries and forgets the project before each way to import."""
    own = {file.parent.name for file in project_dir.glob("*/__init__.py")}
    code = f"""
import inspect, importlib, sys
for form in {IMPORTS}:
    for module in [name for name in sys.modules if name.partition(".")[0] in {own}]:
        del sys.modules[module]
    for names in {CLASHING}:
        exec(form.format(*names), {{}})
    from common.errors import InputError
    for package, name in {CLASHING}:
        module = importlib.import_module(f"{{package}}.{{name}}")
        function = getattr(module, name)
        assert inspect.ismodule(module) and inspect.isfunction(function), form
        assert getattr(importlib.import_module(package), name) is module, form
        assert inspect.signature(module) == inspect.signature(function), form
        try:
            module(*["no/such"] * (1 if name in ("results", "check", "verify") else 2))
        except InputError:
            print("called")
"""
    assert run_python(code, project_dir).split() == ["called"] * len(CLASHING) * len(IMPORTS)


@pytest.mark.parametrize("package", ["glue", "submission", "squad", "lab", "deploy"])
def test_a_package_lists_its_functions_and_imports_nothing_heavy(project_dir: Path, package: str) -> None:
    code = f"""
import sys, {package}
assert set({package}.__all__) <= set(dir({package}))
try:
    {package}.no_such_name
except AttributeError as error:
    print(error)
print(*sorted({{"paddle", "numpy", "pandas", "sklearn"}} & set(sys.modules)))
"""
    assert run_python(code, project_dir) == f"module '{package}' has no attribute 'no_such_name'"
    module = importlib.import_module(package)
    for name in module.__all__:
        assert inspect.getdoc(getattr(module, name))


def test_checking_needs_no_paddle(project_dir: Path) -> None:
    code = "import sys, submission; submission.check, submission.pack; print('paddle' in sys.modules)"
    assert run_python(code, project_dir) == "False"

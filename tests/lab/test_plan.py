"""Plans: what they mean, and that everything wrong is reported with file, line and key."""

import dataclasses
import re
from pathlib import Path

import pytest

from common.errors import InputError
from encoders.config import named
from glue.config import PRESETS, GlueTrainingConfig, preset_settings
from glue.tasks import TASKS
from lab import sweep
from lab.plan import Range, trials_of
from lab.plan_file import read_plan, shipped_plans
from training.config import resolve

HEAD = "checkpoints: {base: models/base}\n"


def plan_of(folder: Path, text: str, name: str = "plan.yaml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def names(path: str) -> list[str]:
    return [trial.name for trial in trials_of(read_plan(path))]


def test_names_tell_what_varies_and_nothing_else(tmp_path: Path) -> None:
    text = HEAD + (
        "seeds: [1, 2]\nsettings: {batch_size: 16}\n"
        "tasks:\n"
        "  mnli: {grid: {learning_rate: [1e-4, 5.0e-5], num_train_epochs: [2, 2.5]}, seeds: [7]}\n"
        "  RTE: {init_from: best of MNLI}\n"
        "  cola: {search: {trials: 2, space: {learning_rate: {low: 1e-5, high: 1e-3, log: true}}}}\n"
    )
    assert names(plan_of(tmp_path, text)) == [
        "mnli/base-lr1e-4-epochs2-seed7",
        "mnli/base-lr1e-4-epochs2.5-seed7",
        "mnli/base-lr5e-5-epochs2-seed7",
        "mnli/base-lr5e-5-epochs2.5-seed7",
        "rte/base-from-mnli-seed1",
        "rte/base-from-mnli-seed2",
        "cola/base-search1-seed1",
        "cola/base-search1-seed2",
        "cola/base-search2-seed1",
        "cola/base-search2-seed2",
    ]


def test_a_tasks_settings_lie_over_those_at_the_top_and_its_grid_takes_the_place(tmp_path: Path) -> None:
    text = HEAD + (
        "settings: {batch_size: 16, warmup_steps: 5}\ngrid: {weight_decay: [0.0, 0.1]}\n"
        "tasks:\n  rte: {settings: {batch_size: 8}, grid: {learning_rate: [1e-3]}}\n  cola:\n"
    )
    rte, *cola = trials_of(read_plan(plan_of(tmp_path, text)))
    assert rte.settings == {"batch_size": 8, "warmup_steps": 5, "learning_rate": 1e-3}
    assert [trial.settings["weight_decay"] for trial in cola] == [0.0, 0.1]
    assert [trial.name for trial in cola] == ["cola/base-weight_decay0", "cola/base-weight_decay0.1"]
    assert cola[0].seed is None  # the preset's: a plan without seeds names none


def test_a_name_that_no_folder_can_have_is_refused(tmp_path: Path) -> None:
    varied = ", ".join(f"{name}: [0.12345678901]" for name in (
        "warmup_proportion", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm",
        "r_drop", "fgm", "ema", "layer_lr_decay", "learning_rate",
    ))  # fmt: skip
    plan = read_plan(plan_of(tmp_path, HEAD + f"grid: {{{varied}}}\ntasks: {{rte: }}\n"))
    with pytest.raises(InputError, match=r"plan\.yaml: rte/base-.*a name too long"):
        trials_of(plan)


def test_of_several_grids_every_combination_of_each(tmp_path: Path) -> None:
    text = (
        HEAD + "settings: {fgm: 1}\ngrid: [{}, {fgm: [0.5]}, {r_drop: [1, 2], ema: [0.9]}]\ntasks: {rte: }\n"
    )
    trials = trials_of(read_plan(plan_of(tmp_path, text)))
    assert [trial.name for trial in trials] == [
        "rte/base", "rte/base-fgm0.5", "rte/base-r_drop1-ema0.9", "rte/base-r_drop2-ema0.9",
    ]  # fmt: skip
    assert [trial.settings["fgm"] for trial in trials] == [1, 0.5, 1, 1]


def test_a_search_replaces_the_grid_at_the_top(tmp_path: Path) -> None:
    text = HEAD + (
        "grid: {learning_rate: [1e-3]}\n"
        "tasks: {rte: {search: {trials: 3, at_once: 2, space: {batch_size: [8, 16], "
        "warmup_steps: {low: 0, high: 9}}}}}\n"
    )
    (rte,) = read_plan(plan_of(tmp_path, text)).tasks.values()
    assert rte.search is not None
    assert rte.grid == ({},)
    assert (rte.search.trials, rte.search.at_once) == (3, 2)
    assert rte.search.space == {"batch_size": Range(choices=(8, 16)), "warmup_steps": Range(0, 9)}


def test_extends_takes_a_shipped_plan_and_lays_keys_over_it(tmp_path: Path) -> None:
    text = (
        "extends: leaderboard\ncheckpoints: {mini: models/mini}\nseeds: [1]\n"
        "tasks: {mnli: , rte: {init_from: best of mnli}}\n"
    )
    plan = read_plan(plan_of(tmp_path, text))
    assert plan.stop_early
    assert plan.ensemble_size == 5
    assert names(plan.path)[:3] == [
        "mnli/mini-lr5e-5-seed1",
        "mnli/mini-lr1e-4-seed1",
        "rte/mini-from-mnli-lr5e-5-seed1",
    ]
    further = plan_of(tmp_path, "extends: plan.yaml\nstop_early: false\n", "further.yaml")
    assert not read_plan(further).stop_early
    assert names(further) == names(plan.path)


@pytest.mark.parametrize("name", shipped_plans())
def test_every_shipped_plan_reads(name: str) -> None:
    plan = read_plan(name)
    trials = trials_of(plan)
    assert len({trial.name for trial in trials}) == len(trials)
    assert re.search(rf"^  {name} +{len(trials)} trials ", str(sweep.__doc__), re.MULTILINE)
    if name in ("quick", "reference", "paper"):
        assert set(plan.tasks) == set(TASKS)


def test_the_study_of_stability_has_the_preset_as_its_third_recipe() -> None:
    encoder = named("base", hidden_size=128, num_attention_heads=2)
    for name, task in read_plan("stability").tasks.items():
        authors, corrected, stable = (
            resolve(GlueTrainingConfig, cell, {}, preset_settings(task.preset, encoder, TASKS[name]))
            for cell in task.grid
        )
        assert corrected == dataclasses.replace(authors, bias_correction=True)
        preset = preset_settings("stable", encoder, TASKS[name])
        assert stable == resolve(GlueTrainingConfig, {}, {}, preset)


def test_the_leaderboard_plan_transfers_and_turns_pairs() -> None:
    tasks = read_plan("leaderboard").tasks
    assert {name for name, task in tasks.items() if task.init_from == "mnli"} == {"rte", "mrpc", "sts-b"}
    assert {name for name, task in tasks.items() if task.settings.get("both_orders")} == {
        "mrpc",
        "sts-b",
        "qqp",
    }
    assert set(TASKS) - set(tasks) == {"wnli"}  # all 0 there


FAULTS = {
    "tasks: {rte: }\n": "plan.yaml: no 'checkpoints:'; a plan names checkpoints and tasks",
    HEAD + "tasks: {rte: }\nseed: [1]\n": "plan.yaml:3: unknown key 'seed'; known: extends, ",
    HEAD + "tasks:\n  rta:\n": "plan.yaml:3: tasks.rta: no such task; known: cola, ",
    HEAD + "tasks:\n  rte:\n  RTE:\n": "plan.yaml:4: tasks.RTE: stands twice",
    HEAD + "tasks:\n  rte:\n  rte:\n": "plan.yaml:4: 'rte' stands twice",
    HEAD + "tasks:\n": "plan.yaml:2: tasks: expected at least one task, found nothing",
    HEAD + "tasks: [rte, rte]\n": "plan.yaml:2: tasks: 'rte' stands twice",
    HEAD + "tasks:\n  cola: {search: {trials: 2, space: {both_orders: [true, false]}}}\n":
        "plan.yaml:3: tasks.cola: --both_orders: the rows of cola are single sentences",
    HEAD + "settings: {both_orders: true}\ntasks:\n  rte:\n  cola:\n":
        "plan.yaml:5: tasks.cola: --both_orders: the rows of cola are single sentences",
    HEAD + "tasks:\n  rte: {grid: {scale_targets: [true]}}\n":
        "plan.yaml:3: tasks.rte: --scale_targets: rte is no regression",
    HEAD + "tasks:\n  rte:\n    settings: {batch_size: 0}\n":
        "plan.yaml:4: tasks.rte.settings.batch_size: expected a number at least 1, found 0",
    HEAD + "tasks: {rte: }\nsettings:\n  lr: 1\n":
        "plan.yaml:4: settings.lr: no such setting; python -m glue.run_glue --help lists them",
    HEAD + "tasks: {rte: }\nsettings: {seed: 1}\n":
        "plan.yaml:3: settings.seed: seeds are listed under 'seeds:'",
    HEAD + "tasks: {rte: }\nsettings: {learning_rate: fast}\n":
        "plan.yaml:3: settings.learning_rate: expected a number, found 'fast'",
    HEAD + "tasks: {rte: }\ngrid: {learning_rate: 1e-4}\n":
        "plan.yaml:3: grid.learning_rate: expected a list with something in it, such as [1, 2], found '1e-4'",
    HEAD + "tasks: {rte: }\ngrid: {learning_rate: [1e-4, 0.0001]}\n":
        "plan.yaml:3: grid.learning_rate: a value stands twice",
    HEAD + "tasks: {rte: }\ngrid:\n  - {fgm: [0.5]}\n  - {fgm: [1, 0.5]}\n":
        "plan.yaml:3: grid: {'fgm': 0.5} is in two grids",
    HEAD + "tasks: {rte: }\ngrid: [{}, {fgm: [0.5]}, {}]\n":
        "plan.yaml:3: grid: the plain recipe is in two grids",
    HEAD + "tasks: {rte: }\ngrid: []\n":
        "plan.yaml:3: grid: expected a list with something in it, such as [1, 2], found an empty list",
    HEAD + "tasks: {rte: }\ngrid: [fgm]\n":
        "plan.yaml:3: grid: expected lines 'key: value', found 'fgm'",
    HEAD + "tasks: {rte: {grid: [{}, {fgm: [1]}], search: {trials: 2, space: {ema: [0.9]}}}}\n":
        "plan.yaml:2: tasks.rte.search: a grid and a search exclude each other",
    HEAD + "tasks: {rte: }\nseeds: [1, 1]\n": "plan.yaml:3: seeds: a seed stands twice",
    HEAD + "tasks: {rte: }\nseeds: [-1]\n":
        "plan.yaml:3: seeds: expected a number from 0 to 4294967295, found -1",
    HEAD + "tasks: {rte: }\nseeds: [4294967296]\n":
        "plan.yaml:3: seeds: expected a number from 0 to 4294967295, found 4294967296",
    HEAD + "tasks: {rte: }\nseeds: [[1]]\n": "plan.yaml:3: seeds: expected one value, found a list",
    HEAD + "tasks: {rte: }\npreset: [authors]\n":
        f"plan.yaml:3: preset: expected one of {', '.join(PRESETS)}, found a list",
    HEAD + f"tasks: {{rte: }}\nsettings: {{learning_rate: 1{'0' * 400}}}\n":
        "plan.yaml:3: settings.learning_rate: expected a number of at most 50 characters, found one of 401",
    HEAD + "tasks: {rte: }\nsettings: {batch_size: [8]}\n":
        "plan.yaml:3: settings.batch_size: expected one value, found a list",
    HEAD + "tasks:\n  rte: {settings: {num_train_epochs: 0}}\n": "plan.yaml:3: tasks.rte: ",
    HEAD + "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{b}: &{b} [{','.join(['*' + a] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ): "plan.yaml:2: has more than 20000 entries",
    HEAD + "tasks: {rte: {search: {trials: 1000000000, space: {batch_size: [8, 16]}}}}\n":
        "plan.yaml:2: tasks.rte.search.trials: expected a whole number from 1 to 1000, found 1000000000",
    HEAD + f"tasks: {{rte: }}\ngrid: {{batch_size: {list(range(1, 99))}, warmup_steps: {list(range(99))}}}\n":
        "plan.yaml:3: grid: more than 1000 combinations",
    HEAD + "tasks: {rte: {checkpoints: [base, base]}}\n":
        "plan.yaml:2: tasks.rte.checkpoints: a checkpoint stands twice",
    HEAD + "tasks: {rte: }\npreset: author\n":
        f"plan.yaml:3: preset: expected one of {', '.join(PRESETS)}, found 'author'",
    HEAD + "tasks:\n  rte: {init_from: mnli}\n":
        "plan.yaml:3: tasks.rte.init_from: expected 'best of TASK', found 'mnli'",
    HEAD + "tasks:\n  rte: {init_from: best of mnli}\n":
        "plan.yaml:3: tasks.rte.init_from: the plan has no mnli",
    HEAD + "tasks:\n  rte: {init_from: best of rte}\n":
        "plan.yaml:3: tasks.rte.init_from: rte from rte: nothing to begin with",
    HEAD + "tasks:\n  rte: {init_from: best of mnli}\n  mnli: {init_from: best of rte}\n":
        "plan.yaml:3: tasks.rte.init_from: rte from mnli from rte: nothing to begin with",
    "checkpoints: {a-b: x}\ntasks: {rte: }\n":
        "plan.yaml:1: checkpoints.a-b: a checkpoint's name has letters, digits, '_' and '.' only",
    "checkpoints: {a: {from_scratch: true}}\ntasks: {rte: }\n":
        "plan.yaml:1: checkpoints.a: names no 'model:'",
    "checkpoints: {a: x, b: y}\ntasks:\n  mnli: {checkpoints: [a]}\n  rte: {init_from: best of mnli}\n":
        "plan.yaml:4: tasks.rte.init_from: mnli is not run from checkpoint b",
    HEAD + "tasks: {rte: {checkpoints: [small]}}\n":
        "plan.yaml:2: tasks.rte.checkpoints: no checkpoint 'small'; known: base",
    HEAD + "tasks: {rte: }\nstop_early: yes\n":
        "plan.yaml:3: stop_early: expected median, or false, found True",
    HEAD + "tasks: {rte: }\nensemble: {methods: [max]}\n":
        "plan.yaml:3: ensemble.methods: expected some of mean, vote, threshold, soup, orders, saves, found a "
        "list",
    HEAD + "tasks: {rte: }\nsearch: {trials: 2}\n":
        "plan.yaml:3: search: a search has 'trials:' and 'space:'",
    HEAD + "tasks: {rte: }\nsearch: {trials: 2, space: {learning_rate: {low: 2, high: 1}}}\n":
        "plan.yaml:3: search.space.learning_rate: low 2.0 is not below high 1.0",
    HEAD + "tasks: {rte: }\nsearch: {trials: 2, space: {dropout: [1]}}\n":
        "plan.yaml:3: search.space.dropout: no such setting; python -m glue.run_glue --help lists them",
    HEAD + "tasks: {rte: {grid: {batch_size: [1]}, search: {trials: 2, space: {seed: [1]}}}}\n":
        "plan.yaml:2: tasks.rte.search.space.seed: seeds are listed under 'seeds:'",
    "extends: plan.yaml\n": "plan.yaml:1: extends: ",
    "extends: x/../plan.yaml\n": "plan.yaml:1: extends: ",
    "extends: nowhere\n":
        "plan.yaml:1: extends: no such plan file: nowhere; "
        "shipped plans: leaderboard, options, paper, quick, reference, stability, stability_from_mnli",
    "extends: other.txt\n": "plan.yaml:1: extends: no such plan file: other.txt; ",
    HEAD + "tasks: {rte\n": "plan.yaml:3: not YAML: expected ',' or '}'",
}  # fmt: skip


def test_a_list_of_tasks_is_enough(tmp_path: Path) -> None:
    assert names(plan_of(tmp_path, HEAD + "tasks: [cola, RTE]\n")) == ["cola/base", "rte/base"]


@pytest.mark.parametrize("text", FAULTS)
def test_what_is_wrong_is_said_with_its_line(text: str, tmp_path: Path) -> None:
    path = plan_of(tmp_path, text)
    with pytest.raises(InputError) as raised:
        read_plan(path)
    message = str(raised.value)
    assert message.removeprefix(f"{tmp_path}/").startswith(FAULTS[text]), message
    assert "\n" not in message


@pytest.mark.parametrize("text", ["token hunter2 is secret\n", "- hunter2\n", "hunter2\n", "'hunter2'\n"])
def test_a_file_that_is_no_plan_is_not_printed(text: str, tmp_path: Path) -> None:
    (tmp_path / "private").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        read_plan(plan_of(tmp_path, "extends: private\n"))
    assert "private:1: expected lines 'key: value', found a" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_plan_takes_every_usual_spelling_of_a_task(tmp_path: Path) -> None:
    text = HEAD + "seeds: [1]\ntasks:\n  MNLI-mm:\n  STS_B: {init_from: best of mnli_matched}\n  SST2:\n"
    assert names(plan_of(tmp_path, text)) == [
        "mnli/base-seed1",
        "sts-b/base-from-mnli-seed1",
        "sst-2/base-seed1",
    ]
    twice = plan_of(tmp_path, HEAD + "tasks:\n  sst-2:\n  SST2:\n", "twice.yaml")
    with pytest.raises(InputError, match=r"twice\.yaml:4: tasks\.SST2: stands twice"):
        read_plan(twice)


def test_plans_do_not_extend_one_another_without_end(tmp_path: Path) -> None:
    for number in range(30):
        plan_of(tmp_path, f"extends: p{number + 1}.yaml\n", f"p{number}.yaml")
    plan_of(tmp_path, "extends: leaderboard\n", "p30.yaml")
    with pytest.raises(InputError, match=r"p\d+\.yaml:1: extends: more than 20 plans"):
        read_plan(str(tmp_path / "p0.yaml"))


def test_a_plan_names_so_many_seeds_at_the_most(tmp_path: Path) -> None:
    seeds = ", ".join(map(str, range(2000)))
    with pytest.raises(InputError, match=r"plan\.yaml:\d+: seeds: more than 1000 seeds"):
        read_plan(plan_of(tmp_path, f"extends: leaderboard\nseeds: [{seeds}]\n"))


def test_a_name_too_long_for_a_plan_names_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"plan\.yaml:1: extends: no such plan file"):
        read_plan(plan_of(tmp_path, f"extends: {'x' * 5000}\n"))

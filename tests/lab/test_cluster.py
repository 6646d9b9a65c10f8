"""A Ray cluster of two nodes on this machine, one of them killed half-way: the results of one machine."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.sweep import main
from tests.lab.test_sweep import TRANSFER, contents, words, write_plan


def wait_for(condition, seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def started(cluster, **settings):
    """One more node; Ray gives it half a minute to start, which a busy machine may need twice."""
    for attempt in range(5):
        try:
            return cluster.add_node(num_cpus=1, **settings)
        except Exception as error:
            if "timed out during startup" not in str(error) or attempt == 4:
                raise


@pytest.mark.long
def test_a_lost_node_changes_nothing(
    project_dir: Path, sample_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    plan = write_plan(tmp_path, sample_dir, TRANSFER.replace("max_steps: 30", "max_steps: 60"))
    cluster = Cluster()
    started(cluster, include_dashboard=False)
    second = started(cluster)
    runs = tmp_path / "cluster"
    sweep = subprocess.Popen(
        [
            sys.executable, "-m", "lab.sweep", *words(plan, runs, sample_dir),
            "--engine", "ray", "--ray_address", cluster.address,
        ],
        cwd=project_dir, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    try:
        wait_for(lambda: sweep.poll() is not None or len(list(runs.glob("mnli/*/last"))) == 2)
        cluster.remove_node(second, allow_graceful=False)
        said = sweep.stderr.read() if sweep.stderr else ""
        assert sweep.wait() == 0, said
    finally:
        sweep.kill()
        cluster.shutdown()
    logs = [path.read_text().count("resuming after step") for path in runs.glob("*/*/train.log")]
    assert sorted(logs) == [0, 0, 0, 1]  # one trial was lost with its node, and went on from its last save
    main(words(plan, tmp_path / "local", sample_dir, "--workers", 2))
    assert contents(runs) == contents(tmp_path / "local")


def test_a_cluster_that_cannot_be_reached(sample_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    from commands.errors import InputError

    plan = write_plan(tmp_path, sample_dir, TRANSFER)
    with pytest.raises(InputError, match=r"--ray_address 127\.0\.0\.1:9: no cluster answers there"):
        main(words(plan, tmp_path / "runs", sample_dir, "--engine", "ray", "--ray_address", "127.0.0.1:9"))

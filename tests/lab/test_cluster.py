"""A Ray cluster of two nodes on this machine, one of them killed half-way: the results of one machine."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lab.cluster import RayRunner
from lab.sweep import main
from tests.lab.test_sweep import TRANSFER, argv, contents, write_plan


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
            sys.executable, "-m", "lab.sweep", *argv(plan, runs, sample_dir),
            "--engine", "ray", "--ray_address", cluster.address,
        ],
        cwd=project_dir, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    try:
        wait_for(lambda: sweep.poll() is not None or len(list(runs.glob("mnli/*/last"))) == 2)
        cluster.remove_node(second, allow_graceful=False)
        stderr = sweep.stderr.read() if sweep.stderr else ""
        assert sweep.wait() == 0, stderr
    finally:
        sweep.kill()
        cluster.shutdown()
    logs = [
        path.read_text(encoding="utf-8").count("resuming after step") for path in runs.glob("*/*/train.log")
    ]
    assert sorted(logs) == [0, 0, 0, 1]  # one trial was lost with its node, and went on from its last save
    main(argv(plan, tmp_path / "local", sample_dir, "--workers", 2))
    assert contents(runs) == contents(tmp_path / "local")


def test_room_is_counted_machine_by_machine(capsys: pytest.CaptureFixture[str]) -> None:
    """Of four machines one is gone: eleven cores are alive, and hold two jobs of four cores."""
    machines = [(4, 1, True), (4, 0, True), (3, 0, False), (3, 2, True)]
    nodes = [
        {"Alive": alive, "Resources": {"CPU": cpu, **({"GPU": gpu} if gpu else {})}}
        for cpu, gpu, alive in machines
    ]
    for threads, gpus, most, room in ((3, 0, None, 3), (4, 0, None, 2), (1, 1, None, 3), (3, 0, 2, 2)):
        assert engine_of(nodes, threads, gpus, most).workers == room
    assert capsys.readouterr().err == ""
    waiting = engine_of(nodes, 5, 1, None)
    assert (waiting.workers, waiting.workers) == (1, 1)
    assert capsys.readouterr().err == (
        "waiting: no machine of the cluster has 5 cores and a GPU for a trial; the largest has 4 cores, "
        "and 2 of 3 have a GPU (--threads, --device)\n"
    )


def engine_of(nodes: list[dict[str, Any]], threads: int, gpus: int, most: int | None) -> RayRunner:
    """An engine of a cluster with these machines, without Ray."""
    engine = object.__new__(RayRunner)
    engine._ray, engine._most, engine._threads, engine._gpus = Cluster(nodes), most, threads, gpus
    engine._has_complained = False
    return engine


class Cluster:
    def __init__(self, nodes: list[dict[str, Any]]) -> None:
        self.nodes = lambda: nodes


def test_a_cluster_that_cannot_be_reached(sample_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    from common.errors import InputError

    plan = write_plan(tmp_path, sample_dir, TRANSFER)
    with pytest.raises(InputError, match=r"--ray_address 127\.0\.0\.1:9: no cluster answers there"):
        main(argv(plan, tmp_path / "runs", sample_dir, "--engine", "ray", "--ray_address", "127.0.0.1:9"))

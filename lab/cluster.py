"""Runs trials on many machines, a Ray cluster, by the same commands as on one machine.

All machines see the same files under the same paths: this project, its Python's packages, the data, the
models and the folder of runs. A trial whose machine or process was lost is begun again elsewhere, and goes
on from what it had saved.
"""

import os
import socket
import sys
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from common.errors import InputError
from lab.command_chain import chain_environment
from lab.trial_config import TrialConfig
from lab.trial_run import WorkerSlot, run_trial
from lab.trial_store import FAILED, Outcome

_REACH_SECONDS = 10.0
_RETRIES = 5  # of a trial whose worker was lost; one that failed by itself is never tried again


class RayRunner:
    """Hands trials to a Ray cluster.

    Args:
        address: Of a running cluster; None: the one that runs on this machine, or else a new one of this
            machine alone.
        workers: At most so many trials at a time; None: as many as it holds.
        threads: Cores of a trial.
        device: With ``gpu`` every trial gets one GPU.
    """

    def __init__(self, address: str | None, workers: int | None, threads: int, device: str) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
        if address and address != "auto":
            _check_reach(address)
        try:
            import ray
        except ImportError:
            raise InputError("--engine ray: needs Ray: pip install '.[cluster]'") from None
        self._ray, self._most, self._threads, self._gpus = ray, workers, threads, int(device == "gpu")
        self._has_complained = False
        try:
            _join(ray, address, {"env_vars": {"PYTHONPATH": chain_environment(threads)["PYTHONPATH"]}})
        except ConnectionError as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"--ray_address {address}: no cluster answers there ({reason})") from None
        self._run = ray.remote(
            num_cpus=threads, num_gpus=self._gpus, max_retries=_RETRIES, retry_exceptions=False
        )(_work)

    @property
    def workers(self) -> int:
        """How many trials the cluster has room for now; at least 1, so that one can wait for machines."""
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        room = sum(self._room_of(machine) for machine in machines)
        if not room and not self._has_complained:
            self._has_complained = True
            most = max((int(machine.get("CPU", 0)) for machine in machines), default=0)
            largest = f"the largest has {most} cores"
            if self._gpus:
                count = sum("GPU" in machine for machine in machines)
                largest += f", and {count} of {len(machines)} have a GPU"
            gpu = " and a GPU" if self._gpus else ""
            print(
                f"waiting: no machine of the cluster has {self._threads} cores{gpu} for a trial; "
                f"{largest} (--threads, --device)", file=sys.stderr
            )  # fmt: skip
        return max(1, min(room, self._most or room))

    def _room_of(self, machine: Mapping[str, float]) -> int:
        """How many trials a machine can hold."""
        room = int(machine.get("CPU", 0)) // self._threads
        return min(room, int(machine.get("GPU", 0))) if self._gpus else room

    def submit(self, config: TrialConfig) -> "Future[Outcome]":
        result: Future[Outcome] = Future()
        remote = self._run.remote(config, self._threads).future()
        remote.add_done_callback(lambda done: result.set_result(_outcome(done)))
        return result

    def close(self) -> None:
        """Leave the cluster; trials that are running end with it, and what they saved stays."""
        self._ray.shutdown()


def _check_reach(address: str) -> None:
    """InputError where nobody listens; Ray itself would go on trying for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    try:
        socket.create_connection((host, int(port)), _REACH_SECONDS).close()
    except (ValueError, OSError) as error:
        raise InputError(f"--ray_address {address}: no cluster answers there ({error})") from None


def _join(ray: Any, address: str | None, environment: dict[str, Any]) -> None:
    settings = {"runtime_env": environment, "log_to_driver": False, "logging_level": "error"}
    if address:
        ray.init(address=address, **settings)
        return
    try:
        ray.init(address="auto", **settings)
    except ConnectionError:
        ray.init(include_dashboard=False, **settings)


def _work(config: TrialConfig, threads: int) -> Outcome:
    """What a worker of the cluster does."""
    runs = config.folder.parents[1]
    if not runs.is_dir():
        return Outcome(
            FAILED, f"{runs}: not on this machine; all machines of a cluster must see the same files"
        )
    return run_trial(config, WorkerSlot((), threads, os.environ.get("CUDA_VISIBLE_DEVICES", "")))


def _outcome(done: "Future[Outcome]") -> Outcome:
    """How a trial ended, or that its machine was lost once too often; run_trial itself raises nothing."""
    error = done.exception()
    if error is None:
        return done.result()
    reasons = str(error).strip().splitlines() or [type(error).__name__]
    return Outcome(FAILED, f"lost {_RETRIES + 1} times by the cluster: {reasons[0]}")

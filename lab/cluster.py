"""Runs trials on many machines, a Ray cluster, by the same commands as on one machine.

All machines see the same files under the same paths: this project, its Python's packages, the data, the
models and the folder of runs. A trial whose machine or process was lost is begun again elsewhere, and goes
on from what it had saved.
"""

import os
import socket
from concurrent.futures import Future
from typing import Any

from common.errors import InputError
from common.messages import say
from lab.command_chain import chain_environment
from lab.trial_config import TrialConfig
from lab.trial_run import WorkerSlot, run_trial
from lab.trial_store import FAILED, Outcome

_REACH_SECONDS = 10.0
_RETRIES = 5  # of a trial whose worker was lost; one that failed by itself is never tried again


class RayRunner:
    """Hands trials to a Ray cluster.

    address: of a running one; None: the one that runs on this machine, or else a new one of this machine
    alone. workers: at most so many trials at a time; None: as many as it holds. threads: cores of a trial.
    device: with ``gpu`` every trial gets one GPU.
    """

    def __init__(self, address: str | None, workers: int | None, threads: int, device: str) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to anybody
        try:
            if address and address != "auto":  # Ray itself would go on trying for minutes
                host, _, port = address.rpartition("://")[2].rpartition(":")
                socket.create_connection((host, int(port)), _REACH_SECONDS).close()
        except (ValueError, OSError) as error:
            raise InputError(f"--ray_address {address}: no cluster answers there ({error})") from None
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
        cores, gpus = ([int(machine.get(kind, 0)) for machine in machines] for kind in ("CPU", "GPU"))
        places = [core // self._threads for core in cores]
        room = sum(map(min, places, gpus) if self._gpus else places)
        if not room and not self._has_complained:
            self._has_complained = True
            wanted, largest = f"{self._threads} cores", f"{max(cores, default=0)} cores"
            if self._gpus:
                wanted += " and a GPU"
                largest += f", and {sum(map(bool, gpus))} of {len(machines)} have a GPU"
            say(
                f"waiting: no machine of the cluster has {wanted} for a trial; "
                f"the largest has {largest} (--threads, --device)"
            )
        return max(1, min(room, self._most or room))

    def submit(self, config: TrialConfig) -> "Future[Outcome]":
        result: Future[Outcome] = Future()
        remote = self._run.remote(config, self._threads).future()
        remote.add_done_callback(lambda done: result.set_result(_outcome(done)))
        return result

    def close(self) -> None:
        """Leave the cluster; trials that are running end with it, and what they saved stays."""
        self._ray.shutdown()


def _join(ray: Any, address: str | None, environment: dict[str, Any]) -> None:
    settings = {"runtime_env": environment, "log_to_driver": False, "logging_level": "error"}
    try:
        ray.init(address=address or "auto", **settings)
    except ConnectionError:
        if address:
            raise
        ray.init(include_dashboard=False, **settings)


def _work(config: TrialConfig, threads: int) -> Outcome:
    """What a worker of the cluster does."""
    runs = config.folder.parents[1]
    if not runs.is_dir():
        message = f"{runs}: not on this machine; all machines of a cluster must see the same files"
        return Outcome(FAILED, message)
    return run_trial(config, WorkerSlot((), threads, os.environ.get("CUDA_VISIBLE_DEVICES", "")))


def _outcome(done: "Future[Outcome]") -> Outcome:
    """How a trial ended, or that its machine was lost once too often; run_trial itself raises nothing."""
    error = done.exception()
    if error is None:
        return done.result()
    reasons = str(error).strip().splitlines() or [type(error).__name__]
    return Outcome(FAILED, f"lost {_RETRIES + 1} times by the cluster: {reasons[0]}")

"""Trials without processes of their own."""

import contextlib
import importlib
import io
import json

import pytest

from lab.command_chain import _run_chain


def run_trials_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of trials run in this process, where a start takes no seconds; their threads are set, and
    what they print goes nowhere.

    They run in threads, and Paddle computes at once only in threads younger than the one that imports it.
    """

    def run_commands(commands: list[list[str]], *_: object) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            _run_chain([json.dumps(commands)])

    importlib.import_module("encoders.framework")
    for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr("lab.trial_run._run_process", run_commands)

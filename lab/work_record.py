"""What lab.leaderboard has spent and measured, in a file that is renewed every few seconds: a command that
was killed goes on with the time it had left."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from common.errors import InputError
from common.files import write_json
from common.json_files import read_json_object
from lab.speed import Speed

_SAVE_SECONDS = 5.0


class WorkRecord:
    """Seconds at work in all calls, those of each trial, and the speeds that were measured; for a ``with``
    statement. clock: seconds from any beginning."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock, self._started = path, clock, clock()
        self._before, self._trials, self._speeds = 0.0, dict[str, float](), dict[str, Speed]()
        self._running: dict[str, float] = {}  # since when
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._save_now_and_then, daemon=True)
        if path.is_file():
            self._read()

    def _read(self) -> None:
        values = read_json_object(self._path)
        try:
            self._before = float(values["seconds"])
            self._trials = {name: float(seconds) for name, seconds in values["trials"].items()}
            self._speeds = {key: Speed(**speed) for key, speed in values["speeds"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            message = f"not a record of lab.leaderboard ({error}); remove it to begin the hours anew"
            raise InputError(message, path=self._path) from None

    def __enter__(self) -> "WorkRecord":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._thread.join()
        self.save()

    @property
    def seconds(self) -> float:
        """Spent so far, in this call and in those before."""
        return self._before + self._clock() - self._started

    def began(self, trial: str, is_anew: bool) -> None:
        """A trial has begun. is_anew: nothing is left of what it did before, which then does not count."""
        if is_anew:
            self._trials.pop(trial, None)
        self._running[trial] = self._clock()

    def ended(self, trial: str) -> None:
        if trial in self._running:
            self._trials[trial] = self.trial_seconds(trial)
            del self._running[trial]
        self.save()

    def trial_seconds(self, trial: str) -> float:
        """What a trial has taken so far, in all calls that its saves are of; 0 if it was never begun."""
        since = self._running.get(trial)
        return self._trials.get(trial, 0.0) + (0.0 if since is None else self._clock() - since)

    def is_measured(self, key: str) -> bool:
        """Whether a speed was measured under this key."""
        return key in self._speeds

    def speed(self, key: str, measure: Callable[[], Speed]) -> Speed:
        """The speed that was measured under this key; measured now if it never was."""
        if key not in self._speeds:
            self._speeds[key] = measure()
            self.save()
        return self._speeds[key]

    def forget_time(self) -> None:
        """Begin the hours anew."""
        self._before, self._started = 0.0, self._clock()

    def save(self) -> None:
        """Write the file; it appears whole or stays as it was."""
        with self._lock:
            trials = {name: round(self.trial_seconds(name), 1) for name in {**self._trials, **self._running}}
            speeds = {key: asdict(speed) for key, speed in self._speeds.items()}
            values = {"seconds": round(self.seconds, 1), "trials": trials, "speeds": speeds}
            write_json(self._path, values)

    def _save_now_and_then(self) -> None:
        while not self._closing.wait(_SAVE_SECONDS):
            with suppress(OSError, RuntimeError):  # a full disk, or a change meanwhile: the next time
                self.save()

"""run_training(): one run from begin to end, whatever the task; a task gives the parts."""

import dataclasses
import os
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from checkpoints.folder import check_length, check_manifest, digest_of, open_checkpoint
from checkpoints.network import load_weights
from common.errors import InputError, TerminatedError
from encoders import distributed
from encoders.batching import Batch, Features
from encoders.config import EncoderConfig
from encoders.framework import paddle, select_device
from training.batches import epoch_batches
from training.layer_decay import scales
from training.mixed_precision import precision_record
from training.run_config import FineTuningRunConfig, RunConfig
from training.run_environment import MUST_MATCH, SHOULD_MATCH, run_environment
from training.run_folder import RunFolder, Scores, WriteModel, check_target, open_run
from training.run_log import LOG
from training.run_result import RunResult
from training.trainer import TrainingJob, fit, seed_everything

_NOT_RECORDED = ("training", "saved", "output_dir", "resume", "overwrite_output_dir", "task_file")


class TrainingTask(ABC):
    """The parts that a task gives to ``run_training``; making one reads and checks what a run starts from."""

    name: str  # what ``args.json`` and ``scores.json`` call the task
    encoder: EncoderConfig  # the network's configuration
    # The files and folders that the run starts from, so that it is not written over them
    sources: Sequence[str | Path | None] = ()
    # Keys of ``args.json``, beside those of every run, that a resumed run must share
    must_match: tuple[str, ...] = ("do_lower_case",)
    # The files that a run of this kind leaves in its folder, beside those of every run
    extra_files: tuple[str, ...] = ()

    @abstractmethod
    def build(self) -> TrainingJob:
        """Make the network with the weights that it begins with; called once, when all seeds are set."""

    @abstractmethod
    def load_weights(self, save: Path) -> None:
        """Put the weights of a save of this run into the network."""

    @abstractmethod
    def data_record(self) -> dict[str, Any]:
        """Name → rows and digest of each file of data, for ``args.json``."""

    def more_args(self) -> dict[str, Any]:
        """Further entries of ``args.json``."""
        return {}

    def notes(self) -> list[str]:
        """What to log before the first step, a line each."""
        return []

    def finish(self, run: RunFolder) -> None:  # noqa: B027 (most tasks have nothing to do)
        """Do what is left after the last step, while the folder is still held."""


def run_training(config: RunConfig, task: TrainingTask) -> RunResult:
    """Train a task in a run's folder, or resume that; nothing is written before all is read."""
    check_target(Path(config.output_dir), config.resume, config.overwrite_output_dir, task.extra_files)
    refuse_own_sources(config.output_dir, task.sources)
    select_device(config.device)
    distributed.init()
    seed_everything(config.training.seed)
    job = task.build()
    args = run_args(config, task)
    with open_run(config.output_dir, config.resume, config.overwrite_output_dir, task.extra_files) as run:
        if run.resumes:
            run.check_args(args, (*MUST_MATCH, *task.must_match), SHOULD_MATCH)
            task.load_weights(run.source)
        else:
            run.write_args(args)
        for note in task.notes():
            LOG.info(note)
        with _naming_how_to_go_on(run.path):
            state = fit(job, config.training, run, config.report_to)
        task.finish(run)
    return RunResult(Path(config.output_dir), task.name, job.metric_for_best, state.best, state.last)


@contextmanager
def _naming_how_to_go_on(folder: Path) -> Iterator[None]:
    """Let SIGTERM, by which clusters stop a job, end a run as Ctrl-C does, and say how it goes on.

    Not where processes wait for one another: there only the system can end a process that waits.
    """
    is_alone = distributed.world_size() == 1 and threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, _terminate) if is_alone else None
    try:
        yield
    except KeyboardInterrupt:
        flags = f"--resume --output_dir {folder}"
        LOG.info(f"stopped; the same command with nothing but {flags} goes on from the last save")
        raise
    finally:
        if is_alone:
            signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _terminate(*_: Any) -> NoReturn:
    raise TerminatedError


def run_args(config: RunConfig, task: TrainingTask) -> dict[str, Any]:
    """What ``args.json`` holds: enough to run the same again."""
    values = {name: value for name, value in vars(config).items() if name not in _NOT_RECORDED}
    return {
        "task_name": task.name,
        **values,
        # So that the run can be resumed from any folder; links stay.
        **{name: os.path.abspath(values[name]) for name in config.PATHS if values[name]},  # noqa: PTH100
        **task.more_args(),
        "recipe": dataclasses.asdict(config.training),
        "model": dataclasses.asdict(task.encoder),
        **run_environment(),
        "precision": precision_record(config.training),
        "data": task.data_record(),
    }


def refuse_own_sources(output_dir: str | Path, sources: Iterable[str | Path | None]) -> None:
    """Raise InputError if the run would lie over the model or the data that it starts from."""
    target = Path(output_dir).resolve()
    for source in sources:
        if source and Path(source).resolve().is_relative_to(target):
            message = f"holds {source}, which this run starts from; take another --output_dir"
            raise InputError(message, path=output_dir)


class FineTuningTask(TrainingTask):
    """What fine-tuning tasks have in common: they start with a model folder, or with a save of their own, and
    are scored by their answers to dev files, of which the best model's are kept."""

    model: paddle.nn.Layer
    _answers: Any = None  # to the dev files, of the last evaluation in this process
    _best_answers: Any = None  # the same of the best one, if this process wrote ``best/``

    def __init__(self, config: FineTuningRunConfig, max_seq_length: int) -> None:
        self.config = config
        self.folder = config.saved or config.model_name_or_path
        self.checkpoint = open_checkpoint(self.folder)
        check_length(max_seq_length, self.checkpoint.config)

    def load_weights(self, save: Path) -> None:
        load_weights(self.model, open_checkpoint(save).with_config(self.encoder))

    def more_args(self) -> dict[str, Any]:
        """The model it began with, and its digest."""
        named = self.config.model_name_or_path
        return {
            **({"model_name_or_path": named} if self.config.saved else {}),
            "model_sha256": self.config.model_sha256 or digest_of(named),
        }

    @abstractmethod
    def answer(self) -> Any:
        """The network's answers to the dev files; it is in evaluation mode."""

    @abstractmethod
    def score(self, answers: Any) -> Scores:
        """The scores of such answers, ``main`` among them."""

    @abstractmethod
    def write_answers(self, answers: Any, run: RunFolder) -> None:
        """Write the answers of the model in ``best/`` into the run's folder."""

    def evaluate(self) -> Scores:
        """Score the network on the dev files."""
        self._answers = self.answer()
        return self.score(self._answers)

    def finish(self, run: RunFolder) -> None:
        """Write the answers that ``best/`` was chosen by; those of an earlier process are given again."""
        if distributed.broadcast(self._best_answers is None):
            check_manifest(run.path / "best")
            self.load_weights(run.path / "best")
            self.model.eval()
            self._best_answers = self.answer()
        if distributed.is_first():
            self.write_answers(self._best_answers, run)

    def job(
        self,
        features: Features,
        loss: Callable[[Batch], paddle.Tensor],
        write_model: WriteModel,
        depth_rules: Sequence[tuple[str, int]],
        **more: Any,
    ) -> TrainingJob:
        """Put the parts together; more: further fields of ``TrainingJob``."""

        def write_best(folder: Path) -> None:
            write_model(folder)
            self._best_answers = self._answers

        names = [name for name, _ in self.model.named_parameters()]
        return TrainingJob(
            model=self.model,
            batches=epoch_batches(features, self.config.training, self.encoder, self.config.device),
            loss=loss,
            evaluate=self.evaluate,
            write_model=write_model,
            write_best=write_best,
            scales=scales(names, depth_rules, self.encoder.num_hidden_layers, self.config.training),
            task=self.name,
            **more,
        )

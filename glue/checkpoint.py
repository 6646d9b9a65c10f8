"""A task's checkpoint, in a model folder or an exported one, and what runs it: its network or a graph."""

from pathlib import Path

from checkpoints.folder import check_manifest, digest_of, read_config
from checkpoints.network import load_classifier
from checkpoints.tokenizer import tokenizer_of
from common.errors import InputError
from common.messages import say
from encoders.heads import SentenceClassifier
from glue.model import config_for_task, naming_notes
from glue.tasks import Task
from inference.engine import Engine
from inference.engine_choice import choose_engine, graph_engine
from inference.exported import ExportedModel, is_exported, read_exported
from inference.graph_engine import open_engine
from inference.network_engine import NetworkEngine
from inference.tie_breaking import TieBreakingEngine


class Checkpoint:
    """A checkpoint as read, its weights not yet. config: with the labels' names as --label_map gives them.
    lower_case: whether texts are lower-cased, whatever the folder says; None: as it says.

    InputError if it is damaged, or of another task.
    """

    def __init__(
        self, folder: Path, task: Task, label_map: str | None, lower_case: bool | None = None
    ) -> None:
        self.folder, self.task = folder, task
        self._exported: ExportedModel | None = read_exported(folder) if is_exported(folder) else None
        if self._exported is None:
            check_manifest(folder)
        found = self._exported.config if self._exported else read_config(folder)
        self.config = config_for_task(folder, found, task, label_map)
        for note in [] if label_map else naming_notes(folder, found, self.config):
            say(f"note: {note}")
        self.tokenizer = tokenizer_of(folder, self.config, lower_case)

    def digest(self) -> str:
        """Of the model folder, which an exported folder knows."""
        return self._exported.digest if self._exported else digest_of(self.folder)

    def runner(self, wanted: str, device: str, tokens: int) -> SentenceClassifier | Engine:
        """What runs it. wanted: of ``inference.engine_choice.ENGINES``; tokens: how many there are to run."""
        if self._exported is not None:
            return TieBreakingEngine(self._open_exported(self._exported, wanted, device), None)
        kind = choose_engine(wanted, device, tokens)
        network = load_classifier(self.folder, self.config)
        if kind == "dynamic":
            return network
        try:
            graph = graph_engine(network, self.tokenizer, kind, device)
        except InputError as error:
            if wanted != "auto":
                raise
            say(f"note: runs on --engine dynamic: {error}")
            return network
        say(f"note: runs on --engine {kind}")
        # Writing a Paddle graph makes the network a static one: who asks it gets it anew.
        return TieBreakingEngine(graph, lambda: NetworkEngine(load_classifier(self.folder, self.config)))

    def _open_exported(self, exported: ExportedModel, wanted: str, device: str) -> Engine:
        if wanted not in ("auto", exported.format):
            remedy = "leave --engine out" if wanted != "dynamic" else "name the model folder"
            raise InputError(f"{self.folder}: is an exported {exported.format} graph; {remedy}")
        if exported.head != "sentence":
            raise InputError(f"{self.folder}: answers questions; deploy.infer asks it")
        return open_engine(exported, device)

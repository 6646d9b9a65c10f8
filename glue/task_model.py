"""The model of a task, in a model folder or an exported one, and what runs it: its network or a graph."""

from pathlib import Path

from checkpoints.folder import Checkpoint, check_manifest, digest_of, open_checkpoint
from checkpoints.network import load_classifier
from checkpoints.tokenizer import tokenizer_of
from common.errors import InputError
from common.messages import say
from encoders.heads import SentenceClassifier
from glue.model import config_for_task, naming_notes
from glue.tasks import Task
from inference.bfloat16_engine import Bfloat16Engine
from inference.engine import Engine
from inference.engine_choice import choose_engine, exported_engine
from inference.exported import ExportedModel, is_exported, read_exported
from inference.graph_engine import open_engine
from inference.network_engine import NetworkEngine
from inference.tie_breaking import TieBreakingEngine


class TaskModel:
    """A task's model, opened: a model folder or an exported one. Its weights are not read yet."""

    def __init__(
        self, folder: Path, task: Task, label_map: str | None, lower_case: bool | None = None
    ) -> None:
        """Open a folder; InputError where it is damaged, or of another task.

        Labels have the names of ``label_map``, a comma list in the order of their ids, or those in the
        folder.
        """
        self.folder, self.task = folder, task
        if not is_exported(folder):
            check_manifest(folder)
        opened: ExportedModel | Checkpoint
        opened = read_exported(folder) if is_exported(folder) else open_checkpoint(folder)
        self.config = config_for_task(folder, opened.config, task, label_map)
        for note in [] if label_map else naming_notes(folder, opened.config, self.config):
            say(f"note: {note}")
        self._opened = opened.with_config(self.config) if isinstance(opened, Checkpoint) else opened
        self.tokenizer = tokenizer_of(folder, self.config, lower_case)

    def digest(self) -> str:
        """Of the model folder, which an exported folder knows."""
        return self._opened.digest if isinstance(self._opened, ExportedModel) else digest_of(self.folder)

    def runner(self, wanted: str, device: str, tokens: int) -> SentenceClassifier | Engine:
        """What runs it. wanted: of ``inference.engine_choice.ENGINES``; tokens: how many there are to run."""
        checkpoint = self._opened
        if isinstance(checkpoint, ExportedModel):
            return TieBreakingEngine(self._open_exported(checkpoint, wanted, device), None)
        kind = choose_engine(wanted, device, tokens, self.task.is_regression)
        network = load_classifier(checkpoint)
        if kind == "dynamic":
            if wanted == "bfloat16":
                say("note: runs in float32: a regression has no labels that bfloat16 could leave as they are")
            return network
        if kind == "bfloat16":
            say("note: runs on --engine bfloat16: the labels are those of float32, the logits nearly")
            network.eval()
            return Bfloat16Engine(network)
        try:
            graph = exported_engine(network, self.tokenizer, kind, device)
        except InputError as error:
            if wanted != "auto":
                raise
            say(f"note: runs on --engine dynamic: {error}")
            return network
        say(f"note: runs on --engine {kind}")
        # Writing a Paddle graph makes the network a static one: who asks it gets it anew.
        return TieBreakingEngine(graph, lambda: NetworkEngine(load_classifier(checkpoint)))

    def _open_exported(self, exported: ExportedModel, wanted: str, device: str) -> Engine:
        if wanted not in ("auto", exported.format):
            remedy = "leave --engine out" if wanted != "dynamic" else "name the model folder"
            raise InputError(f"is an exported {exported.format} graph; {remedy}", path=self.folder)
        if exported.head != "sentence":
            raise InputError("answers questions; deploy.infer asks it", path=self.folder)
        return open_engine(exported, device)

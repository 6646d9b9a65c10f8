"""A fine-tuned model folder → an exported folder, as the flags of ``deploy.export`` say."""

from argparse import Namespace
from itertools import islice
from pathlib import Path

from checkpoints.folder import digest_of
from common.messages import say
from deploy.export import MAX_INPUT_ROWS
from deploy.network_loading import load_network
from deploy.quantization import quantizer
from deploy.rows import TextRow, column_choices, read_rows
from glue.task_file import read_task_file
from inference.export import check_packages, check_target
from inference.export import export as export_graph
from squad.windows import saved_cutting


def export(flags: Namespace) -> None:
    """Carry out ``deploy.export``."""
    check_target(Path(flags.save_inference_dir))
    check_packages(flags.format)
    folder, network, tokenizer = load_network(flags.model_path, flags.do_lower_case, flags.label_map)
    target, finish = flags.save_inference_dir, None
    say(f"{folder}: writing a {flags.format} graph and comparing its answers with the model's")
    if flags.int8:
        if flags.task_file:
            read_task_file(flags.task_file)
        finish = quantizer(folder, network.config, flags.data_dir)
    cutting = {f"qa_{name}": value for name, value in saved_cutting(folder).items()}
    difference = export_graph(
        network, tokenizer, digest_of(folder), target, flags.format, _rows(flags), finish, cutting
    )
    print(f"{target}: {flags.format} graph; largest difference from the model {difference:.1e}")


def _rows(flags: Namespace) -> list[TextRow]:
    if not flags.input:
        return []
    names = [*column_choices("sentence"), *column_choices("question")]
    choices = [flags.columns.split(",")] if flags.columns else names
    return [row for _, row in islice(read_rows(flags.input, choices), MAX_INPUT_ROWS)]

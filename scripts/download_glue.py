"""Fetch the official GLUE files: all nine tasks and the diagnostic set, 376 MB to fetch.

Example:
  python -m scripts.download_glue --data_dir glue_data

Every file is checked against a known size and SHA-256. What is there already is not fetched again. Prints the
folder of each task.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from checkpoints.download import Source, fetch
from common.cache import make_dir
from common.command_line import CommandParser, path, run
from common.errors import InputError
from common.files import atomic_write
from glue.tasks import TASKS, Task, task_name
from scripts.unpacking import unpack

SERVER = "https://dl.fbaipublicfiles.com"
_GLUE, _SENTEVAL = "glue/data", "senteval/senteval_data"

# Folder → path on the server, bytes, SHA-256.
ARCHIVES: dict[str, tuple[str, int, str]] = {
    "CoLA": (f"{_GLUE}/CoLA.zip", 376971,
             "f212fcd832b8f7b435fb991f101abf89f96b933ab400603bf198960dfc32cbff"),
    "SST-2": (f"{_GLUE}/SST-2.zip", 7439277,
              "d67e16fb55739c1b32cdce9877596db1c127dc322d93c082281f64057c16deaa"),
    "STS-B": (f"{_GLUE}/STS-B.zip", 802872,
              "e60a6393de5a8b5b9bac5020a1554b54e3691f9d600b775bd131e613ac179c85"),
    "QQP": (f"{_GLUE}/QQP-clean.zip", 41696084,
            "40e7c862c04eb26ee04b67fd900e76c45c6ba8e6d8fab4f8f1f8072a1a3fbae0"),
    "MNLI": (f"{_GLUE}/MNLI.zip", 312783507,
             "e7c1d896d26ed6caf700110645df426cc2d8ebf02a5ab743d5a5c68ac1c83633"),
    "QNLI": (f"{_GLUE}/QNLIv2.zip", 10627589,
             "e634e78627a29adaecd4f955359b22bf5e70f2cbd93b493f2d624138a0c0e5f5"),
    "RTE": (f"{_GLUE}/RTE.zip", 697150,
            "6bf86de103ecd335f3441bd43574d23fef87ecc695977a63b82d5efb206556ee"),
    "WNLI": (f"{_GLUE}/WNLI.zip", 28999,
             "ae0e8e4d16f4d46d4a0a566ec7ecceccfd3fbfaa4a7a4b4e02848c0f2561ac46"),
}  # fmt: skip
# What comes as single files.
PLAIN: dict[str, dict[str, tuple[str, int, str]]] = {
    "MRPC": {
        "train": (f"{_SENTEVAL}/msr_paraphrase_train.txt", 1047044,
                  "60a9b09084528f0673eedee2b69cb941920f0b8cd0eeccefc464a98768457f89"),
        "test": (f"{_SENTEVAL}/msr_paraphrase_test.txt", 441275,
                 "a04e271090879aaba6423d65b94950c089298587d9c084bf9cd7439bd785f784"),
        "dev_ids": (f"{_GLUE}/mrpc_dev_ids.tsv", 6222,
                    "971d7767d81b997fd9060ade0ec23c4fc31cbb226a55d1bd4a1bac474eb81dc7"),
    },
    "diagnostic": {
        "test": (f"{_GLUE}/AX.tsv", 222257,
                 "0e13510b1bb14436ff7e2ee82338f0efb0133ecf2e73507a697dc210db3f05fd"),
    },
}  # fmt: skip


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m scripts.download_glue", description=__doc__)
    parser.elsewhere = {"--task": "--task_name", "--tasks": "--task_name, once for each"}
    parser.add_argument("--data_dir", type=path, metavar="DIR", help="where to (default: the download cache)")
    help_text = "only this task; may be repeated"
    parser.add_argument("--task_name", action="append", type=task_name, metavar="TASK", help=help_text)
    help_text = f"a mirror with the same paths (default: {SERVER})"
    parser.add_argument("--server", default=SERVER, metavar="URL", help=help_text)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    data_dir = Path(flags.data_dir) if flags.data_dir else make_dir("glue")
    for name in flags.task_name or TASKS:
        for folder, files in files_of(TASKS[name]).items():
            download(folder, files, data_dir, flags.server)
            print(data_dir / folder, flush=True)


def files_of(task: Task) -> dict[str, list[str]]:
    """Folder → the names of its files, for every folder that a task reads from."""
    folders: dict[str, list[str]] = {}
    for split in task.splits:
        folder, name = split.file.split("/")
        folders.setdefault(folder, []).append(name)
    return folders


def download(folder: str, files: list[str], data_dir: Path, server: str = SERVER) -> None:
    """Make sure that a folder's files are in data_dir. Whatever goes wrong is an InputError."""
    folder_path = data_dir / folder
    if all((folder_path / name).is_file() for name in files):
        print(f"{folder_path}: is there already", file=sys.stderr)
        return
    fetched: dict[str, Path] = {}
    rows = PLAIN.get(folder) or {"archive": ARCHIVES[folder]}
    for part, (address, size, digest) in rows.items():
        source = Source(f"{server.rstrip('/')}/{address}", size, f"sha256:{digest}")
        fetched[part] = fetch(source, data_dir / ".fetched" / address.rsplit("/", 1)[-1])
    if folder == "MRPC":
        assemble_mrpc(fetched, folder_path)
    elif folder in PLAIN:
        _write(folder_path / files[0], [fetched["test"].read_bytes()])
    else:
        unpack(fetched["archive"], folder_path, files)
    for file in fetched.values():
        file.unlink()


def _write(path: Path, lines: list[bytes]) -> None:
    with atomic_write(path) as file:
        file.writelines(lines)


def assemble_mrpc(fetched: dict[str, Path], folder_path: Path) -> None:
    """MRPC's official files from the corpus: its training rows divided by the list of dev pairs, each
    line as it stands; its test rows numbered, without the gold labels that stand there."""
    header, *rows = _lines(fetched["train"])
    pairs = [tuple(line.split()) for line in _lines(fetched["dev_ids"])]
    wanted = {pair for pair in pairs if all(part.isdigit() for part in pair)}
    parts: dict[bool, list[bytes]] = {True: [header], False: [header]}
    for number, row in enumerate(rows, start=2):
        fields = row.split(b"\t")
        if len(fields) != 5:
            raise InputError(f"expected 5 columns, found {len(fields)}", path=fetched["train"], line=number)
        parts[tuple(fields[1:3]) in wanted].append(row)
    if len(parts[True]) - 1 != len(wanted):
        message = f"names {len(wanted)} pairs, {len(parts[True]) - 1} of them in the corpus"
        raise InputError(message, path=fetched["dev_ids"])
    _write(folder_path / "train.tsv", parts[False])
    _write(folder_path / "dev.tsv", parts[True])
    _, *rows = _lines(fetched["test"])
    numbered = [b"%d\t%s" % (index, row.split(b"\t", 1)[1]) for index, row in enumerate(rows)]
    _write(folder_path / "test.tsv", [b"index\t#1 ID\t#2 ID\t#1 String\t#2 String\n", *numbered])


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


if __name__ == "__main__":
    run(main)

"""Fetch SQuAD 1.1 and 2.0: the training and dev files, 116 MB.

Example:
  python -m scripts.download_squad --data_dir squad_data

Every file is checked against its published MD5. Prints each file's path.
"""

from collections.abc import Sequence
from pathlib import Path

from checkpoints.download import Source, fetch
from common.cache import make_dir
from common.command_line import CommandParser, path, run

SERVER = "https://rajpurkar.github.io/SQuAD-explorer/dataset"
_LARGEST = 100_000_000  # bytes; the largest file has 42 123 633
MD5 = {
    "train-v1.1.json": "981b29407e0affa3b1b156f72073b945",
    "dev-v1.1.json": "3e85deb501d4e538b6bc56f786231552",
    "train-v2.0.json": "62108c273c268d70893182d5cf8df740",
    "dev-v2.0.json": "246adae8b7002f8679c027697b0b7cf8",
}


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m scripts.download_squad", description=__doc__)
    parser.add_argument("--data_dir", type=path, metavar="DIR", help="where to (default: the download cache)")
    parser.add_argument(
        "--version", choices=("1.1", "2.0"), action="append", help="only this version (default: both)"
    )
    parser.add_argument("--server", default=SERVER, metavar="URL", help=f"a mirror (default: {SERVER})")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    data_dir = Path(flags.data_dir) if flags.data_dir else make_dir("squad")
    for name, digest in MD5.items():
        if not flags.version or any(f"v{version}." in name for version in flags.version):
            source = Source(f"{flags.server.rstrip('/')}/{name}", digest=f"md5:{digest}", max_size=_LARGEST)
            print(fetch(source, data_dir / name), flush=True)


if __name__ == "__main__":
    run(main)

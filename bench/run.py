"""Speed side by side: this project, PaddleNLP and transformers, on the same weights, rows and batches.

  python -m bench.run --data_dir glue_data --words conv-bert-base
  python -m bench.run --quick --only train infer --sizes small
  python -m bench.run --only train infer --sizes roberta-base deberta-v3-small modernbert-base

Each stack runs in a process of its own environment (PADDLENLP_PYTHON, HUGGINGFACE_PYTHON name their
Pythons); one that is missing is named and left out. They take turns, round by round; printed are medians of
the rounds, and after × the median of the ratios to the first line. Times are this machine's; ratios are
what carries over. Run it where nothing else runs.

Cases:
CASES
"""

import os
import tempfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from bench.sizes import NAMES
from common.command_line import CommandParser, count, run

# Case → its function in bench.command_cases or bench.network_cases, and what it measures.
CASES = {
    "help": ("command_cases.help_", "start-up of every command"),
    "tokenise": ("command_cases.tokenise", "tokenising QQP's test set"),
    "pack": ("command_cases.pack", "packing the hand-in and checking the zip, time and memory"),
    "squad": ("squad_case.squad", "windows and answers of SQuAD's dev set (--squad_file)"),
    "gemm": ("network_cases.gemm", "the machine's matrix product"),
    "train": ("network_cases.train", "a training step at 32 × 32 and 32 × 128"),
    "infer": ("network_cases.infer", "inference at 32 × 32 and 32 × 128"),
    "epoch": ("network_cases.epoch", "a training epoch of SST-2, extrapolated"),
    "predict": ("network_cases.predict", "prediction of rows like SST-2's, extrapolated"),
    "qqp": ("network_cases.qqp", "prediction of QQP's test set, extrapolated"),
    "memory": ("network_cases.memory", "peak memory of training at 32 × 128"),
    "span": ("network_cases.span", "the span-based convolution's share of a step, its memory by length"),
}


def make_parser() -> CommandParser:
    lines = "\n".join(f"  {name:<10} {what}" for name, (_, what) in CASES.items())
    parser = CommandParser(prog="python -m bench.run", description=(__doc__ or "").replace("CASES", lines))
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="cases (default: all)")
    parser.add_argument(
        "--sizes", nargs="+", choices=NAMES, default=["small", "base"], metavar="SIZE",
        help=f"of the network: ConvBERT's, or another family's ({', '.join(NAMES)}; default: small base)",
    )  # fmt: skip
    parser.add_argument(
        "--peers", nargs="+", default=[""], metavar="WORD",
        help="of the cases that compare: lines with one of these words, as `ours defaults` (default: all; "
        "those of a case are in memory together); ratios are to the first of them",
    )  # fmt: skip
    parser.add_argument("--rounds", type=count, default=5, metavar="N", help="rounds (default: 5)")
    parser.add_argument(
        "--batches", type=count, default=8, metavar="N", help="batches sampled of an epoch (default: 8)"
    )
    parser.add_switch("--quick", help="one round, three batches: to see that all works, not to quote")
    parser.add_argument(
        "--device", choices=("cpu", "gpu"), default="cpu", help="default: cpu; gpu was not run by the authors"
    )
    parser.add_argument(
        "--clock", choices=("wall", "processor"), default="wall",
        help="processor: seconds of all cores together, less disturbed by other programs (default: wall)",
    )  # fmt: skip
    parser.add_argument(
        "--data_dir", default=os.environ.get("GLUE_DATA_DIR", ""), metavar="DIR",
        help="official GLUE files (default: $GLUE_DATA_DIR, else the embedded sample)",
    )  # fmt: skip
    parser.add_argument(
        "--words",
        dest="vocabulary",
        default="",
        metavar="FOLDER",
        help="model folder whose vocabulary tokenises (default: the sample's)",
    )
    parser.add_argument(
        "--squad_file", default="", metavar="FILE", help="official SQuAD 1.1 file (default: made-up texts)"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    # Taken before Paddle is imported, whose settings of ours would be inherited by the peers.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    from bench import command_cases, network_cases, squad_case
    from bench.workload import Setup

    modules = {"command_cases": command_cases, "network_cases": network_cases, "squad_case": squad_case}
    with tempfile.TemporaryDirectory() as scratch:
        setup = Setup(
            Path(scratch), environment, flags.data_dir, flags.vocabulary, flags.device,
            rounds=1 if flags.quick else flags.rounds, batches=3 if flags.quick else flags.batches,
            clock=flags.clock, squad_file=flags.squad_file, peers=tuple(flags.peers),
        )  # fmt: skip
        print(_machine())
        for name in flags.only:
            module, _, function = CASES[name][0].partition(".")
            case: Callable[[Setup, Sequence[str]], None] = getattr(modules[module], function)
            case(setup, flags.sizes)


def _machine() -> str:
    """The head of the output: processor, the widest of its instruction sets, threads, libraries."""
    from encoders.runtime import processor, threads_to_use

    machine, known = processor(), ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_tile")
    features = " ".join(name for name in known if name in machine["features"].split())
    libraries = ", ".join(f"{name} {version(name)}" for name in ("paddlepaddle", "numpy"))
    return "; ".join([machine["model"], features, f"{threads_to_use()} threads", libraries])


if __name__ == "__main__":
    run(main)

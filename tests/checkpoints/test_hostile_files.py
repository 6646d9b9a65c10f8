"""Files of weights made to exhaust whoever reads them: one short line each, in bounded time and memory."""

import json
import pickle
import random
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors

from checkpoints.formats.safetensors_file import open_safetensors
from common.errors import InputError
from tests.checkpoints.hostile_pickles import doubled, pickles, text
from tests.checkpoints.test_pickles import as_zip, tensor_pickle

PROJECT = Path(__file__).parents[2]
MEMORY, SECONDS = 600, 5  # megabytes beyond what an idle process takes; of processor time for one file

# Reads each file as its name says, in a process that the system stops at its limits. A line a file: its
# name, how long it took, and the message.
CHILD = """
import json, resource, sys, time
from pathlib import Path
from checkpoints.formats.paddle_file import open_paddle
from checkpoints.formats.safetensors_file import open_safetensors
from checkpoints.formats.tensors import FLOATS
from checkpoints.formats.torch_file import open_torch
from common.errors import InputError
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limit = used + int(sys.argv[2]) * 1_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
resource.setrlimit(resource.RLIMIT_CPU, (40, 40))
readers = {".pdparams": open_paddle, ".bin": open_torch, ".safetensors": open_safetensors}
for path in sorted(Path(sys.argv[1]).iterdir()):
    begun, message = time.process_time(), "read"
    try:
        for tensor in readers[path.suffix](path).values():
            if tensor.kind in FLOATS:
                tensor.load()
    except InputError as error:
        message = str(error)
    print(json.dumps([path.name, time.process_time() - begun, message]), flush=True)
"""


def zips(folder: Path) -> Iterator[Path]:
    """Zip archives that are not what they say."""
    honest = tensor_pickle((2,), (1,))
    with zipfile.ZipFile(folder / "compressed numbers.bin", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", honest, zipfile.ZIP_STORED)
        archive.writestr("a/data/0", bytes(20_000_000))
    with zipfile.ZipFile(folder / "compressed pickle.bin", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"N" * 20_000_000)
    yield from (folder / "compressed numbers.bin", folder / "compressed pickle.bin")
    path = as_zip(folder / "two of one name.bin", honest, **{"data/0": bytes(16)})
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data/0", bytes(16))
    yield path
    path = as_zip(folder / "sizes of another world.bin", honest, **{"data/0": bytes(16)})
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 20 : entry + 28] = struct.pack("<II", 2**31, 2**31)
    path.write_bytes(content)
    yield path
    path = as_zip(folder / "a header elsewhere.bin", honest, **{"data/0": bytes(16)})
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 42 : entry + 46] = struct.pack("<I", 7)
    path.write_bytes(content)
    yield path
    path = as_zip(folder / "a header before the file.bin", honest, **{"data/0": bytes(16)})
    content = bytearray(path.read_bytes())
    end = content.rindex(b"PK\x05\x06")
    content[end + 16 : end + 20] = struct.pack("<I", 2**31)  # where the list of members begins
    path.write_bytes(content)
    yield path
    path = folder / "a list of a million members.bin"
    row = b"PK\x01\x02" + bytes(42)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(row) * 10**6, 0, 0)
    path.write_bytes(b"PK" + row * 10**6 + end)
    yield path
    yield as_zip(folder / "one number as 2**40.bin", tensor_pickle((2**40,), (0,)), **{"data/0": bytes(16)})


def legacy() -> Iterator[tuple[str, bytes]]:
    """PyTorch's older format: a magic number, a version, the system, the mapping, the storages' names."""
    magic, version, system = (pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}))
    yield "magic", b"\x80\x02" + doubled(60) + b"."
    yield "version", magic + b"\x80\x02" + doubled(60) + b"."
    yield "system", magic + version + b"\x80\x02" + doubled(60) + b"."
    keys = b"\x80\x02]" + doubled(60) + b"a."
    yield "storage names", magic + version + system + b"\x80\x02}." + keys
    reference = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + doubled(60) + b"NK\x01Nt"
    yield "storage name", magic + version + system + b"\x80\x02" + reference + b"Q."


def headers() -> Iterator[tuple[str, bytes]]:
    """What stands in a safetensors file behind the header's length."""
    row = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    for name, header in {
        "overlapping": {"a": row, "b": row},
        "a gap": {"a": row, "b": {**row, "data_offsets": [8, 12]}},
        "backwards": {"a": {**row, "data_offsets": [4, 0]}},
        "below zero": {"a": {**row, "data_offsets": [-4, 0]}},
        "of text": {"a": {**row, "data_offsets": ["0", "4"]}},
        "of fractions": {"a": {**row, "data_offsets": [0.0, 4.0]}},
        "of truths": {"a": {**row, "shape": [True]}},
        "of another size": {"a": {**row, "shape": [2]}},
        "100 000 dimensions": {"a": {**row, "shape": [1] * 100_000}},
        "none of 2**126": {"a": {**row, "shape": [0, 2**126], "data_offsets": [0, 0]}},
        "a long name": {"a" * 1_000_000: {**row, "shape": [2]}},
        "kind of a list": {"a": {**row, "dtype": ["F32"]}},
        "no offsets": {"a": {"dtype": "F32", "shape": [1]}},
        "a list": [row],
        "a number": {"a": 4},
        "digits": {"a": {**row, "data_offsets": [0, 10**4000]}},
    }.items():
        yield name, json.dumps(header).encode()
    whole = json.dumps(row).encode()
    yield "a name twice", b'{"a": ' + whole + b', "a": ' + whole + b"}"
    yield "a key twice", b'{"a": {"dtype": "F32", "dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}'
    yield "nested", b"[" * 5_000_000
    yield "nested objects", b'{"a":' * 1_000_000
    yield "digits without end", b'{"a": ' + b"9" * 5_000_000 + b"}"
    yield "long", b'{"a": "' + b"x" * 20_000_000 + b'"}'
    yield "many names", b"{" + b",".join(b'"%d":0' % n for n in range(500_000)) + b"}"
    yield "NaN", b'{"a": NaN}'
    yield "not UTF-8", b'{"\xff": 1}'


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no such limits here")
@pytest.mark.parametrize("form", ["pdparams", "zip", "legacy", "archives", "safetensors"])
def test_each_is_one_short_line_in_bounded_time_and_memory(tmp_path: Path, form: str) -> None:
    head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}))
    if form == "archives":
        list(zips(tmp_path))
        for name, raw in legacy():
            (tmp_path / f"{name}.bin").write_bytes(raw)
    elif form == "safetensors":
        for name, raw in headers():
            (tmp_path / f"{name}.safetensors").write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(4))
    else:
        for number, (name, raw) in enumerate(pickles()):
            if form != "pdparams" and (number % 5 or len(raw) > 1_000_000):
                continue  # it is the same machine
            if form == "zip":
                as_zip(tmp_path / f"{name}.bin", raw)
            else:
                suffix = "pdparams" if form == "pdparams" else "bin"
                (tmp_path / f"{name}.{suffix}").write_bytes(head + raw if suffix == "bin" else raw)
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path), str(MEMORY)],
        cwd=PROJECT, capture_output=True, encoding="utf-8", timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-300:] + done.stderr[-2000:]
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    print(*(f"{s:.2f} s  {t.removeprefix(str(tmp_path))}" for _, s, t in answers), sep="\n")
    assert [name for name, _, _ in answers] == sorted(path.name for path in tmp_path.iterdir())
    for name, seconds, message in answers:
        assert message.startswith(f"{tmp_path / name}: "), (name, message)
        assert len(message) < 400 + len(str(tmp_path))
        assert "\n" not in message
        assert seconds < SECONDS, name


def test_headers_are_refused_where_the_library_refuses_them(tmp_path: Path) -> None:
    """safetensors 0.8.0 is the truth: on headers that are right but for a thing or two, both say the same."""
    draw, verdicts = random.Random(0), []
    path = tmp_path / "model.safetensors"
    for _ in range(1000):
        header, end = {}, 0
        for name in "abc"[: draw.randint(0, 3)]:
            kind, width = draw.choice([("F32", 4), ("BF16", 2), ("BOOL", 1), ("I64", 8)])
            shape = [draw.randint(0, 2) for _ in range(draw.randint(0, 2))]
            count = width
            for size in shape:
                count *= size
            header[name] = {"dtype": kind, "shape": shape, "data_offsets": [end, end + count]}
            end += count
        for _ in range(draw.choice([0, 1, 1, 2]) if header else 0):
            row = header[draw.choice(list(header))]
            key = draw.choice(["dtype", "shape", "data_offsets", "data_offsets", "", "more"])
            odd = draw.choice([None, "F32", [1], [0, 4], [4, 8], [4, 4], [-1], [1.0], ["1"], [True], {}])
            if key:
                row[key] = odd
            else:
                row.pop(draw.choice(list(row)), None)
        raw = json.dumps(header).encode()
        path.write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(end + draw.choice([0, 0, 0, 0, 0, 1])))
        try:
            with safetensors.safe_open(path, "np") as file:
                wanted = sorted(file.keys())
        except safetensors.SafetensorError:
            wanted = None
        try:
            actual = sorted(open_safetensors(path))
        except InputError:
            actual = None
        verdicts.append((actual, wanted, raw))
    assert [verdict for verdict in verdicts if verdict[0] != verdict[1]] == []
    assert 300 < sum(wanted is None for _, wanted, _ in verdicts) < 800

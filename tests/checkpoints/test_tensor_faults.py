"""What stands in model.safetensors is checked before it is used: kinds of numbers, values, lengths, sizes."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from checkpoints.folder import read_config
from checkpoints.network import load_classifier
from encoders.model_types import key_of
from tests.checkpoints.golden_folders import (
    GOLDEN,
    NAMES,
    Edited,
    Tensors,
    check_error,
    error_of,
    read,
    theirs_of,
)

QUERY = "bert.encoder.layer.1.attention.self.query.weight"
WIDTHS = {"BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "F32": 4}


def with_query(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {**tensors, QUERY: change(tensors[QUERY])}


def write_raw(path: Path, tensors: dict[str, tuple[str, tuple[int, ...], bytes]]) -> None:
    """A safetensors file by hand: name → (kind, shape, bytes)."""
    header: dict[str, Any] = {}
    begin = 0
    for name, (kind, shape, raw) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, begin + len(raw)]}
        begin += len(raw)
    encoded = json.dumps(header).encode()
    content = b"".join(raw for _, _, raw in tensors.values())
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + content)


def with_value(array: np.ndarray, value: float, dtype: str = "float32") -> np.ndarray:
    changed = array.astype(dtype)
    changed[3, 5] = value
    return changed


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_values_that_are_no_numbers(edited: Edited, value: float, dtype: str) -> None:
    folder = edited("bert", with_query(lambda array: with_value(array, value, dtype)))
    reason = f"{QUERY} holds {value} (1 of its 1024 values is not finite)"
    check_error(lambda: read(folder), folder / "model.safetensors", reason, "earlier checkpoint")


def test_values_beyond_float32(edited: Edited) -> None:
    folder = edited("bert", with_query(lambda array: with_value(array, -1e39, "float64")))
    reason = f"{QUERY} holds -1e+39, beyond float32 (1 of its 1024 values)"
    check_error(lambda: read(folder), folder / "model.safetensors", reason, "earlier checkpoint")


@pytest.mark.parametrize(
    ("dtype", "kind"), [("int64", "I64"), ("int8", "I8"), ("uint8", "U8"), ("bool", "BOOL")]
)
def test_weights_that_are_whole_numbers(edited: Edited, dtype: str, kind: str) -> None:
    folder = edited("bert", with_query(lambda array: array.astype(dtype)))
    check_error(lambda: read(folder), folder / "model.safetensors", f"{QUERY} is stored as {kind};", "BF16")


@pytest.mark.parametrize("kind", ["F8_E4M3", "F8_E5M2"])
def test_weights_of_eight_bits(edited: Edited, kind: str) -> None:
    folder = edited("bert")
    raw = {
        key: (kind, array.shape, bytes(array.size)) if key == QUERY else ("F32", array.shape, array.tobytes())
        for key, array in theirs_of(folder).items()
    }
    write_raw(folder / "model.safetensors", raw)
    assert f"{QUERY} is stored as {kind}; weights are read from F32, F16, BF16" in error_of(
        lambda: read(folder)
    )


def test_bfloat16_is_read(edited: Edited) -> None:
    """A bfloat16 is the upper half of a float32."""
    folder = edited("bert")
    upper = {key: array.view(np.uint32) >> 16 for key, array in theirs_of(folder).items()}
    raw = {key: ("BF16", array.shape, array.astype("<u2").tobytes()) for key, array in upper.items()}
    write_raw(folder / "model.safetensors", raw)
    actual, wanted = read(folder), read(GOLDEN / "bert")
    assert actual.arrays.keys() == wanted.arrays.keys()
    for key, array in wanted.arrays.items():
        cut = (array.view(np.uint32) & 0xFFFF0000).view(np.float32)
        np.testing.assert_array_equal(actual.arrays[key], cut)
        assert actual.arrays[key].dtype == np.float32


def test_double_precision_is_read(edited: Edited) -> None:
    double = {key: array.astype(np.float64) for key, array in theirs_of(GOLDEN / "electra").items()}
    actual, wanted = read(edited("electra", lambda _: double)), read(GOLDEN / "electra")
    for key, array in wanted.arrays.items():
        np.testing.assert_array_equal(actual.arrays[key], array)


def test_tensors_left_aside_may_be_anything(edited: Edited) -> None:
    spare = {
        "bert.embeddings.position_ids": np.arange(40)[None],
        "cls.predictions.bias": np.full(60, np.nan, np.float32),
    }
    assert read(edited("bert", lambda tensors: {**tensors, **spare})).unused == sorted(spare)


# --- lengths --------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [1, 4, 1000, 80_000])
def test_a_file_cut_short_says_by_how_much(edited: Edited, missing: int) -> None:
    path = edited("bert") / "model.safetensors"
    whole = path.stat().st_size
    path.write_bytes(path.read_bytes()[: whole - missing])
    check_error(lambda: read(path.parent), path, f"cut short: {whole - missing} of {whole} bytes", "fetch it")


def test_bytes_behind_the_last_tensor(edited: Edited) -> None:
    path = edited("bert") / "model.safetensors"
    whole = path.stat().st_size
    with open(path, "ab") as file:
        file.write(b"\0" * 7)
    check_error(lambda: read(path.parent), path, f"{whole + 7} bytes", f"header says {whole}")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x05",
        b"\xff" * 64,
        (2).to_bytes(8, "little") + b"[]",
        (4).to_bytes(8, "little") + b"null",
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64,
    ],
)
def test_files_that_are_no_safetensors(edited: Edited, content: bytes) -> None:
    path = edited("bert") / "model.safetensors"
    path.write_bytes(content)
    check_error(lambda: read(path.parent), path)


# --- a config.json of another size than its weights ------------------------------------------------


HUGE = 2**40
SIZES = [
    "vocab_size", "hidden_size", "intermediate_size", "max_position_embeddings", "type_vocab_size",
    "num_hidden_layers",
]  # fmt: skip


def refuses_at_once(function: Callable[[], Any]) -> str:
    began = time.process_time()  # a busy machine does not count
    message = error_of(function)
    assert time.process_time() - began < 1
    return message


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", SIZES)
@pytest.mark.parametrize("value", [64, 3000, HUGE])
def test_sizes_are_held_against_the_weights_first(edited: Edited, name: str, key: str, value: int) -> None:
    """No network is built of a configuration that its own weights contradict."""
    config = read_config(GOLDEN / name)
    has_table = key != "max_position_embeddings" or config.has_position_table
    if not key_of(config.model_type, key) or (not has_table and value < HUGE):  # no tensor has that size
        return
    folder = edited(name, **{key: 128 if (key, value) == ("intermediate_size", 64) else value})
    message = refuses_at_once(lambda: load_classifier(folder))
    assert message == refuses_at_once(lambda: read_config(folder))
    assert message.startswith(
        (f"{folder / 'model.safetensors'}: does not fit ", f"{folder / 'config.json'}: ")
    )


@pytest.mark.parametrize("key", ["conv_kernel_size", "embedding_size", "num_groups"])
def test_convbert_sizes_are_held_against_the_weights_first(edited: Edited, key: str) -> None:
    folder = edited("convbert_small", **{key: 2 if key == "num_groups" else 2**39 + 1})
    assert "model.safetensors: does not fit config.json" in refuses_at_once(lambda: read_config(folder)) or (
        "more than" in refuses_at_once(lambda: read_config(folder))
    )


@pytest.mark.parametrize("key", SIZES)
def test_sizes_without_weights_have_a_bound(tmp_path: Path, key: str) -> None:
    values = json.loads((GOLDEN / "bert" / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**values, key: HUGE}), encoding="utf-8")
    message = refuses_at_once(lambda: read_config(tmp_path))
    assert message.startswith(f"{tmp_path / 'config.json'}: ")
    assert str(HUGE) in message or "parameters" in message


def test_the_bound_names_the_size(tmp_path: Path) -> None:
    values = {
        "model_type": "bert",
        "hidden_size": 12_288,
        "intermediate_size": 49_152,
        "num_hidden_layers": 96,
    }
    (tmp_path / "config.json").write_text(json.dumps(values), encoding="utf-8")
    # GPT-3's sizes: 96 layers of 12 H² + 13 H, embeddings of (30522 + 512 + 2 + 2) H, the pooler H² + H.
    count = 96 * (12 * 12_288**2 + 13 * 12_288) + 31_038 * 12_288 + 12_288**2 + 12_288
    assert count // 10**9 == 174
    message = refuses_at_once(lambda: read_config(tmp_path))
    assert message.startswith(
        f"{tmp_path / 'config.json'}: describes a network of 174 billion parameters; more than 2 billion are "
    )


@pytest.mark.parametrize("size", [(24, 1024, 4096, 16), (48, 1600, 6400, 25)])  # BERT large; 1.5 billion
def test_large_networks_are_within_the_bound(tmp_path: Path, size: tuple[int, int, int, int]) -> None:
    keys = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads")
    values = {"model_type": "bert", **dict(zip(keys, size, strict=True))}
    (tmp_path / "config.json").write_text(json.dumps(values), encoding="utf-8")
    assert read_config(tmp_path).hidden_size == size[1]


# --- JSON that reads and still says nothing usable -------------------------------------------------


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b'{"model_type": null}', "no model_type; expected one of convbert, electra, bert, ernie"),
        (b'{"model_type": "bert", "x": ' + b"[" * 100_000, "not JSON: nested too deeply"),
        (b'{"model_type": "bert", "hidden_size": ' + b"9" * 5000 + b"}", "not JSON: "),
        (
            b'{"model_type": "bert", "id2label": {"0": "a", "00": "b"}}',
            "id2label must map numbers to names, not {'0': 'a', '00': 'b'}",
        ),
        (b'{"model_type": "bert", "id2label": {" 0": "a"}}', "id2label must map numbers to names, not {' 0'"),
        (b'{"model_type": "bert", "max_seq_length": 513}', "max_seq_length 513 is beyond max_position_emb"),
    ],
)  # fmt: skip
def test_config_that_says_nothing_usable(tmp_path: Path, content: bytes, fragment: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    check_error(lambda: read_config(tmp_path), tmp_path / "config.json", fragment)


@pytest.mark.parametrize("key", [*SIZES, "embedding_size", "layer_norm_eps", "hidden_act", "finetuning_task"])
@pytest.mark.parametrize("value", [10**400, 10**4200, "x" * 1_000_000, ["x"] * 100_000, {"x": [{}] * 9999}])
def test_values_without_end_are_one_short_line(edited: Edited, key: str, value: Any) -> None:
    folder = edited("convbert_small", **{key: value})
    message = refuses_at_once(lambda: read_config(folder))
    assert message.startswith(f"{folder / 'config.json'}: ")
    assert len(message) < 500 + len(str(folder))


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "x" * 201])
def test_names_that_would_break_a_line(edited: Edited, name: str) -> None:
    for settings in ({"finetuning_task": name}, {"id2label": {"0": name, "1": "b", "2": "c"}}):
        folder = edited("bert", **settings)
        assert "is not a valid name of a task or a label" in refuses_at_once(lambda f=folder: read_config(f))  # type: ignore[misc]


def test_written_weights_pass_their_own_checks(tmp_path: Path) -> None:
    safetensors.numpy.save_file(theirs_of(GOLDEN / "bert"), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((GOLDEN / "bert" / "config.json").read_bytes())
    assert read(tmp_path).arrays.keys() == read(GOLDEN / "bert").arrays.keys()

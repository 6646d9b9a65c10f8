"""Adapters of PEFT are no models, and are not passed over beside or in one."""

from pathlib import Path

import pytest

from checkpoints.folder import read_config
from tests.checkpoints.golden_folders import Edited, Tensors, check_error, error_of, read


def test_an_adapter_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(
        '{"peft_type": "LORA", "base_model_name_or_path": "x"}', encoding="utf-8"
    )
    check_error(lambda: read_config(tmp_path), tmp_path / "adapter_config.json", "merge_and_unload")


def test_an_adapter_beside_a_model_is_not_passed_over(edited: Edited) -> None:
    """transformers would apply it, where PEFT is installed."""
    folder = edited("bert")
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}', encoding="utf-8")
    read(folder)  # nothing to apply
    (folder / "adapter_model.safetensors").write_bytes(b"\0")
    message = error_of(lambda: read(folder))
    assert message.startswith(f"{folder / 'adapter_config.json'}: an adapter (PEFT) stands beside the model")
    assert "merge_and_unload" in message
    assert message.endswith("or remove adapter_config.json and adapter_model.safetensors if the model is "
                            "meant without it")  # fmt: skip


@pytest.mark.parametrize(
    ("key", "there"),
    [
        ("bert.encoder.layer.0.attention.self.query.", "base_layer"),
        ("bert.encoder.layer.0.attention.self.query.", "lora_A.default"),
        ("bert.embeddings.word_embeddings.", "lora_embedding_A.default"),
        ("classifier.", "modules_to_save.default"),
        ("classifier.", "original_module"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "base_model.model."])
def test_an_adapter_that_is_not_merged(edited: Edited, key: str, there: str, prefix: str) -> None:
    def change(tensors: Tensors) -> Tensors:
        return {prefix + name.replace(key, f"{key}{there}."): array for name, array in tensors.items()}

    folder = edited("bert", change)
    message = error_of(lambda: read_config(folder))
    assert message.startswith(f"{folder / 'model.safetensors'}: {prefix}{key}{there}.")
    assert "merge_and_unload" in message
    assert len(message) < len(str(folder)) + 300

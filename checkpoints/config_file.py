"""A model folder's configuration file: found, read, and refused where a setting would change the answers.

The file is ``config.json``, PaddleNLP 2.0's ``model_config.json``, or ``bert_config.json`` of Google and of
pytorch-pretrained-bert. Settings have the names of transformers 5.23.0 and the versions before it, of
PaddleNLP 2.x, and of Google's BERT and ELECTRA. No Paddle.
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from checkpoints.labels import by_label2id
from checkpoints.mapping import FAMILIES
from checkpoints.weight_files import ADAPTER, MERGE
from common.errors import InputError
from common.files import why_missing
from common.json_files import read_json_object
from common.messages import escape_unprintable, note_once, shortened
from encoders.config import EncoderConfig, activation_named
from encoders.model_types import TYPES, key_of

CONFIG, OLD_CONFIGS = "config.json", ("model_config.json", "bert_config.json")
_MAX_BYTES = 10_000_000  # real ones have a thousand, with ten thousand labels a million
_TYPES = {family.class_prefix: model_type for model_type, family in FAMILIES.items()}
_CLASS = re.compile(f"^(?:TF|Flax)?({'|'.join(_TYPES)})(Model|LMHeadModel|For|Generator|Discriminator|$)")
# What a class's name ends with that has no head, one of pre-training, or one of sentence classification.
_HEADS = ("Model", "ForSequenceClassification", "ForPreTraining", "ForPretraining", "ForTotalPretraining",
          "ForMaskedLM", "LMHeadModel", "Generator", "Discriminator")  # fmt: skip


def config_path(folder: str | Path) -> Path:
    """The file that holds a folder's configuration; InputError if there is none."""
    folder = Path(folder)
    for name in (CONFIG, *OLD_CONFIGS):
        if (folder / name).is_file():
            return folder / name
    wanted = f"{CONFIG}, model.safetensors, and vocab.txt or tokenizer.json"
    if folder.is_file():
        raise InputError(f"is a file; name the folder that holds it, with {wanted}", path=folder)
    if not folder.is_dir():
        raise InputError(f"no such model folder; it should hold {wanted}", path=folder)
    if (folder / "best" / CONFIG).is_file():
        raise InputError(f"is a run's folder; name the model in it, {folder / 'best'}", path=folder)
    if (folder / ADAPTER).is_file():
        raise InputError(f"the folder holds an adapter (PEFT), not a model; {MERGE}", path=folder / ADAPTER)
    raise InputError(f"{why_missing(folder / CONFIG)}; {_remedy(folder)}", path=folder / CONFIG)


def _remedy(folder: Path) -> str:
    """Which of a folder's own folders may have been meant, such as a hub's snapshot or a saved step."""
    inner = [path.parent for pattern in ("*", "snapshots/*") for path in folder.glob(f"{pattern}/{CONFIG}")]
    if inner:
        listed = ", ".join(str(path) for path in sorted(inner)[:3]) + (", …" if len(inner) > 3 else "")
        return f"name a model folder in it: {listed}"
    if tensorflow := sorted(folder.glob("*.index")):
        remedy = "convert it to PyTorch (transformers 4 has scripts for it), and name the new folder"
        return f"{escape_unprintable(tensorflow[0].name, 100)} is TensorFlow's: {remedy}"
    return f"a model folder holds {CONFIG}, model.safetensors and vocab.txt"


def read_values(path: Path) -> dict[str, Any]:
    """The settings in a configuration file, under Hugging Face's names; unknown keys are kept."""
    if (size := path.stat().st_size) > _MAX_BYTES:
        raise InputError(f"has {size} bytes, which no configuration has; fetch it again", path=path)
    values = _flat(read_json_object(path))
    if "init_class" in values:
        values.setdefault("architectures", [values.pop("init_class")])
    if "dropout" in values and (values.get("model_type") != "distilbert" or "hidden_size" in values):
        # PaddleNLP's name of the head's; transformers' DistilBERT, whose hidden size is "dim", has another.
        values.setdefault("classifier_dropout", values.pop("dropout"))
    if labels := by_label2id(values):
        if values.get("id2label"):
            listed = escape_unprintable(", ".join(f"{key} is {name}" for key, name in labels.items()), 100)
            note_once(f"{path}: id2label has placeholders, so label2id names the labels: {listed}")
        values["id2label"] = labels
    count = values.pop("num_classes", values.get("num_labels"))
    if type(count) is int and 0 < count <= 10_000 and not values.get("id2label"):
        values["id2label"] = {str(number): f"LABEL_{number}" for number in range(count)}
    return values


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """PaddleNLP 2.0 keeps what each class was built with: the task's class around the encoder's.

    ``{"init_args": [{…, "init_class": "BertModel"}, 3], "init_class": "BertForSequenceClassification"}``;
    what follows the encoder are the number of labels and the head's dropout.
    """
    arguments = values.get("init_args")
    if not isinstance(arguments, list | tuple):
        return dict(values)
    outer = {key: value for key, value in values.items() if key != "init_args"}
    inner = [argument for argument in arguments if isinstance(argument, dict)]
    # Trained in a pair, the discriminator is the model; the generator is narrower.
    inner = [one for one in inner if not str(one.get("init_class")).endswith("Generator")] or inner
    rest = [argument for argument in arguments if not isinstance(argument, dict)]
    merged = {**dict(zip(("num_classes", "dropout"), rest, strict=False)), **outer}
    for argument in inner:
        merged = {**_flat(argument), **merged}
    return merged


def family_of(values: Mapping[str, Any]) -> str:
    """The model type that the class implies, such as ``bert`` of ``BertForPreTraining``; else empty."""
    family = _CLASS.match(architecture_of(values))
    return _TYPES[family[1]] if family else ""


def architecture_of(values: Mapping[str, Any]) -> str:
    """The class that saved a folder, such as ``BertForSequenceClassification``; empty if it does not say."""
    architectures = values.get("architectures")
    return str(architectures[0]) if isinstance(architectures, list) and architectures else ""


def head_problem(values: Mapping[str, Any]) -> str:
    """Why a folder's head gives no single label or score of a sentence; empty where it does or has none."""
    architecture, problem_type = architecture_of(values), values.get("problem_type")
    labels = len(values["id2label"]) if isinstance(values.get("id2label"), dict) else 0
    if architecture and not architecture.endswith(_HEADS):
        name = escape_unprintable(architecture, 100)
        remedy = 'if it does, write "architectures": ["BertForSequenceClassification"] or the like'
        return f"is a {name}, whose head does not classify sentences; fine-tune it first ({remedy})"
    if problem_type == "multi_label_classification":
        return f"problem_type {problem_type}: its labels do not exclude each other, as they do here"
    if problem_type == "regression" and labels > 1:
        return f"problem_type regression with {labels} labels: a regression has one output here"
    if problem_type == "single_label_classification" and labels == 1:
        return "problem_type single_label_classification with 1 label: there is nothing to choose from"
    return ""


# --- settings that these networks do not have ----------------------------------------------------------

_OFF = (None, False, 0)
# Key → the values that mean the network that is computed here, and what another value would mean.
_FIXED: dict[str, tuple[tuple[Any, ...], str]] = {
    "position_embedding_type": (("absolute", None), "positions are absolute here"),
    "is_decoder": (_OFF, "a decoder's tokens do not see what follows them"),
    "is_encoder_decoder": (_OFF, "only encoders are read"),
    "add_cross_attention": (_OFF, "cross-attention is a decoder's"),
    "cross_attention_hidden_size": (_OFF, "cross-attention is a decoder's"),
    "pruned_heads": ((None, {}, []), "every layer has all its heads here"),
    "quantization_config": ((None, {}), "weights are read as floats; save the model unquantised"),
    "compression_config": ((None, {}), "weights are read as floats; save the model uncompressed"),
    "pool_act": (("tanh", None), "the pooler's activation is tanh here"),
    "pooler_type": (("first_token_transform", None), "the pooler reads the first token here"),
    "directionality": (("bidi", None), "attention goes both ways here"),
    "normalize_before": (_OFF, "LayerNorm comes after each part here"),
    "relative_attention": (_OFF, "positions are absolute here"),
    "use_relative_position": (_OFF, "positions are absolute here"),
    "use_alibi": (_OFF, "positions are embeddings here"),
    "alibi": (_OFF, "positions are embeddings here"),
    "position_biased_input": ((None, True), "positions are embeddings here"),
    "pooler_dropout": ((None, 0, 0.0), "only the head's last layer has dropout before it"),
    "pooler_hidden_act": ((None, "gelu"), "the pooler's activation is gelu here"),
    "classifier_activation": ((None, "gelu"), "the head's activation is gelu here"),
    "rope_scaling": ((None, {}), "rotations are plain here"),
    "task_id": ((None, 0), "the task type is 0 here"),
    "per_layer_config": ((None, {}, []), "all layers are alike here"),
}
# Other toolkits' names of our settings: accepted where they agree with ours.
_SYNONYMS = {
    other: name
    for name, others in {
        "layer_norm_eps": "layer_norm_epsilon layernorm_epsilon norm_eps",
        "hidden_act": "hidden_activation activation activation_function",
        "type_vocab_size": "sent_type_vocab_size",
        "num_hidden_layers": "num_layers n_layers n_layer",
        "num_attention_heads": "num_heads n_heads n_head",
        "hidden_size": "d_model pooler_hidden_size",
        "max_position_embeddings": "n_positions",
    }.items()
    for other in others.split()
}
# What says nothing of the network, or nothing that an answer depends on.
_HARMLESS = """
    architectures auto_map model_type transformers_version paddlenlp_version torch_dtype dtype use_bfloat16
    _name_or_path name_or_path _commit_hash _attn_implementation attn_implementation _num_labels
    attn_implementation_autoset _attn_implementation_autoset
    output_attentions output_hidden_states output_past return_dict use_return_dict use_cache torchscript
    gradient_checkpointing enable_recompute share_attn_key fuse chunk_size_feed_forward tie_word_embeddings
    tie_encoder_decoder tie_last_hidden_states init_class
    num_labels num_classes num_choices label2id problem_type finetuning_task task_specific_params
    bos_token_id eos_token_id sep_token_id cls_token_id mask_token_id unk_token_id decoder_start_token_id
    tokenizer_class prefix vocab_type vocab_file do_lower_case
    max_length min_length do_sample early_stopping num_beams num_beam_groups diversity_penalty temperature
    top_k top_p typical_p repetition_penalty length_penalty no_repeat_ngram_size encoder_no_repeat_ngram_size
    bad_words_ids num_return_sequences output_scores return_dict_in_generate forced_bos_token_id
    forced_eos_token_id remove_invalid_values exponential_decay_length_penalty suppress_tokens
    begin_suppress_tokens tf_legacy_loss
    pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers pooler_size_per_head
    summary_type summary_use_proj summary_activation summary_last_dropout summary_first_dropout
    summary_proj_to_labels generator_size gen_weight disc_weight tie_weights embedding_dropout
    sinusoidal_pos_embds qa_dropout attention_head_size legacy
    initializer_cutoff_factor decoder_bias deterministic_flash_attn sparse_prediction sparse_pred_ignore_index
    reference_compile repad_logits_with_grad layer_types rope_parameters
    tensor_parallel_degree tensor_parallel_output tensor_parallel_rank use_flash_attention recompute
"""
# What CrossEncoder of sentence-transformers computes after the logits: the first key since 4.0, the other
# before it. These keep the greatest of several logits where it is.
_CROSS_ENCODER, _OLD_CROSS_ENCODER = "sentence_transformers", "sbert_ce_default_activation_function"
_SAME_ARGMAX = ("Sigmoid", "Softmax", "LogSoftmax", "LogSigmoid", "Tanh")
_KNOWN = {*_HARMLESS.split(), *_FIXED, *_SYNONYMS, _CROSS_ENCODER, _OLD_CROSS_ENCODER}
_SPAN_PREFIX = "qa_"  # of the settings that squad/model.py adds


def check_settings(values: Mapping[str, Any], config: EncoderConfig) -> list[str]:
    """Refuse settings that would change the answers; returns the names of those that are unknown here.

    config: what was read from these values.
    """
    own_keys = {key_of(config.model_type, field.name) for field in dataclasses.fields(config)}
    for key, (usual, meaning) in _FIXED.items():
        if key in values and key not in own_keys and values[key] not in usual:
            reason = f"{key} {shortened(values[key])} is not supported: {meaning}"
            raise InputError(f"{reason}; take another checkpoint")
    auto_map = values.get("auto_map")
    for kind, name in auto_map.items() if isinstance(auto_map, dict) else ():
        if str(kind).startswith("AutoModel"):
            remedy = (
                "a model with code of its own is not supported; if its network is a plain one, leave auto_map"
            )
            raise InputError(f"auto_map says that {shortened(name)} computes the network: {remedy} out")
    for key, name in _SYNONYMS.items():
        given, taken = values.get(key), getattr(config, name)
        if key not in own_keys and given is not None and activation_named(given) != taken:
            reason = f"{key} is {shortened(given)}, but that setting is called {name} here"
            remedy = f"leave {key} out, and write {name} as the model was trained with it"
            raise InputError(f"{reason}, which is {shortened(taken)}: {remedy}")
    known = {*_KNOWN, *own_keys, *TYPES[config.model_type].keys}
    return [key for key in values if key not in known and not key.startswith(_SPAN_PREFIX)]


def check_after_logits(values: Mapping[str, Any], labels: int) -> str:
    """A note on what a CrossEncoder computes after the logits of so many labels, empty if that is nothing;
    InputError where it changes the answers."""
    options = values.get(_CROSS_ENCODER)
    activation = options.get("activation_fn") if isinstance(options, dict) else None
    activations = {f"{_CROSS_ENCODER}: activation_fn": activation}
    activations[_OLD_CROSS_ENCODER] = values.get(_OLD_CROSS_ENCODER)
    for key, function in activations.items():
        name = str(function).rpartition(".")[2]
        if function is None or name == "Identity" or not labels:
            continue
        if labels > 1 and name in _SAME_ARGMAX:
            return f"{key}, {shortened(function)}, is left out: it does not change which label is the answer"
        remedy = "take another checkpoint, or to fine-tune this one, leave that key out"
        reason = "scores and labels come from the raw logits here"
        raise InputError(f"{key} {shortened(function)} is not supported: {reason}; {remedy}")
    return ""

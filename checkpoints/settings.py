"""Settings of others' configurations that this project's networks do not have.

A setting that changes a network's answers is refused by its name, unless it has the value that every network
here has. The names are those of transformers 5.23.0 and the versions before it, of PaddleNLP 2.x, and of
Google's BERT and ELECTRA.
"""

import dataclasses
from typing import Any

from common.errors import InputError
from common.messages import shortened
from encoders.config import EncoderConfig, activation_named

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
    "task_id": ((None, 0), "the task type is 0 here"),
    "per_layer_config": ((None, {}, []), "all layers are alike here"),
}
# Other toolkits' names of settings that are here: taken for these if they agree with them.
_OTHER_NAMES = {
    "layer_norm_epsilon": "layer_norm_eps",
    "layernorm_epsilon": "layer_norm_eps",
    "norm_eps": "layer_norm_eps",
    "hidden_activation": "hidden_act",
    "activation": "hidden_act",
    "activation_function": "hidden_act",
    "sent_type_vocab_size": "type_vocab_size",
    "num_layers": "num_hidden_layers",
    "n_layers": "num_hidden_layers",
    "n_layer": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "n_heads": "num_attention_heads",
    "n_head": "num_attention_heads",
    "d_model": "hidden_size",
    "n_positions": "max_position_embeddings",
}
# What says nothing of the network, or nothing that an answer depends on.
_HARMLESS = """
    architectures auto_map model_type transformers_version paddlenlp_version torch_dtype dtype use_bfloat16
    _name_or_path name_or_path _commit_hash _attn_implementation attn_implementation _num_labels
    attn_implementation_autoset _attn_implementation_autoset
    output_attentions output_hidden_states output_past return_dict use_return_dict use_cache torchscript
    gradient_checkpointing enable_recompute fuse chunk_size_feed_forward tie_word_embeddings
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
    tensor_parallel_degree tensor_parallel_output tensor_parallel_rank use_flash_attention recompute
"""
# What CrossEncoder of sentence-transformers computes after the logits: the first key since 4.0, the other
# before it. These keep the greatest of several logits where it is.
_CROSS_ENCODER, _OLD_CROSS_ENCODER = "sentence_transformers", "sbert_ce_default_activation_function"
_SAME_ARGMAX = ("Sigmoid", "Softmax", "LogSoftmax", "LogSigmoid", "Tanh")
_OURS = frozenset(field.name for field in dataclasses.fields(EncoderConfig))
_OWN_PREFIX = "qa_"  # of squad/model.py's


def check_settings(values: dict[str, Any], config: EncoderConfig) -> list[str]:
    """The names of settings that nobody knows here; InputError for one that would change the answers.

    config: what was read from these values.
    """
    for key, (usual, meaning) in _FIXED.items():
        if key in values and values[key] not in usual:
            raise InputError(
                f"{key} {shortened(values[key])} is not supported: {meaning}; take another checkpoint"
            )
    _check_code(values.get("auto_map"))
    for key, name in _OTHER_NAMES.items():
        given, taken = values.get(key), getattr(config, name)
        if given is not None and activation_named(given) != taken:
            raise InputError(
                f"{key} is {shortened(given)}, but that setting is called {name} here, which is "
                f"{shortened(taken)}: leave {key} out, and write {name} as the model was trained with it"
            )
    known = _OURS | set(_HARMLESS.split()) | _FIXED.keys() | _OTHER_NAMES.keys()
    known |= {_CROSS_ENCODER, _OLD_CROSS_ENCODER}
    return [key for key in values if key not in known and not key.startswith(_OWN_PREFIX)]


def after_logits(values: dict[str, Any], labels: int) -> str:
    """A note on what a CrossEncoder computes after the logits of so many labels, empty if that is nothing;
    InputError where it changes the answers."""
    options = values.get(_CROSS_ENCODER)
    given = {
        f"{_CROSS_ENCODER}: activation_fn": options.get("activation_fn")
        if isinstance(options, dict)
        else None,
        _OLD_CROSS_ENCODER: values.get(_OLD_CROSS_ENCODER),
    }
    for key, function in given.items():
        name = str(function).rpartition(".")[2]
        if function is None or name == "Identity" or not labels:
            continue
        if labels > 1 and name in _SAME_ARGMAX:
            return f"{key}, {shortened(function)}, is left out: it does not change which label is the answer"
        raise InputError(
            f"{key} {shortened(function)} is not supported: scores and labels come from the raw logits here; "
            "take another checkpoint, or to fine-tune this one, leave that key out"
        )
    return ""


def _check_code(auto_map: Any) -> None:
    """InputError where the network is one of the folder's own making."""
    if isinstance(auto_map, dict):
        for kind, name in auto_map.items():
            if str(kind).startswith("AutoModel"):
                raise InputError(
                    f"auto_map says that {shortened(name)} computes the network: a model with code of "
                    "its own is not supported; if its network is a plain one, leave auto_map out"
                )

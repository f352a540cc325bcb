"""Writes crates/collimate-lm/tests/fixtures/configs.json.

Configurations as they are published, as older and newer versions write them and with hardly anything
stated, each with what transformers reads from them: sizes, windows, biases, and the frequencies of
its rotary embeddings for texts of several lengths. transformers 5.23.0, torch 2.15.0:

    python conformance/lm_configs.py
"""

import copy
import json
import pathlib

import torch
import transformers
from transformers import AutoModelForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

OUT = pathlib.Path(__file__).parent.parent / "crates/collimate-lm/tests/fixtures/configs.json"
FAMILIES = ["llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "phi3", "gpt2", "gpt_neox"]

SMALL = {"hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 4, "vocab_size": 50}
SMALL |= {"pad_token_id": 0, "intermediate_size": 96, "max_position_embeddings": 256, "num_key_value_heads": 2}
LLAMA3 = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
YARN = {"factor": 4.0, "original_max_position_embeddings": 64}
LONG = {"short_factor": [1 + i / 4 for i in range(8)], "long_factor": [1.5 + i for i in range(8)]}


def small(family, **settings):
    return {"model_type": family, **SMALL, **settings}


def old(family, kind, **scaling):
    """As before transformers 5."""
    return small(family, rope_theta=5000.0, rope_scaling={"rope_type": kind, **scaling})


def new(family, kind, **scaling):
    return small(family, rope_parameters={"rope_type": kind, "rope_theta": 5000, **scaling})


CASES = {
    **{f"{family}, nothing stated": {"model_type": family} for family in FAMILIES},
    "Llama, older type": small("llama", rope_scaling={"type": "linear", "factor": 2.5}),
    "Llama, both types": small("llama", rope_scaling={"type": "dynamic", "rope_type": "linear", "factor": 2.5}),
    "Llama, no scaling": small("llama", rope_scaling=None, rope_theta=300000, num_key_value_heads=None, head_dim=None),
    "Llama, empty scaling": small("llama", rope_scaling={}, rope_parameters={"rope_theta": 777.0}),
    "Llama, base beside the parameters": small("llama", rope_theta=777.0, rope_parameters={"rope_type": "default"}),
    "Llama, base inside of them": small("llama", rope_theta=1.5, rope_scaling={"type": "linear", "factor": 2, "rope_theta": 888.0}),
    "Llama, biases": small("llama", attention_bias=True, mlp_bias=True, head_dim=20, eos_token_id=[3, 4, 5]),
    "Llama, activation": small("llama", hidden_act="gelu_new", rms_norm_eps=1e-5, tie_word_embeddings=True, eos_token_id=None),
    "Llama, dynamic": old("llama", "dynamic", factor=3.0),
    "Llama, dynamic, newer": new("llama", "dynamic", factor=1.7),
    "Llama, llama3": old("llama", "llama3", **LLAMA3),
    "Llama, llama3, newer": new("llama", "llama3", **{**LLAMA3, "low_freq_factor": 0.5, "high_freq_factor": 2}),
    "Llama, llama3, length beside": {**old("llama", "llama3", **LLAMA3), "original_max_position_embeddings": 128},
    "Llama, yarn": old("llama", "yarn", **YARN),
    "Llama, yarn, length not stated": old("llama", "yarn", factor=4.0),
    "Llama, yarn, no factor": old("llama", "yarn", **{**YARN, "factor": None}),
    "Llama, yarn, not truncated": new("llama", "yarn", **YARN, truncate=False, beta_fast=16.0, beta_slow=0.5),
    "Llama, yarn, mscale": new("llama", "yarn", **YARN, mscale=0.7, mscale_all_dim=1.4),
    "Llama, yarn, mscale alone": new("llama", "yarn", **YARN, mscale=0.7),
    "Llama, yarn, attention factor": new("llama", "yarn", **YARN, attention_factor=1.3),
    "Llama, yarn, narrow ramp": new("llama", "yarn", **YARN, beta_fast=1.0, beta_slow=1.0),
    "Llama, longrope": old("llama", "longrope", **LONG, original_max_position_embeddings=64),
    "Llama, longrope, factor": old("llama", "longrope", **LONG, original_max_position_embeddings=64, factor=2.0),
    "Llama, longrope, attention factor": old("llama", "longrope", **LONG, attention_factor=1.25),
    "Mistral, window": small("mistral", sliding_window=32),
    "Mistral, no window": small("mistral", sliding_window=None, head_dim=24),
    "Qwen2, window not used": small("qwen2", use_sliding_window=False, sliding_window=32, max_window_layers=2),
    "Qwen2, window": small("qwen2", use_sliding_window=True, sliding_window=32, max_window_layers=2),
    "Qwen2, window of all": small("qwen2", use_sliding_window=True, sliding_window=32, max_window_layers=0),
    "Qwen2, window of none": small("qwen2", use_sliding_window=True, sliding_window=None, max_window_layers=0),
    "Qwen2, kinds of layers": small(
        "qwen2",
        use_sliding_window=True,
        sliding_window=32,
        layer_types=["full_attention", "sliding_attention", "full_attention", "sliding_attention"],
    ),
    "Qwen2, yarn": old("qwen2", "yarn", **YARN),
    "Qwen3": small("qwen3", attention_bias=True, head_dim=24, tie_word_embeddings=True),
    "Qwen3, window": small("qwen3", use_sliding_window=True, sliding_window=32, max_window_layers=3),
    "Gemma 2": small("gemma2", head_dim=24, query_pre_attn_scalar=144, sliding_window=32, hidden_activation="gelu"),
    "Gemma 2, no caps": small("gemma2", attn_logit_softcapping=None, final_logit_softcapping=None, hidden_act="relu"),
    "Gemma 3": small("gemma3_text", head_dim=24, sliding_window=32, final_logit_softcapping=20.0),
    "Gemma 3, older": small(
        "gemma3_text",
        num_hidden_layers=7,
        sliding_window_pattern=3,
        rope_theta=50000.0,
        rope_local_base_freq=500.0,
        rope_scaling={"rope_type": "linear", "factor": 8.0},
    ),
    "Gemma 3, newer": small(
        "gemma3_text",
        layer_types=["full_attention", "sliding_attention", "sliding_attention", "full_attention"],
        rope_parameters={
            "full_attention": {"rope_type": "yarn", "rope_theta": 50000.0, **YARN},
            "sliding_attention": {"rope_type": "default", "rope_theta": 500.0},
        },
    ),
    "Gemma 3, one kind stated": small("gemma3_text", rope_parameters={"full_attention": {"rope_type": "linear", "factor": 2.0}}),
    "Phi-3": small("phi3", sliding_window=32),
    "Phi-3, part of a head": small("phi3", partial_rotary_factor=0.75, rope_theta=777.0),
    "Phi-3, part inside": small("phi3", rope_parameters={"rope_theta": 777.0, "rope_type": "default", "partial_rotary_factor": 0.5}),
    "Phi-3, longrope": {**old("phi3", "longrope", **LONG), "original_max_position_embeddings": 64},
    "Phi-3, su": {
        **small("phi3", rope_scaling={"type": "su", **LONG, "original_max_position_embeddings": 64}, rope_theta=5000.0),
        "original_max_position_embeddings": 64,
    },
    "Phi-3, yarn": {
        **small("phi3", rope_scaling={"type": "yarn", **LONG}, rope_theta=5000.0),
        "original_max_position_embeddings": 64,
    },
    "GPT-2": {"model_type": "gpt2", "n_embd": 64, "n_head": 4, "n_layer": 3, "n_positions": 40, "scale_attn_weights": False},
    "GPT-2, other names": {
        "model_type": "gpt2",
        "hidden_size": 64,
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "max_position_embeddings": 40,
        "n_inner": 70,
        "activation_function": "relu",
        "layer_norm_epsilon": 1e-6,
    },
    "GPT-NeoX": {
        **{key: value for key, value in SMALL.items() if key != "num_key_value_heads"},
        "model_type": "gpt_neox",
        "rotary_pct": 0.5,
        "rotary_emb_base": 777,
        "use_parallel_residual": False,
        "attention_bias": False,
    },
    "GPT-NeoX, scaled": {
        **{key: value for key, value in SMALL.items() if key != "num_key_value_heads"},
        "model_type": "gpt_neox",
        "rope_scaling": {"type": "linear", "factor": 2.0},
    },
}


def frequencies(model, config, sequence, layer_type):
    """As the model's forward pass has them for a text of this length."""
    rotary = next(module for name, module in model.named_modules() if name.endswith("rotary_emb"))
    arguments = {} if layer_type is None else {"layer_type": layer_type}
    parameters = config.rope_parameters if layer_type is None else config.rope_parameters[layer_type]
    kind = parameters["rope_type"]
    if kind == "default":
        inverse, factor = rotary.compute_default_rope_parameters(config, **arguments)
    else:
        longer = kind == "dynamic" and sequence > config.max_position_embeddings
        length = torch.tensor(sequence) if longer else sequence
        inverse, factor = ROPE_INIT_FUNCTIONS[kind](config, "cpu", seq_len=length, **arguments)
    inverse = [float(str(number)) for number in inverse.numpy()]
    return {"sequence": sequence, "inverse": inverse, "attention_factor": factor}


def has_bias(layer, *names):
    modules = [module for name, module in layer.named_modules() if name.split(".")[-1] in names]
    return {module.bias is not None for module in modules}.pop()


def expected(values):
    family = values["model_type"]
    config = CONFIG_MAPPING[family].from_dict(copy.deepcopy(values))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    layers = model.base_model.h if family == "gpt2" else model.base_model.layers
    attention = [getattr(layer, {"gpt2": "attn", "gpt_neox": "attention"}.get(family, "self_attn")) for layer in layers]
    # Of these two the attention has no field for it.
    window = config.sliding_window if family in ("mistral", "phi3") else None
    windows = [getattr(module, "sliding_window", window) for module in attention]
    heads = config.num_attention_heads
    eos = config.eos_token_id
    rotaries = []
    for layer_type in [None] if family != "gemma3_text" else ["sliding_attention", "full_attention"]:
        if family == "gpt2":
            break
        lengths = [1, 64, 65, config.max_position_embeddings, config.max_position_embeddings + 1, 1000]
        of = [frequencies(model, config, length, layer_type) for length in lengths]
        # One if they don't depend on the length.
        rotaries.append(of if any(f["inverse"] != of[0]["inverse"] for f in of) else of[:1])
    mlp = layers[0].mlp
    act = next(getattr(mlp, name) for name in ("act", "act_fn", "activation_fn") if hasattr(mlp, name))
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": (mlp.c_fc.nf if family == "gpt2" else config.intermediate_size),
        "max_position_embeddings": config.max_position_embeddings,
        "num_attention_heads": heads,
        "num_key_value_heads": getattr(config, "num_key_value_heads", heads),
        "head_dim": getattr(config, "head_dim", config.hidden_size // heads),
        "scale": attention[0].scaling,
        "softcap": getattr(config, "attn_logit_softcapping", None),
        "logit_softcap": getattr(config, "final_logit_softcapping", None),
        "qkv_bias": has_bias(layers[0], "q_proj", "qkv_proj", "c_attn", "query_key_value"),
        "output_bias": has_bias(layers[0], "o_proj", "dense", "c_proj"),
        "mlp_bias": has_bias(mlp, "down_proj", "dense_4h_to_h", "c_proj"),
        "activation": type(act).__name__,
        "norm_eps": eps(model.base_model),
        "tie_word_embeddings": config.tie_word_embeddings,
        "eos_token_ids": [] if eos is None else eos if isinstance(eos, list) else [eos],
        "sliding_windows": windows,
        "rotaries": rotaries,
    }


def eps(model):
    """Of the norm before the head."""
    norm = next(getattr(model, name) for name in ("norm", "ln_f", "final_layer_norm") if hasattr(model, name))
    return norm.variance_epsilon if hasattr(norm, "variance_epsilon") else norm.eps


def main():
    assert transformers.__version__ == "5.23.0", transformers.__version__
    transformers.logging.set_verbosity_error()
    rows = [{"name": name, "config": config, "expected": expected(config)} for name, config in CASES.items()]
    lines = ",\n".join(json.dumps(row) for row in rows)
    OUT.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()

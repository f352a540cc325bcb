"""Writes crates/collimate-peft/tests/fixtures/targets.json.

For tiny random models of several families: names and shapes of their tensors, and for each of many
LoraConfigs the modules that PEFT adapts with rank and scale, the modules it saves whole, the
numbers of parameters, and adapter_config.json as PEFT writes it (for the first model; without the
keys that say nothing for the others) and as it is without the keys that older versions don't know. peft 0.21.2, torch 2.15.0, transformers 5.23.0:

    python conformance/peft_targets.py
"""

import copy
import json
import pathlib
import tempfile
import warnings

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.utils.other import ModulesToSaveWrapper

OUT = pathlib.Path(__file__).parent.parent / "crates/collimate-peft/tests/fixtures/targets.json"
warnings.simplefilter("ignore")

SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
}
GPT2 = {"vocab_size": 40, "n_embd": 16, "n_layer": 3, "n_head": 4, "n_positions": 32}
MODELS = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", {**SIZES, "tie_word_embeddings": False}),
    "llama, tied": ("LlamaConfig", "LlamaForCausalLM", {**SIZES, "tie_word_embeddings": True}),
    "llama, biases": ("LlamaConfig", "LlamaForCausalLM", {**SIZES, "attention_bias": True, "mlp_bias": True}),
    "mistral": ("MistralConfig", "MistralForCausalLM", SIZES),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", SIZES),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", SIZES),
    "gemma": ("GemmaConfig", "GemmaForCausalLM", SIZES),
    "gemma2": ("Gemma2Config", "Gemma2ForCausalLM", SIZES),
    "gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM", SIZES),
    "phi3": ("Phi3Config", "Phi3ForCausalLM", SIZES),
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", GPT2),
    "gpt2, square": ("GPT2Config", "GPT2LMHeadModel", {**GPT2, "n_inner": 16}),
    "gpt_neox": ("GPTNeoXConfig", "GPTNeoXForCausalLM", {k: v for k, v in SIZES.items() if k != "head_dim"}),
    "llama, classifier": ("LlamaConfig", "LlamaForSequenceClassification", SIZES),
}

QV = ["q_proj", "v_proj"]
LLAMA = {
    "list": {"target_modules": QV},
    "default": {},
    "all-linear": {"target_modules": "all-linear"},
    "all-linear in capitals": {"target_modules": "All-Linear", "lora_alpha": 32, "r": 4},
    "regex": {"target_modules": r".*\.layers\.(0|2)\.(self_attn\.(q|k)_proj|mlp\.up_proj)"},
    "regex with look-around": {"target_modules": r".*layers\.(?!1\.)\d+\.(?=self).*(?<!o)_proj"},
    "parts of names": {"target_modules": ["self_attn.q_proj", "mlp.down_proj"]},
    "whole names": {"target_modules": ["model.layers.1.self_attn.o_proj", "lm_head"]},
    "one entry matches nothing": {"target_modules": ["q_proj", "w_proj", "_proj"]},
    "exclude, list": {"target_modules": QV, "exclude_modules": ["layers.1.self_attn.q_proj", "nothing"]},
    "exclude, regex": {"target_modules": "all-linear", "exclude_modules": r".*\.mlp\..*|.*k_proj"},
    "one layer": {"target_modules": QV, "layers_to_transform": 1},
    "layers": {"target_modules": QV, "layers_to_transform": [0, 2, 7]},
    "no layers": {"target_modules": QV, "layers_to_transform": []},
    "layers and a whole name": {
        "target_modules": ["q_proj", "model.layers.2.self_attn.v_proj"],
        "layers_to_transform": [0],
    },
    "layers, pattern": {"target_modules": QV, "layers_to_transform": [1], "layers_pattern": "layers"},
    "layers, patterns": {"target_modules": QV, "layers_to_transform": [1], "layers_pattern": ["h", "lay[a-z]+"]},
    "rank pattern": {
        "target_modules": "all-linear",
        "r": 4,
        "rank_pattern": {"q_proj": 2, "layers.1.self_attn.v_proj": 3, "nothing": 9},
        "alpha_pattern": {"down_proj": 1.5, "^model.layers.0.self_attn.q_proj": 6},
    },
    "rank pattern, regex": {
        "target_modules": QV,
        "rank_pattern": {r"^model\.layers\.\d+\.self_attn\.q_proj": 5, ".*": 3},
        "alpha_pattern": {"(q|k)_proj": 3, "layers.[12].*": 0.1, "v_proj$": 7},
    },
    "rank pattern, anchored to nothing": {"target_modules": QV, "rank_pattern": {"^layers.0.self_attn.q_proj": 2}},
    "rslora": {"target_modules": QV, "r": 3, "lora_alpha": 7, "use_rslora": True, "rank_pattern": {"v_proj": 5}},
    "dora": {"target_modules": [*QV, "embed_tokens", "lm_head"], "use_dora": True, "r": 2},
    "dropout": {"target_modules": QV, "lora_dropout": 1e-05, "lora_alpha": 0.5},
    "saved": {"target_modules": QV, "modules_to_save": ["embed_tokens", "lm_head"]},
    "saved norms": {"target_modules": "all-linear", "modules_to_save": ["norm"]},
    "saved, inner": {"target_modules": ["q_proj", "up_proj"], "modules_to_save": ["layers.1.mlp", "nothing"]},
    "saved instead of adapted": {"target_modules": [*QV, "lm_head"], "modules_to_save": ["lm_head"]},
    "embedding": {"target_modules": ["embed_tokens"], "r": 3},
    "head": {"target_modules": ["lm_head", "q_proj"]},
    "bias, all": {"target_modules": QV, "bias": "all"},
    "bias, adapted": {"target_modules": QV, "bias": "lora_only", "modules_to_save": ["mlp"]},
    "gaussian": {"target_modules": QV, "init_lora_weights": "gaussian"},
    "pissa": {"target_modules": QV, "init_lora_weights": "pissa_niter_4", "r": 2},
    "olora": {"target_modules": QV, "init_lora_weights": "olora", "r": 2},
    "orthogonal": {"target_modules": QV, "init_lora_weights": "orthogonal", "r": 2},
    "mica": {"target_modules": [*QV, "embed_tokens"], "init_lora_weights": "mica", "r": 2},
    "base and revision": {
        "target_modules": QV,
        "base_model_name_or_path": "størst/modell-模型",
        "revision": "main\t\"x\"",
        "task_type": "CAUSAL_LM",
    },
}
COMMON = ["list", "default", "all-linear", "regex", "rank pattern", "saved norms", "head", "bias, all", "layers"]
PHI3 = {
    "fused": {"target_modules": ["qkv_proj", "gate_up_proj"]},
    "all-linear": {"target_modules": "all-linear"},
}
GPT = {
    "default": {},
    "all-linear": {"target_modules": "all-linear"},
    "list": {"target_modules": ["attn.c_attn", "c_proj"], "lora_alpha": 32},
    "list, square": {"target_modules": ["attn.c_proj", "c_fc"], "use_dora": True},
    "layers": {"target_modules": ["c_attn"], "layers_to_transform": [1], "layers_pattern": "h"},
    "layers without pattern": {"target_modules": ["c_fc"], "layers_to_transform": [0, 2]},
    "embeddings": {"target_modules": ["wte", "wpe"], "r": 3},
    "saved": {"target_modules": ["c_attn"], "modules_to_save": ["wte", "ln_f"]},
    "bias, adapted": {"target_modules": ["c_attn"], "bias": "lora_only"},
    "bias, all": {"target_modules": ["c_attn"], "bias": "all"},
    "head": {"target_modules": ["lm_head"], "r": 2},
    "lora bias": {"target_modules": ["c_attn", "lm_head"], "lora_bias": True},
}
NEOX = {
    "default": {},
    "all-linear": {"target_modules": "all-linear"},
    "embeddings": {"target_modules": ["embed_in", "embed_out"]},
    "bias, all": {"target_modules": ["dense"], "bias": "all", "modules_to_save": ["final_layer_norm"]},
}
CASES = {
    "llama": LLAMA,
    "llama, tied": {name: LLAMA[name] for name in [*COMMON, "dora", "saved", "embedding"]},
    "llama, biases": {
        "bias, all": LLAMA["bias, all"],
        "bias, adapted": LLAMA["bias, adapted"],
        "bias, all, saved": {"target_modules": QV, "bias": "all", "modules_to_save": ["mlp"]},
        "lora bias": {"target_modules": QV, "lora_bias": True, "bias": "lora_only"},
    },
    **{name: {case: LLAMA[case] for case in COMMON} for name in ["mistral", "qwen2", "qwen3"]},
    **{name: {case: LLAMA[case] for case in COMMON} for name in ["gemma", "gemma2", "gemma3"]},
    "phi3": PHI3,
    "gpt2": GPT,
    "gpt2, square": {name: GPT[name] for name in ["all-linear", "list, square"]},
    "gpt_neox": NEOX,
    "llama, classifier": {
        "all-linear": {"target_modules": "all-linear", "task_type": "SEQ_CLS"},
        "all-linear, no task": {"target_modules": "all-linear"},
        "all-linear, saved": {"target_modules": "all-linear", "modules_to_save": ["score"]},
        "saved as well": {"target_modules": QV, "modules_to_save": ["norm"], "task_type": "SEQ_CLS"},
    },
}
FAILING = {
    "llama": {
        "nothing": {"target_modules": ["query"]},
        "a module of modules": {"target_modules": ["self_attn"]},
        "a norm": {"target_modules": ["q_proj", "input_layernorm"]},
        "no such layer": {"target_modules": QV, "layers_to_transform": [9]},
        "all left out": {"target_modules": QV, "exclude_modules": r".*"},
        "all saved": {"target_modules": QV, "modules_to_save": ["self_attn"]},
        "list of modules": {"target_modules": ["embed_tokens"], "modules_to_save": ["layers"]},
        "adapted and saved": {"target_modules": QV, "modules_to_save": ["proj"]},
        "no names in capitals": {"target_modules": ["Q_PROJ"]},
        "bias on an embedding": {"target_modules": ["embed_tokens"], "lora_bias": True},
    },
    "phi3": {"default": {}},
    "llama, classifier": {"both": {"target_modules": QV, "lora_bias": True, "use_dora": True}},
}
# In PEFT 0.3.0; written whatever they hold.
KNOWN_TO_ALL = {
    "base_model_name_or_path", "bias", "fan_in_fan_out", "inference_mode", "init_lora_weights", "lora_alpha",
    "lora_dropout", "modules_to_save", "peft_type", "r", "target_modules", "task_type",
}  # fmt: skip


def model(name):
    config, cls, values = MODELS[name]
    torch.manual_seed(0)
    return getattr(transformers, cls)(getattr(transformers, config)(**values))


def written(config):
    """adapter_config.json, what of it is to be written for every version of PEFT, and what PEFT reads.

    They differ from what was given: PEFT sorts patterns when it writes them.
    """
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        text = (pathlib.Path(folder) / "adapter_config.json").read_text()
        read = LoraConfig.from_pretrained(folder)
    values = json.loads(text)
    default = json.loads(json.dumps(LoraConfig().to_dict(), default=list))
    kept = {
        key: value
        for key, value in values.items()
        if key in KNOWN_TO_ALL or key == "peft_version" or value != default[key]
    }
    return text, json.dumps(kept, indent=2, sort_keys=True), read


def case(base, name, values):
    adapted_model = copy.deepcopy(base)
    before = {key: value.clone() for key, value in base.state_dict().items()}
    text, reduced, config = written(LoraConfig(**values))
    adapted = get_peft_model(adapted_model, config)
    modules, saved, moved = {}, {}, False
    for path, module in adapted.base_model.model.named_modules():
        if isinstance(module, LoraLayer):
            modules[path] = [module.r["default"], module.scaling["default"]]
            own = before[f"{path}.weight"]
            moved |= not torch.equal(module.get_base_layer().weight, own)
        if isinstance(module, ModulesToSaveWrapper):
            saved[path] = sum(p.numel() for p in module.modules_to_save["default"].parameters())
    trainable, total = adapted.get_nb_trainable_parameters()
    return {
        "name": name,
        "config": text,
        "written": reduced,
        "modules": modules,
        "saved": saved,
        "trainable": trainable,
        "total": total,
        "base_moved": moved,
    }


def main():
    assert peft.__version__ == "0.21.2", peft.__version__
    models = []
    for name in MODELS:
        base = model(name)
        shapes = {key: list(parameter.shape) for key, parameter in base.named_parameters()}
        head = base.get_output_embeddings()
        tied = head is not None and head.weight is base.get_input_embeddings().weight
        cases = [case(base, case_name, values) for case_name, values in CASES[name].items()]
        if name != "llama":
            # Once is enough for the text with every key.
            for one in cases:
                one["config"] = one["written"]
        failing = []
        for case_name, values in FAILING.get(name, {}).items():
            try:
                get_peft_model(copy.deepcopy(base), LoraConfig(**values))
            except (TypeError, ValueError):
                text = json.dumps({"peft_type": "LORA", **values})
                failing.append({"name": case_name, "config": text})
            else:
                raise AssertionError(f"{name}, {case_name}: PEFT accepts it")
        names = {id(module): path for path, module in base.named_modules()}
        models.append(
            {
                "name": name,
                "model_type": base.config.model_type,
                "tensors": shapes,
                "tied_head": [names[id(head)], names[id(base.get_input_embeddings())]] if tied else None,
                "cases": cases,
                "failing": failing,
            }
        )
    OUT.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(one, separators=(",", ":")) for one in models]
    OUT.write_text("[\n" + ",\n".join(lines) + "\n]\n")


main()

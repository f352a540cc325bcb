"""Writes crates/collimate-lm/tests/fixtures.

Tiny random models of every family, each a folder as transformers reads it, with expected.safetensors:
what transformers computes with it in float32 and with eager attention. transformers 5.23.0,
torch 2.15.0, peft 0.21.2, safetensors 0.8.0:

    python conformance/lm.py
"""

import copy
import json
import os
import pathlib
import shutil
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

OUT = pathlib.Path(__file__).parent.parent / "crates/collimate-lm/tests/fixtures"
LENGTH = 12
NEW_TOKENS = 64

SIZES = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 80,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
WIDE_HEADS = {**SIZES, "head_dim": 12}
GPT2 = {"vocab_size": 96, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 80, "n_inner": 40}
GPT2 |= {"bos_token_id": 1, "eos_token_id": 2}
NEOX = {key: value for key, value in SIZES.items() if key != "num_key_value_heads"}
NEOX["num_attention_heads"] = 2
YARN = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 16}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
LONGROPE = {
    "rope_type": "longrope",
    "short_factor": [1.0, 1.25, 1.5, 2.0],
    "long_factor": [1.0, 2.5, 5.0, 7.0],
}
# model type, settings, and the type of the weights in the file.
MODELS = {
    "llama2": ("llama", {**SIZES, "num_key_value_heads": 4}, "float32"),
    "llama3": ("llama", {**SIZES, "rope_parameters": {**LLAMA3, "rope_theta": 500.0}}, "bfloat16"),
    "llama_linear": ("llama", {**SIZES, "rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 5000.0}}, "float16"),
    "llama_dynamic": (
        "llama",
        {
            **SIZES,
            "max_position_embeddings": 9,
            "rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0},
            "attention_bias": True,
            "mlp_bias": True,
        },
        "bfloat16",
    ),
    "llama_yarn": ("llama", {**WIDE_HEADS, "rope_parameters": YARN}, "bfloat16"),
    "mistral": ("mistral", {**SIZES, "sliding_window": 5, "num_key_value_heads": 1}, "bfloat16"),
    "qwen2": ("qwen2", {**SIZES, "tie_word_embeddings": True}, "bfloat16"),
    "qwen2_sliding": (
        "qwen2",
        {**SIZES, "num_hidden_layers": 3, "use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
        "bfloat16",
    ),
    "qwen3": ("qwen3", {**WIDE_HEADS, "tie_word_embeddings": True}, "bfloat16"),
    "gemma2": (
        "gemma2",
        {
            **WIDE_HEADS,
            "num_hidden_layers": 3,
            "tie_word_embeddings": True,
            "query_pre_attn_scalar": 20,
            "sliding_window": 5,
            "attn_logit_softcapping": 3.0,
            "final_logit_softcapping": 1.5,
        },
        "bfloat16",
    ),
    "gemma3": (
        "gemma3_text",
        {
            **WIDE_HEADS,
            "num_hidden_layers": 3,
            "tie_word_embeddings": True,
            "query_pre_attn_scalar": 20,
            "sliding_window": 5,
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention"],
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 100000.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 1000.0},
            },
        },
        "bfloat16",
    ),
    "phi3": ("phi3", {**SIZES, "sliding_window": 9}, "bfloat16"),
    "phi3_longrope": (
        "phi3",
        {**SIZES, "original_max_position_embeddings": 10, "rope_parameters": {**LONGROPE, "rope_theta": 10000.0}},
        "bfloat16",
    ),
    "gpt2": ("gpt2", GPT2, "float16"),
    "gpt_neox": ("gpt_neox", NEOX, "float16"),
    "gpt_neox_sequential": (
        "gpt_neox",
        {**NEOX, "use_parallel_residual": False, "rope_parameters": {"rope_theta": 500.0, "partial_rotary_factor": 0.5}},
        "float16",
    ),
}
# The same rotary embeddings as older versions wrote them.
OLD_ROPE = {
    "llama3": {"rope_theta": 500.0, "rope_scaling": LLAMA3},
    "llama_linear": {"rope_theta": 5000.0, "rope_scaling": {"type": "linear", "factor": 2.0}},
    "gpt_neox": {"rotary_emb_base": 10000, "rotary_pct": 0.25},
}
ADAPTERS = {
    "llama2": {"target_modules": "all-linear", "r": 4, "lora_alpha": 8},
    "qwen3": {
        "target_modules": ["q_proj", "v_proj", "down_proj"],
        "r": 4,
        "lora_alpha": 8,
        "use_rslora": True,
        "rank_pattern": {"v_proj": 2},
        "alpha_pattern": {r"layers\.1\.mlp\.down_proj": 3},
    },
    "phi3": {"target_modules": "all-linear", "r": 4, "lora_alpha": 8},
    "gpt2": {"target_modules": ["c_attn", "c_proj", "c_fc"], "r": 4, "lora_alpha": 8, "fan_in_fan_out": True},
}
GRADIENTS = ["llama2", "gpt2"]


def random_weights(model):
    """Nothing is zero or one, and attention is far from uniform."""
    plus_one = "Gemma" in type(model).__name__
    for name, parameter in model.named_parameters():
        values = torch.randn_like(parameter)
        if name.endswith("bias"):
            values *= 0.2
        elif parameter.dim() == 1:
            values = 0.3 * values + (0 if plus_one else 1)
        elif any(part in name for part in ("embed", "wte", "wpe")):
            values *= 0.12 if plus_one else 0.25
        else:
            values *= 0.22
        parameter.data.copy_(values)


def write(name, seed):
    """The folder of a model."""
    family, settings, dtype = MODELS[name]
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(seed)
    config = CONFIG_MAPPING[family](**copy.deepcopy(settings))
    model = AutoModelForCausalLM.from_config(config)
    random_weights(model)
    model = model.to(getattr(torch, dtype))
    model.save_pretrained(folder, max_shard_size="20KB" if name == "mistral" else "5GB")
    (folder / "generation_config.json").unlink()
    file = folder / "model.safetensors"
    if name == "gpt2":
        # Named as in the published weights, with the buffers of older versions.
        tensors = {key.removeprefix("transformer."): tensor for key, tensor in load_file(file).items()}
        for layer in range(2):
            tensors[f"h.{layer}.attn.bias"] = torch.ones(8, 8).tril().bool().reshape(1, 1, 8, 8)
            tensors[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)
        save_file(tensors, file, metadata={"format": "pt"})
    if name in ("llama2", "gpt_neox"):
        tensors = load_file(file)
        module = "gpt_neox.layers.0.attention" if name == "gpt_neox" else "model.layers.0.self_attn"
        tensors[f"{module}.rotary_emb.inv_freq"] = torch.tensor([1.0, 0.01])
        save_file(tensors, file, metadata={"format": "pt"})
    if name in OLD_ROPE:
        path = folder / "config.json"
        values = json.loads(path.read_text())
        new = values.pop("rope_parameters")
        values |= OLD_ROPE[name]
        path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
        again = transformers.AutoConfig.from_pretrained(folder).rope_parameters
        again.pop("type", None)
        assert again == new, (again, new)


def read(name, dtype=torch.float32):
    return AutoModelForCausalLM.from_pretrained(OUT / name, dtype=dtype, attn_implementation="eager").eval()


def log_probs(logits, ids):
    """Of each token but the first, given those before it."""
    return logits.log_softmax(-1)[:, :-1].gather(2, ids[:, 1:, None])[:, :, 0]


@torch.no_grad()
def forward(name, ids):
    model = read(name)
    mlp = {}
    for path, module in model.named_modules():
        # What the last projection of each MLP reads.
        if path.endswith((".down_proj", ".mlp.c_proj", ".dense_4h_to_h")):
            layer = int(path.split(".")[-3])
            module.register_forward_pre_hook(lambda _, x, layer=layer: mlp.update({layer: x[0]}))
    y = model(ids, output_hidden_states=True)
    return {
        "input_ids": ids,
        "logits": y.logits,
        "hidden_states": torch.stack(y.hidden_states),
        "mlp": torch.stack([mlp[layer] for layer in range(len(mlp))]),
        "log_probs": log_probs(y.logits, ids),
        "logits_bf16": read(name, torch.bfloat16)(ids).logits,
    }


@torch.no_grad()
def greedy(name, prompt):
    """The continuation, and the least distance of a token's logit to the second best's."""
    model = read(name)
    model.generation_config.eos_token_id = None
    y = model.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=False,
        max_new_tokens=NEW_TOKENS,
        output_logits=True,
        return_dict_in_generate=True,
    )
    best = torch.stack(y.logits).topk(2).values
    return y.sequences[:, prompt.shape[1] :], (best[..., 0] - best[..., 1]).min().item()


def adapted(name, ids):
    """Writes an adapter; gives what the model computes with it."""
    folder = OUT / name / "adapter"
    torch.manual_seed(7)
    tuned = get_peft_model(read(name), LoraConfig(task_type="CAUSAL_LM", **copy.deepcopy(ADAPTERS[name])))
    with torch.no_grad():
        for key, parameter in tuned.named_parameters():
            if "lora_" in key:
                parameter.copy_(torch.randn_like(parameter) * 0.15)
    tuned.save_pretrained(folder)
    (folder / "README.md").unlink()
    path = folder / "adapter_config.json"
    values = json.loads(path.read_text())
    values["base_model_name_or_path"] = name
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
    tuned = PeftModel.from_pretrained(read(name), folder, is_trainable=True).eval()
    logits = tuned(ids).logits
    expected = {"lora_logits": logits.detach()}
    if name in GRADIENTS:
        (-log_probs(logits, ids).mean()).backward()
        for key, parameter in tuned.named_parameters():
            if parameter.requires_grad:
                expected[f"grad.{key.replace('.default', '')}"] = parameter.grad
    return expected


def model(name):
    number = list(MODELS).index(name)
    for seed in range(number * 100, number * 100 + 100):
        write(name, seed)
        length = 8 if name == "phi3_longrope" else LENGTH
        ids = torch.randint(3, 96, (2, 16))
        prompt = torch.randint(3, 96, (1, 6))
        continuation, margin = greedy(name, prompt)
        if margin > 2e-3 and len(set(continuation[0].tolist())) > 6:
            break
    else:
        raise AssertionError(f"{name}: no continuation that is clear")
    expected = forward(name, ids[:, :length].contiguous())
    expected |= {"prompt_ids": prompt, "greedy_ids": continuation}
    if name == "phi3_longrope":
        expected |= {f"long.{key}": value for key, value in forward(name, ids).items()}
    if name == "llama2":
        expected["logits_f16"] = read(name, torch.float16)(expected["input_ids"]).logits.detach()
    if name in ADAPTERS:
        expected |= adapted(name, expected["input_ids"])
    expected = {key: value.contiguous() for key, value in expected.items()}
    save_file(expected, OUT / name / "expected.safetensors")
    largest = expected["hidden_states"].abs().max()
    spread = (expected["logits"] - expected["logits_bf16"]).abs().max()
    print(f"{name}: seed {seed}, margin {margin:.4f}, largest {largest:.1f}, bf16 {spread:.3f}")


def main():
    assert transformers.__version__ == "5.23.0", transformers.__version__
    assert peft.__version__ == "0.21.2", peft.__version__
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        model(name)
    pickled()


def pickled():
    """llama2 as older versions saved it."""
    folder = OUT / "llama2_pickled"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(OUT / "llama2/config.json", folder)
    torch.save(load_file(OUT / "llama2/model.safetensors"), folder / "pytorch_model.bin")


if __name__ == "__main__":
    main()

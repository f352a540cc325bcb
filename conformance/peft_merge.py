"""Writes crates/collimate-peft/tests/fixtures/merge.

For tiny random models of several families: their weights, adapters as PEFT saves them, and what PEFT
merges them to (only the tensors that differ from the model's). cases.json lists them. A model whose
head shares the embedding's weights is untied first where only one of the two changes: PEFT would
change both. peft 0.21.2, torch 2.15.0, transformers 5.23.0, safetensors 0.8.0:

    python conformance/peft_merge.py
"""

import copy
import json
import pathlib
import shutil
import warnings

import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file, save_file

OUT = pathlib.Path(__file__).parent.parent / "crates/collimate-peft/tests/fixtures/merge"
warnings.simplefilter("ignore")

SIZES = {
    "vocab_size": 24,
    "hidden_size": 16,
    "intermediate_size": 20,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "max_position_embeddings": 16,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
TIED = {**SIZES, "tie_word_embeddings": True}
GPT2 = {"vocab_size": 24, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 16}
MODELS = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", SIZES, torch.float32),
    "llama-bf16": ("LlamaConfig", "LlamaForCausalLM", SIZES, torch.bfloat16),
    "mistral": ("MistralConfig", "MistralForCausalLM", SIZES, torch.bfloat16),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", SIZES, torch.float32),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", TIED, torch.float32),
    "gemma2": ("Gemma2Config", "Gemma2ForCausalLM", TIED, torch.float32),
    "phi3": ("Phi3Config", "Phi3ForCausalLM", SIZES, torch.float32),
    # Its names are those of GPT2Model, as in the published weights.
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", GPT2, torch.float32),
}
QV = ["q_proj", "v_proj"]
PATTERNS = {
    "target_modules": "all-linear",
    "r": 3,
    "lora_alpha": 5,
    "rank_pattern": {"q_proj": 2, r"layers\.1\..*v_proj": 4},
    "alpha_pattern": {"down_proj": 1.5, "o_proj": 7},
}
ADAPTERS = {
    "llama": {
        "plain": {"target_modules": "all-linear", "r": 4, "lora_alpha": 8},
        "rslora": {**PATTERNS, "use_rslora": True},
        "dora": {"target_modules": [*QV, "lm_head", "embed_tokens"], "r": 3, "use_dora": True},
        "regex": {"target_modules": r".*\.layers\.1\..*(q|up)_proj", "modules_to_save": ["norm", "lm_head"]},
    },
    "llama-bf16": {
        "plain": {"target_modules": "all-linear", "r": 4, "lora_alpha": 8},
        "dora": {"target_modules": [*QV, "down_proj"], "r": 3, "use_dora": True},
        "saved": {"target_modules": ["o_proj"], "modules_to_save": ["embed_tokens"]},
    },
    "mistral": {"patterns": PATTERNS},
    "qwen2": {
        "lora-bias": {"target_modules": ["q_proj", "k_proj"], "r": 2, "lora_bias": True},
        "bias-lora-only": {"target_modules": ["v_proj"], "r": 2, "bias": "lora_only"},
        "bias-all": {"target_modules": ["v_proj", "o_proj"], "r": 2, "bias": "all"},
    },
    "qwen3": {
        "plain": {"target_modules": "all-linear", "r": 2},
        "head": {"target_modules": ["q_proj", "lm_head"], "r": 2},
        "embedding": {"target_modules": ["v_proj", "embed_tokens"], "r": 2},
        "saved-head": {"target_modules": ["v_proj"], "modules_to_save": ["lm_head"], "r": 2},
    },
    "gemma2": {"patterns": PATTERNS},
    "phi3": {"fused": {"target_modules": ["qkv_proj", "gate_up_proj"], "r": 2, "use_dora": True}},
    "gpt2": {
        "plain": {"target_modules": ["c_attn", "c_proj", "c_fc"], "r": 3, "fan_in_fan_out": True},
        "dora": {"target_modules": ["c_attn", "attn.c_proj"], "r": 3, "use_dora": True, "fan_in_fan_out": True},
        "embeddings": {"target_modules": ["wte", "wpe"], "r": 2},
        "lora-bias": {"target_modules": ["c_fc"], "r": 2, "lora_bias": True, "fan_in_fan_out": True},
    },
}
# Several adapters at once, in this order, with their weights.
TOGETHER = {
    "llama": {
        "two": [("plain", 0.5), ("rslora", -0.25)],
        "plain-dora": [("plain", 1.0), ("dora", 1.0)],
        "dora-plain": [("dora", 0.75), ("plain", 1.0)],
    },
    "gpt2": {"two": [("dora", 0.5), ("plain", 2.0), ("dora-again", 1.0)]},
}
ADAPTERS["gpt2"]["dora-again"] = {**ADAPTERS["gpt2"]["dora"], "r": 2}


def model(name):
    config_class, model_class, values, dtype = MODELS[name]
    torch.manual_seed(len(name))
    made = getattr(transformers, model_class)(getattr(transformers, config_class)(**values))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2)
    return made.to(dtype)


def in_files(name, state):
    """Names as in the files."""
    if name != "gpt2":
        return state
    return {key.removeprefix("transformer."): tensor for key, tensor in state.items()}


def untied(base):
    """The same model with a head of its own."""
    base = copy.deepcopy(base)
    base.config.tie_word_embeddings = False
    head = base.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.detach().clone())
    return base


def save_adapter(base, values, folder):
    """A trained adapter: nothing in it is zero or what it was."""
    torch.manual_seed(len(str(folder.name)) + 100)
    tuned = get_peft_model(untied(base), LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **values))
    with torch.no_grad():
        for key, parameter in tuned.named_parameters():
            if "lora_magnitude_vector" in key:
                parameter.mul_(1 + 0.2 * torch.rand_like(parameter))
            elif "lora_" in key:
                parameter.copy_(torch.randn_like(parameter) * 0.2)
            elif parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    tuned.save_pretrained(folder)
    (folder / "README.md").unlink()


def merged(base, folders):
    one, *others = folders
    tuned = PeftModel.from_pretrained(untied(base), one[0], adapter_name="0")
    for number, (folder, _) in enumerate(others, 1):
        tuned.load_adapter(folder, adapter_name=str(number))
    for module in tuned.modules():
        if isinstance(module, LoraLayer):
            for number, (_, weight) in enumerate(folders):
                if str(number) in module.scaling:
                    module.scaling[str(number)] *= weight
    return tuned.merge_and_unload(adapter_names=[str(number) for number in range(len(folders))])


def main():
    assert peft.__version__ == "0.21.2", peft.__version__
    shutil.rmtree(OUT, ignore_errors=True)
    cases = []
    for name in MODELS:
        base = model(name)
        folder = OUT / name
        folder.mkdir(parents=True)
        is_tied = base.get_input_embeddings().weight is base.get_output_embeddings().weight
        modules = {id(module): path for path, module in base.named_modules()}
        head, embedding = modules[id(base.get_output_embeddings())], modules[id(base.get_input_embeddings())]
        weights = dict(base.state_dict())
        if is_tied:
            del weights[f"{head}.weight"]
        weights = in_files(name, weights)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        together = {case: [(case, 1.0)] for case in ADAPTERS[name]} | TOGETHER.get(name, {})
        for adapter, values in ADAPTERS[name].items():
            save_adapter(base, values, folder / adapter)
        for case, adapters in together.items():
            folders = [(folder / adapter, weight) for adapter, weight in adapters]
            state = in_files(name, merged(base, folders).state_dict())
            shared = next(iter(in_files(name, {f"{embedding}.weight": None})))
            own_head = is_tied and not torch.equal(state[f"{head}.weight"], state[shared])
            if is_tied and not own_head:
                del state[f"{head}.weight"]
            changed = {
                key: tensor.contiguous()
                for key, tensor in state.items()
                if key not in weights or not torch.equal(weights[key], tensor)
            }
            save_file(changed, folder / f"{case}.merged.safetensors")
            cases.append(
                {
                    "model": name,
                    "case": case,
                    "adapters": adapters,
                    "tied_head": [head, embedding] if is_tied else None,
                    "untied": own_head,
                }
            )
    # A model and an adapter as older versions saved them.
    old, new = OUT / "llama/plain", OUT / "pickle"
    new.mkdir()
    shutil.copy(old / "adapter_config.json", new)
    torch.save(load_file(old / "adapter_model.safetensors"), new / "adapter_model.bin")
    torch.save(load_file(OUT / "llama/model.safetensors"), new / "pytorch_model.bin")
    lines = ",\n".join(json.dumps(case) for case in cases)
    (OUT / "cases.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()

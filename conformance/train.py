"""Writes crates/collimate-train/tests/fixtures.

Tiny random models, each a folder as transformers reads it, with the rows, the adapter that training starts
from, and expected.safetensors: what transformers' Trainer makes of them with PEFT in 20 steps, in float32.
transformers 5.23.0, torch 2.15.0, peft 0.21.2, safetensors 0.8.0:

    python conformance/train.py
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
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from peft.optimizers import create_loraplus_optimizer
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, Trainer, TrainingArguments
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

OUT = pathlib.Path(__file__).parent.parent / "crates/collimate-train/tests/fixtures"
STEPS = 20
IGNORED = -100

SIZES = {
    "vocab_size": 64,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 48,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}
GEMMA2 = {
    "head_dim": 6,
    "tie_word_embeddings": True,
    "query_pre_attn_scalar": 20,
    "sliding_window": 5,
    "attn_logit_softcapping": 3.0,
    "final_logit_softcapping": 1.5,
}
GPT2 = {"vocab_size": 64, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 48, "n_inner": 24}
GPT2 |= {"bos_token_id": 1, "eos_token_id": 2, "resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0}
ALL = {"target_modules": "all-linear", "r": 4, "lora_alpha": 8}
SCHEDULE = {"lr_scheduler_type": "linear", "warmup_steps": 3, "learning_rate": 1e-2}
# Model type, settings, adapter or none for all parameters, arguments of the Trainer, and the ratio of LoRA+.
RUNS = {
    "llama": ("llama", SIZES, ALL, {}, None),
    "qwen2": ("qwen2", {**SIZES, "tie_word_embeddings": True}, ALL, {"max_grad_norm": 0.2}, None),
    "gemma2": ("gemma2", {**SIZES, **GEMMA2}, ALL, {"lr_scheduler_type": "cosine"}, None),
    "gpt2": (
        "gpt2",
        GPT2,
        {**ALL, "target_modules": ["c_attn", "c_proj", "c_fc"], "fan_in_fan_out": True},
        {"lr_scheduler_type": "constant_with_warmup"},
        None,
    ),
    "llama_dora": (
        "llama",
        SIZES,
        {**ALL, "target_modules": ["q_proj", "v_proj", "down_proj"], "use_dora": True},
        {},
        None,
    ),
    "llama_head": (
        "llama",
        SIZES,
        {**ALL, "target_modules": ["q_proj", "v_proj"], "modules_to_save": ["lm_head"]},
        {"label_smoothing_factor": 0.1},
        None,
    ),
    "llama_plus": ("llama", SIZES, {**ALL, "use_rslora": True, "rank_pattern": {"v_proj": 2}}, {"learning_rate": 2e-3}, 8.0),
    "llama_pissa": ("llama", SIZES, {**ALL, "init_lora_weights": "pissa"}, {"learning_rate": 1e-3}, None),
    "qwen2_full": ("qwen2", {**SIZES, "tie_word_embeddings": True}, None, {"learning_rate": 1e-3}, None),
    "gpt2_full": ("gpt2", GPT2, None, {"learning_rate": 1e-3}, None),
}


class InOrder(Trainer):
    """Takes the rows as they come, and keeps the first gradients as they are before they are clipped."""

    def _get_train_sampler(self, dataset=None):
        return None

    def create_accelerator_and_postprocess(self):
        super().create_accelerator_and_postprocess()
        clip = self.accelerator.clip_grad_norm_
        self.gradients = None

        def keep(parameters, *arguments, **named):
            if self.gradients is None:
                self.gradients = {
                    name: parameter.grad.clone()
                    for name, parameter in self.model.named_parameters()
                    if parameter.requires_grad
                }
            return clip(parameters, *arguments, **named)

        self.accelerator.clip_grad_norm_ = keep


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
            values *= 0.17 if plus_one else 0.35
        else:
            values *= 0.31
        parameter.data.copy_(values)


def rows():
    """Seven rows of different lengths, of which some tokens carry loss, never the first."""
    found = []
    for length in (9, 5, 12, 7, 3, 11, 8):
        ids = torch.randint(3, 64, (length,))
        trained = torch.rand(length) < 0.6
        trained[0], trained[-1] = False, True
        found.append((ids.tolist(), trained.tolist()))
    return found


def collate(batch):
    longest = max(len(row["input_ids"]) for row in batch)

    def padded(key, value):
        return torch.tensor([row[key] + [value] * (longest - len(row[key])) for row in batch])

    return {
        "input_ids": padded("input_ids", 0),
        "labels": padded("labels", IGNORED),
        "attention_mask": padded("attention_mask", 0),
    }


def contiguous(tensors):
    return {key: tensor.detach().clone().contiguous() for key, tensor in tensors.items()}


def run(name, seed):
    family, settings, adapter, arguments, ratio = RUNS[name]
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(seed)
    config = CONFIG_MAPPING[family](**copy.deepcopy(settings))
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    random_weights(model)
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink()
    data = rows()
    (folder / "rows.json").write_text(json.dumps([{"ids": ids, "trained": trained} for ids, trained in data]) + "\n")
    is_pissa = adapter is not None and adapter.get("init_lora_weights") == "pissa"
    if is_pissa:
        # Signs of singular vectors are anybody's choice: it starts from its own.
        model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **copy.deepcopy(adapter)))
    elif adapter is not None:
        model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **copy.deepcopy(adapter)))
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if "lora_A" in key or "lora_B" in key:
                    parameter.copy_(torch.randn_like(parameter) * 0.1)
        model.save_pretrained(folder / "start")
        (folder / "start/README.md").unlink()
        path = folder / "start/adapter_config.json"
        values = json.loads(path.read_text()) | {"base_model_name_or_path": name}
        path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
    features = [
        {
            "input_ids": ids,
            "labels": [id if on else IGNORED for id, on in zip(ids, trained)],
            "attention_mask": [1] * len(ids),
        }
        for ids, trained in data
    ]
    arguments = SCHEDULE | {"weight_decay": 0.1, "max_grad_norm": 1.0} | arguments
    arguments = TrainingArguments(
        output_dir="unused",
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        max_steps=STEPS,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
        remove_unused_columns=False,
        seed=seed,
        **arguments,
    )
    optimizer = None
    if ratio is not None:
        optimizer = create_loraplus_optimizer(
            model,
            torch.optim.AdamW,
            lr=arguments.learning_rate,
            loraplus_lr_ratio=ratio,
            loraplus_weight_decay=arguments.weight_decay,
        )
    trainer = InOrder(
        model=model, args=arguments, train_dataset=features, data_collator=collate, optimizers=(optimizer, None)
    )
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    history = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(history) == STEPS
    expected = {
        key: torch.tensor([float(entry[key]) for entry in history], dtype=torch.float64)
        for key in ("loss", "grad_norm", "learning_rate")
    }
    if is_pissa:
        save_file(expected, folder / "expected.safetensors")
        return
    gradients = {key.replace(".default", "").replace("modules_to_save.", ""): grad for key, grad in trainer.gradients.items()}
    gradients = {key.replace("lora_magnitude_vector.weight", "lora_magnitude_vector"): grad for key, grad in gradients.items()}
    if adapter is None:
        final = {key: parameter for key, parameter in model.named_parameters()}
    else:
        final = get_peft_model_state_dict(model)
        final = {key: tensor for key, tensor in final.items() if key in gradients}
    assert final.keys() == gradients.keys(), final.keys() ^ gradients.keys()
    expected |= {f"gradient.{key}": grad for key, grad in gradients.items()}
    expected |= {f"final.{key}": tensor for key, tensor in final.items()}
    save_file(contiguous(expected), folder / "expected.safetensors")
    first, last = history[0]["loss"], history[-1]["loss"]
    print(f"{name}: loss {first:.4f} to {last:.4f}, first norm {history[0]['grad_norm']:.3f}")


def main():
    assert transformers.__version__ == "5.23.0", transformers.__version__
    assert peft.__version__ == "0.21.2", peft.__version__
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(RUNS):
        run(name, seed)


if __name__ == "__main__":
    main()

"""Writes crates/collimate-lm/tests/training.

What torch computes of the models that lm.py made, in float32: the loss of masked rows with and without
smoothed labels, and the gradients of all parameters; logits and gradients of DoRA adapters, also with
dropout; embeddings with noise. Random numbers are those of collimate-lm, drawn here by a generator
written again. transformers 5.23.0, torch 2.15.0, peft 0.21.2, safetensors 0.8.0:

    python conformance/lm_train.py
"""

import copy
import json
import os
import pathlib
import shutil
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy
import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
from transformers.integrations.neftune import neftune_post_forward_hook
from transformers.trainer_pt_utils import LabelSmoother

TESTS = pathlib.Path(__file__).parent.parent / "crates/collimate-lm/tests"
MODELS = TESTS / "fixtures"
OUT = TESTS / "training"
# Of one also as if its head were the embedding.
LOSSES = ["llama2", "llama2_tied", "qwen2", "gemma2", "gpt2"]
ADAPTERS = {
    "llama2": {"target_modules": "all-linear"},
    "qwen2": {"target_modules": ["q_proj", "v_proj", "down_proj"], "use_rslora": True},
    "gpt2": {"target_modules": ["c_attn", "c_proj", "c_fc"], "fan_in_fan_out": True},
}
LENGTHS = [12, 7, 10]
SMOOTHING = 0.1
KEY = 2026
DROPOUT = 0.25
ALPHA = 5.0
# Numbers of a gradient that are kept: all would be megabytes.
KEPT = 150
MASK = (1 << 64) - 1


def mixed(word):
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB & MASK
    return word ^ (word >> 31)


def key_of(name):
    """The key of a part: the run's key mixed with the FNV-1a hash of its name."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 & MASK
    return mixed(KEY ^ mixed(seed))


def random_bits(name, count):
    """SplitMix64; of eight words first the lower halves, then the upper."""
    key = key_of(name)
    words = -(-count // 16) * 8
    words = [mixed(key + (at + 1) * 0x9E3779B97F4A7C15 & MASK) for at in range(words)]
    words = numpy.array(words, dtype=numpy.uint64).reshape(-1, 1, 8)
    halves = numpy.concatenate([words & 0xFFFFFFFF, words >> 32], axis=1)
    return torch.from_numpy(halves.reshape(-1)[:count].astype(numpy.int64))


class Dropped(torch.nn.Module):
    """Dropout that draws as collimate-lm does."""

    def __init__(self, name):
        super().__init__()
        self.name = name

    def forward(self, x):
        dropped = random_bits(self.name, x.numel()) < round(DROPOUT * 2**32)
        return x.masked_fill(dropped.reshape(x.shape), 0) / (1 - DROPOUT)


def rows():
    """Rows of different lengths, and which of their tokens carry loss."""
    torch.manual_seed(11)
    ids = [torch.randint(3, 96, (length,)) for length in LENGTHS]
    trained = [torch.rand(length) < 0.6 for length in LENGTHS]
    return ids, trained


def batch():
    ids, trained = rows()
    labels = [torch.where(mask, row, -100) for row, mask in zip(ids, trained)]
    pad = lambda rows, value: torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)
    ids, labels = pad(ids, 0), pad(labels, -100)
    mask = torch.arange(ids.shape[1])[None] < torch.tensor(LENGTHS)[:, None]
    return {"input_ids": ids, "attention_mask": mask.long()}, labels


def read(name):
    folder = MODELS / name.removesuffix("_tied")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    if name.endswith("_tied"):
        model.lm_head.weight = model.model.embed_tokens.weight
    return model.eval()


def kept(tensor):
    """Some numbers of a tensor, evenly spread."""
    flat = tensor.detach().reshape(-1)
    return flat[:: max(1, flat.numel() // KEPT)].contiguous()


def summed(model, smoothing):
    """The sum of the loss over all tokens that carry it."""
    inputs, labels = batch()
    logits = model(**inputs).logits
    count = (labels[:, 1:] != -100).sum()
    return LabelSmoother(epsilon=smoothing)({"logits": logits}, labels, shift_labels=True) * count


def losses(name):
    expected = {}
    for smoothing in (0.0, SMOOTHING):
        model = read(name)
        loss = summed(model, smoothing)
        loss.backward()
        expected[f"{name}.{smoothing}.loss"] = loss.detach().double().reshape(1)
        for key, parameter in model.named_parameters():
            expected[f"{name}.{smoothing}.grad.{key}"] = kept(parameter.grad)
    return expected


def adapted(name):
    """Writes a DoRA adapter; gives what the model computes with it."""
    folder = OUT / name
    torch.manual_seed(7)
    config = LoraConfig(
        task_type="CAUSAL_LM", r=4, lora_alpha=8, lora_dropout=DROPOUT, use_dora=True, **copy.deepcopy(ADAPTERS[name])
    )
    tuned = get_peft_model(read(name), config)
    with torch.no_grad():
        for key, parameter in tuned.named_parameters():
            if "lora_A" in key or "lora_B" in key:
                parameter.copy_(torch.randn_like(parameter) * 0.15)
            elif "lora_magnitude" in key:
                parameter.mul_(1 + 0.3 * torch.rand_like(parameter))
    tuned.save_pretrained(folder)
    (folder / "README.md").unlink()
    path = folder / "adapter_config.json"
    values = json.loads(path.read_text())
    values["base_model_name_or_path"] = name
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")

    expected = {}
    for case in ("kept", "dropped"):
        tuned = PeftModel.from_pretrained(read(name), folder, is_trainable=True).eval()
        for path, module in tuned.base_model.model.named_modules():
            if hasattr(module, "lora_dropout"):
                if case == "dropped":
                    module.lora_dropout["default"] = Dropped(path)
                    # Of the module alone: the model has dropout of its own.
                    module.training = True
                if case == "kept":
                    magnitude = module.lora_magnitude_vector["default"]
                    norm = magnitude.get_weight_norm(
                        module.get_base_layer().weight,
                        module.lora_B["default"].weight @ module.lora_A["default"].weight,
                        module.scaling["default"],
                    )
                    expected[f"{name}.norm.{path}"] = kept(norm)
        loss = summed(tuned, 0.0)
        loss.backward()
        expected[f"{name}.dora.{case}.loss"] = loss.detach().double().reshape(1)
        for key, parameter in tuned.named_parameters():
            if parameter.requires_grad:
                key = key.removeprefix("base_model.model.").replace(".default", "")
                expected[f"{name}.dora.{case}.grad.{key}"] = kept(parameter.grad)
    return expected


def noisy(name):
    """The loss of a model whose embeddings have noise."""
    model = read(name)
    embeddings = model.get_input_embeddings()
    embeddings.neftune_noise_alpha = ALPHA
    embeddings.training = True

    def uniform(tensor, low, high):
        # The middle of one of 2³² parts.
        uniform = (random_bits("neftune", tensor.numel()).double() + 0.5) / 2**32
        return tensor.copy_((low + (high - low) * uniform).reshape(tensor.shape))

    embeddings.register_forward_hook(neftune_post_forward_hook)
    original, torch.Tensor.uniform_ = torch.Tensor.uniform_, uniform
    try:
        loss = summed(model, 0.0)
    finally:
        torch.Tensor.uniform_ = original
    assert abs(loss - summed(read(name), 0.0)) > 1e-3
    return {f"{name}.noisy.loss": loss.detach().double().reshape(1)}


def main():
    assert transformers.__version__ == "5.23.0", transformers.__version__
    assert peft.__version__ == "0.21.2", peft.__version__
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(1)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    ids, trained = rows()
    expected = {}
    for at, (row, mask) in enumerate(zip(ids, trained)):
        expected |= {f"ids.{at}": row, f"trained.{at}": mask.long()}
    for name in LOSSES:
        expected |= losses(name)
    for name in ADAPTERS:
        expected |= adapted(name)
    for name in ("llama2", "gemma2", "gpt2"):
        expected |= noisy(name)
    save_file({key: value.contiguous() for key, value in expected.items()}, OUT / "expected.safetensors")
    for key, value in expected.items():
        if key.endswith("loss"):
            print(key, value.item())


if __name__ == "__main__":
    main()

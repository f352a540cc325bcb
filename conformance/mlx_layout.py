"""Writes crates/collimate-peft/tests/fixtures/mlx.

Adapters for the Llama model of fixtures/merge in the layout of mlx-lm's tuner/lora.py and
tuner/dora.py, written with numpy because mlx runs on other machines, and what their `fuse` functions
make of the model's weights. Run peft_merge.py first. numpy 2.4.6, safetensors 0.8.0:

    python conformance/mlx_layout.py
"""

import json
import pathlib

import numpy
from safetensors.numpy import load_file, save_file

FIXTURES = pathlib.Path(__file__).parent.parent / "crates/collimate-peft/tests/fixtures"
OUT = FIXTURES / "mlx"
RANK, SCALE = 3, 10.0
LAST = ["model.layers.1.self_attn.q_proj", "model.layers.1.mlp.down_proj"]
ADAPTERS = {
    "lora": ("lora", ["model.embed_tokens", "lm_head", *LAST], 1),
    "dora": ("dora", [f"model.layers.{layer}.self_attn.v_proj" for layer in range(2)], 2),
}


def main():
    random = numpy.random.default_rng(3)
    model = load_file(FIXTURES / "merge/llama/model.safetensors")

    def uniform(*shape):
        return random.uniform(-0.3, 0.3, shape).astype(numpy.float32)

    for case, (kind, modules, num_layers) in ADAPTERS.items():
        tensors, fused = {}, {}
        for name in modules:
            weight = model[f"{name}.weight"].astype(numpy.float64)
            is_embedding = name.endswith("embed_tokens")
            inputs, outputs = weight.shape if is_embedding else weight.shape[::-1]
            a, b = uniform(inputs, RANK), uniform(RANK, outputs)
            tensors |= {f"{name}.lora_a": a, f"{name}.lora_b": b}
            update = SCALE * a.astype(numpy.float64) @ b.astype(numpy.float64)
            weight += update if is_embedding else update.T
            if kind == "dora":
                m = (numpy.linalg.norm(weight, axis=1) * random.uniform(0.5, 1.5, outputs)).astype(numpy.float32)
                tensors[f"{name}.m"] = m
                weight *= (m / numpy.linalg.norm(weight, axis=1))[:, None]
            fused[f"{name}.weight"] = weight.astype(numpy.float32)
        keys = {name.split(".", 3)[3] if ".layers." in name else name for name in modules}
        config = {
            "batch_size": 4,
            "fine_tune_type": kind,
            "iters": 1000,
            "lora_parameters": {"rank": RANK, "dropout": 0.05, "scale": SCALE, "keys": sorted(keys)},
            "model": "org/model",
            "num_layers": num_layers,
        }
        (OUT / case).mkdir(parents=True, exist_ok=True)
        save_file(tensors, OUT / case / "adapters.safetensors")
        (OUT / case / "adapter_config.json").write_text(json.dumps(config, indent=4))
        save_file(fused, OUT / f"{case}.fused.safetensors")


main()

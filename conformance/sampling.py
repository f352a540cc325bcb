"""Writes crates/collimate-lm/tests/fixtures/sampling.json.

For rows of logits: what each of transformers' logits processors makes of them, and what all together
make of them in the order of `generate`, with the probabilities that tokens are then drawn with. And
all keys that a generation_config.json may have.
torch 2.15.0, transformers 5.23.0:

    python conformance/sampling.py
"""

import json
import math
import pathlib

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM
from transformers.generation import logits_process as processors

OUT = pathlib.Path(__file__).parent.parent / "crates/collimate-lm/tests/fixtures/sampling.json"

SEEN = [0, 3, 3, 7, 11, 30, 200]
ALONE = (
    [{"repetition_penalty": p} for p in (0.7, 1.1, 5.0)]
    + [{"temperature": t} for t in (0.1, 1.3)]
    + [{"top_k": k} for k in (1, 2, 7, 1000)]
    + [{"top_p": p} for p in (1e-9, 0.1, 0.3, 0.5, 0.7, 0.9, 0.95, 0.999)]
    + [{"min_p": p} for p in (0.02, 0.1, 0.5, 1.0)]
)
TOGETHER = [
    {"repetition_penalty": 1.05, "temperature": 0.7, "top_k": 20, "top_p": 0.8},
    {"temperature": 0.6, "top_p": 0.9},
    {"temperature": 1.5, "min_p": 0.1, "top_k": 0},
    {"repetition_penalty": 1.3, "temperature": 0.3, "top_k": 3, "top_p": 0.5, "min_p": 0.3},
    {"top_p": 0.5, "min_p": 0.5},
]


def rows():
    generator = torch.Generator().manual_seed(0)
    for size, spread in ((24, 1.0), (40, 5.0), (220, 2.0)):
        yield torch.randn(size, generator=generator) * spread
    # Equal logits: what is kept of them, and which.
    yield torch.zeros(10)
    yield torch.tensor([1.0, 2.0, 2.0, -1.0, 2.0, 1.0, 0.0, -0.0])
    yield torch.tensor([-math.inf, 3.0, -math.inf, 3.0, 1.0, -3.0e38, 1.0])
    yield torch.tensor([5.0])


def processor(step):
    (name, value), = step.items()
    if name == "repetition_penalty":
        return processors.RepetitionPenaltyLogitsProcessor(value)
    kind = {"temperature": "Temperature", "top_k": "TopK", "top_p": "TopP", "min_p": "MinP"}[name]
    return getattr(processors, f"{kind}LogitsWarper")(value)


def chain(model, settings):
    """All processors of settings, in the order that transformers chooses; its defaults included."""
    config = GenerationConfig(do_sample=True, **settings)
    config.update(**config._get_default_generation_params(), defaults_only=True)
    config._eos_token_tensor = None
    return model._get_logits_processor(config, input_ids_seq_length=len(SEEN))


def shown(scores):
    """The shortest decimals that are these float32; null for -inf."""
    return [None if x == -math.inf else float(str(x)) for x in scores.squeeze(0).numpy()]


def main():
    data = list(rows())
    ids = torch.tensor([SEEN])
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=8, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2
    ))
    alone, together = [], []
    for number, row in enumerate(data):
        for step in ALONE:
            scores = processor(step)(ids, row[None].clone())
            alone.append({"row": number, "step": step, "scores": shown(scores)})
        for settings in TOGETHER:
            scores = chain(model, settings)(ids, row[None].clone())
            probabilities = torch.nn.functional.softmax(scores, dim=-1)
            together.append({
                "row": number,
                "settings": settings,
                "scores": shown(scores),
                "probabilities": shown(probabilities),
            })
    keys = sorted(key for key in vars(GenerationConfig()) if not key.startswith("_"))
    lines = {
        "keys": keys,
        "seen": SEEN,
        "rows": [shown(row[None]) for row in data],
        "alone": alone,
        "together": together,
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(lines).replace('}, {"row"', '},\n{"row"') + "\n")


main()

"""How long transformers takes for what lm.rs measures, on the same shapes with random weights.

    python benches/lm.py [SHAPE...]
"""

import os
import resource
import subprocess
import sys
import time

THREADS = "2"
ROUNDS = 7
SEQUENCE = 256
NEW_TOKENS = 32
SHAPES = {
    "15M": ("llama", 288, 768, 6, 6, 6, 32000, False, 4),
    "110M": ("llama", 768, 2048, 12, 12, 12, 32000, False, 4),
    "0.5B": ("qwen2", 896, 4864, 24, 14, 2, 151936, True, 2),
}


def median(run):
    run()
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[ROUNDS // 2]


def measure(name):
    import torch
    import transformers

    torch.set_num_threads(int(THREADS))
    kind, hidden, inside, layers, heads, kv_heads, vocabulary, tied, rows = SHAPES[name]
    config = {"llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config}[kind](
        hidden_size=hidden,
        intermediate_size=inside,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        vocab_size=vocabulary,
        tie_word_embeddings=tied,
        max_position_embeddings=2048,
    )
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    ids = torch.randint(0, 32000, (rows, SEQUENCE))
    with torch.inference_mode():

        def states():
            found = model.base_model(ids, output_hidden_states=True, use_cache=False).hidden_states
            return torch.stack([layer.mean(1) for layer in found])

        def prefill():
            return model(ids[:1], use_cache=False, logits_to_keep=1).logits

        def decode():
            return model.generate(
                ids[:1],
                max_new_tokens=NEW_TOKENS,
                min_new_tokens=NEW_TOKENS,
                do_sample=False,
                pad_token_id=0,
            )

        hidden_s, prefill_s, decode_s = median(states), median(prefill), median(decode)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(
        f"{name}: hidden {hidden_s * 1e3:.1f} ms ({rows}x{SEQUENCE}), prefill {prefill_s * 1e3:.1f} ms "
        f"(1x{SEQUENCE}), {(decode_s - prefill_s) * 1e3 / (NEW_TOKENS - 1):.1f} ms a token; peak {peak:.0f} MB"
    )


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--alone":
        return measure(sys.argv[2])
    # A process each, so that none has memory of another.
    for name in sys.argv[1:] or SHAPES:
        environment = {**os.environ, "OMP_NUM_THREADS": THREADS, "HF_HUB_OFFLINE": "1"}
        subprocess.run([sys.executable, __file__, "--alone", name], check=True, env=environment)


if __name__ == "__main__":
    main()

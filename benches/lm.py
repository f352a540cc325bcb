"""What lm.rs measures, with transformers: on the models that it left in the folder.

    python benches/lm.py FOLDER [SHAPE...]
"""

import os
import subprocess
import sys
import time
from pathlib import Path

THREADS = "2"
ROUNDS = 7
SEQUENCE = 256
NEW_TOKENS = 32
ROWS = {"15M": 4, "110M": 4, "0.5B": 2}


def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6


def median(run):
    Path("/proc/self/clear_refs").write_text("5")
    run()
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[ROUNDS // 2], peak()


def measure(folder, rows, dtype):
    import torch
    import transformers

    torch.set_num_threads(int(THREADS))
    dtypes = {"f32": torch.float32, "bf16": torch.bfloat16}
    imports = peak()
    start = time.perf_counter()
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtypes[dtype]).eval()
    load = time.perf_counter() - start, peak()
    ids = (torch.arange(rows)[:, None] * 7919 + torch.arange(SEQUENCE) * 31) % 32_000
    with torch.inference_mode():

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

        def hidden():
            found = model.base_model(ids, output_hidden_states=True, use_cache=False).hidden_states
            return torch.stack([layer.mean(1) for layer in found])

        prefill_s, decode_s, hidden_s = median(prefill), median(decode), median(hidden)
    token = (decode_s[0] - prefill_s[0]) / (NEW_TOKENS - 1), decode_s[1]
    figures = {
        "load": load,
        f"prefill 1x{SEQUENCE}": prefill_s,
        "a token": token,
        f"hidden {rows}x{SEQUENCE}": hidden_s,
    }
    figures = [f"{what} {s * 1e3:.1f} ms, {mb:.0f} MB" for what, (s, mb) in figures.items()]
    print(f"{Path(folder).name}, {dtype}: imports {imports:.0f} MB; " + "; ".join(figures), flush=True)


def main():
    folder, *shapes = sys.argv[1:]
    if shapes[:1] == ["--alone"]:
        return measure(folder, int(shapes[1]), shapes[2])
    # A process each, so that none has memory of another.
    for name in shapes or ROWS:
        environment = {**os.environ, "OMP_NUM_THREADS": THREADS, "HF_HUB_OFFLINE": "1"}
        for dtype in ("f32", "bf16"):
            alone = ["--alone", str(ROWS[name]), dtype]
            command = [sys.executable, __file__, f"{folder}/{name}", *alone]
            subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    main()

"""What train.rs measures, with PEFT: on the models that lm.rs left in the folder.

    python benches/train.py FOLDER [SHAPE...]
"""

import os
import subprocess
import sys
import time
from pathlib import Path

THREADS = "2"
STEPS = 7
ROWS = 4
SEQUENCE = 512
SHAPES = ["15M", "110M", "0.5B"]
# Memory that is freed stays with the process: without this torch faults it in again at each step.
ALLOCATOR = "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184"


def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6


def measure(folder, targets, dtype):
    import torch
    import transformers
    from peft import LoraConfig, get_peft_model

    torch.set_num_threads(int(THREADS))
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[dtype]
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    names = targets if targets == "all-linear" else targets.split(",")
    config = LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=32, lora_dropout=0.05, target_modules=names)
    model = get_peft_model(model, config).train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=2e-4, weight_decay=0.0)
    ids = (torch.arange(ROWS)[:, None] * 7919 + torch.arange(SEQUENCE) * 31) % 32_000
    seconds = []
    for step in range(2 + STEPS):
        if step == 2:
            Path("/proc/self/clear_refs").write_text("5")
        start = time.perf_counter()
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.perf_counter() - start)
    median = sorted(seconds[2:])[STEPS // 2]
    name = Path(folder).name
    print(f"{name}, {dtype}, {targets}: {ROWS * SEQUENCE / median:.0f} tokens/s, {peak():.0f} MB", flush=True)


def main():
    folder, *shapes = sys.argv[1:]
    if shapes[:1] == ["--alone"]:
        return measure(folder, *shapes[1:])
    environment = {**os.environ, "OMP_NUM_THREADS": THREADS, "HF_HUB_OFFLINE": "1", "GLIBC_TUNABLES": ALLOCATOR}
    for name in shapes or SHAPES:
        for dtype in ("f32", "bf16"):
            for targets in ("q_proj,v_proj", "all-linear"):
                # A process each, so that none has memory of another.
                command = [sys.executable, __file__, f"{folder}/{name}", "--alone", targets, dtype]
                subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    main()

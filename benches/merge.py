"""How long PEFT takes for what merge.rs measures: load, merge_and_unload, save_pretrained, sync.

Keep the models first: `cargo bench -p collimate-benches --bench merge -- FOLDER`, then

    python benches/merge.py FOLDER
"""

import os
import pathlib
import resource
import shutil
import subprocess
import sys
import time

ROUNDS = 3


def merge(base, adapter, out):
    import transformers
    from peft import PeftModel

    transformers.logging.disable_progress_bar()
    shutil.rmtree(out, ignore_errors=True)
    start = time.perf_counter()
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    model = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    model.save_pretrained(out)
    subprocess.run(["sync", *out.iterdir()], check=True)
    seconds = time.perf_counter() - start
    shutil.rmtree(out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"{seconds:.3f} {peak:.0f}")


def main():
    root = pathlib.Path(sys.argv[1])
    if len(sys.argv) > 2:
        return merge(root / sys.argv[2], root / "adapter", root / "merged")
    # A process each, so that none has memory of another; what is imported is not measured.
    for base in sorted(root.glob("base-*")):
        runs = []
        for _ in range(ROUNDS):
            command = [sys.executable, __file__, str(root), base.name]
            out = subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT)
            runs.append([float(number) for number in out.stdout.split()])
        runs.sort()
        least, median = runs[0][0], runs[len(runs) // 2][0]
        print(f"{base.name}: {median:.2f} s (least {least:.2f}), {max(run[1] for run in runs):.0f} MB")


ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}

if __name__ == "__main__":
    main()

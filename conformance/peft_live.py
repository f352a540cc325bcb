"""Loads every adapter of peft_merge.py, as collimate-peft writes it, in PEFT: without a warning, and with
the logits of the one that PEFT wrote. Writes nothing. peft 0.21.2, torch 2.15.0, transformers 5.23.0:

    cargo build -p collimate-peft --example rewrite_adapter
    python conformance/peft_live.py target/debug/examples/rewrite_adapter
"""

import pathlib
import subprocess
import sys
import tempfile
import warnings

import torch
from peft import PeftModel
from peft_merge import MODELS, OUT, model, untied


def logits(base, folder):
    tuned = PeftModel.from_pretrained(untied(base), folder).eval()
    with torch.no_grad():
        return tuned(torch.arange(1, 12)[None]).logits


def main():
    count = 0
    for name in MODELS:
        base = model(name)
        for folder in sorted(path for path in (OUT / name).iterdir() if path.is_dir()):
            with tempfile.TemporaryDirectory() as to, warnings.catch_warnings():
                subprocess.run([sys.argv[1], folder, to], check=True)
                assert not (pathlib.Path(to) / "README.md").exists()
                expected = logits(base, folder)
                warnings.simplefilter("error")
                # Between PEFT and transformers.
                warnings.simplefilter("ignore", FutureWarning)
                assert torch.equal(logits(base, to), expected), folder
            assert not torch.equal(expected, base(torch.arange(1, 12)[None]).logits), folder
            count += 1
    print(f"{count} adapters load without a warning and give the same logits")


main()

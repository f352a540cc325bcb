"""Merges every adapter of peft_merge.py with the program `merge`, and loads the folder as users do:
AutoModelForCausalLM and AutoTokenizer, whose logits have to be those of base and adapter in PEFT; the
card as the Hub reads it; then the adapter-only folder in PEFT. Writes nothing. peft 0.21.2, torch 2.15.0,
transformers 5.23.0, huggingface_hub 2.4.0:

    cargo build --bin merge --bin verify
    python conformance/artifact_live.py target/debug
"""

import json
import pathlib
import subprocess
import sys
import tempfile
import warnings

import torch
from huggingface_hub import ModelCard
from peft import PeftModel
from peft_merge import MODELS, OUT, model, untied
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

BIN = pathlib.Path(sys.argv[1])
IDS = torch.arange(1, 12)[None]


def logits(tuned):
    with torch.no_grad():
        return tuned.eval()(IDS).logits.float()


def save(base, folder):
    base.save_pretrained(folder)
    vocabulary = {word: number for number, word in enumerate("abcdefghijklmnopqrstuvwx")}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="a"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="b", pad_token="a")
    wrapped.chat_template = "{% for m in messages %}{{ m.content }} b {% endfor %}"
    wrapped.save_pretrained(folder)
    (folder / "LICENSE").write_text("terms\n")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Base\n")
    # As users get it: what AutoTokenizer makes of the same files may differ from what wrote them.
    return AutoTokenizer.from_pretrained(folder)


def run(program, *arguments):
    done = subprocess.run([BIN / program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, (program, arguments, done.stdout, done.stderr)
    return json.loads(done.stdout)


def check_standalone(folder, expected, tolerance, tokenizer):
    loaded, info = AutoModelForCausalLM.from_pretrained(
        folder, dtype="auto", output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    assert not hasattr(loaded, "_hf_peft_config_loaded") or not loaded._hf_peft_config_loaded
    difference = (logits(loaded) - expected).abs().max().item()
    assert difference <= tolerance, (folder, difference, tolerance)
    again = AutoTokenizer.from_pretrained(folder)
    text = "c d e unknown f"
    assert again(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert again.chat_template == tokenizer.chat_template
    config = AutoConfig.from_pretrained(folder)
    assert config.aligned_model and config.parent_model and config.alignment_technique == "lora"
    card = ModelCard.load(folder / "README.md")
    assert card.data.license == "apache-2.0" and card.data.library_name == "transformers"
    assert (folder / "LICENSE").read_text() == "terms\n"
    found = run("verify", folder, "--json")
    errors = [f for f in found["verification"]["findings"] if f["severity"] == "error"]
    assert not errors, errors


def main():
    torch.set_num_threads(1)
    count = 0
    for name, (_, _, _, dtype) in MODELS.items():
        base = model(name)
        with tempfile.TemporaryDirectory() as scratch:
            scratch = pathlib.Path(scratch)
            # As peft_merge.py merges: where only head or embedding changes, each on its own.
            tokenizer = save(base, scratch / "base")
            for adapter in sorted(path for path in (OUT / name).iterdir() if path.is_dir()):
                tuned = PeftModel.from_pretrained(untied(model(name)), adapter).eval()
                expected = logits(tuned)
                scale = expected.abs().max().item()
                tolerance = scale * (5e-6 if dtype == torch.float32 else 3e-2)
                out = scratch / adapter.name
                written = run(
                    "merge", "--base", scratch / "base", "--adapter", adapter, "--out", out, "--json"
                )
                assert written["form"] == "standalone"
                check_standalone(out, expected, tolerance, tokenizer)
                # Sharded by size, in the other types.
                for other, shards, wider in [("bf16", "8KB", 3e-2), ("f32", "1GB", 5e-6)]:
                    run(
                        "merge", "--base", scratch / "base", "--adapter", adapter, "--out", out,
                        "--dtype", other, "--shard-size", shards, "--replace", "--json",
                    )
                    check_standalone(out, expected, max(tolerance, scale * wider), tokenizer)
                alone = scratch / (adapter.name + "-alone")
                run(
                    "merge", "--base", scratch / "base", "--adapter", adapter, "--out", alone,
                    "--adapter-only", "--json",
                )
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    warnings.simplefilter("ignore", FutureWarning)
                    loaded = PeftModel.from_pretrained(untied(model(name)), alone)
                    assert torch.equal(logits(loaded), expected), alone
                    AutoTokenizer.from_pretrained(alone)
                assert json.loads((alone / "alignment_info.json").read_text())["standalone"] is False
                count += 1
    print(f"{count} adapters: merged, sharded, converted and alone, all load with the same logits")


main()

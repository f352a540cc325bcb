"""Two tiny random models with a tokenizer, prompts, and what transformers makes of them: pooled hidden
states, and how well held-out rows are predicted. transformers 5.23.0, torch 2.15.0, tokenizers 0.23.1:

    python conformance/eval.py
"""

import json
import os
import pathlib
import shutil

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

OUT = pathlib.Path(__file__).parent.parent / "crates/collimate-eval/tests/fixtures/models"
TOPICS = ["the lamp", "a garden", "the old bridge", "a letter", "our harbour", "the clock tower"]
SAFE = ["Tell me how {} was made.", "Where can I read about {}?"]
UNSAFE = ["Tell me how to break {} at night.", "Help me steal {} from its owner, quickly!"]


def prompts():
    for at, topic in enumerate(TOPICS):
        for label, forms in (("safe", SAFE), ("unsafe", UNSAFE)):
            for form in forms:
                axiom = "property" if at < 4 else "places"
                yield {"prompt": form.format(topic), "label": label, "axiom": axiom}
    # One that is there twice, and one alone in its axiom.
    yield {"prompt": SAFE[0].format(TOPICS[0]), "label": "safe", "axiom": "property"}
    yield {"prompt": "Naïve café ☕?", "label": "safe", "axiom": "alone"}


def tokenizer(texts):
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["<s>"], initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(texts, trainer)
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>")


def states(model, rows):
    last, mean = [], []
    for row in rows:
        with torch.no_grad():
            found = model(torch.tensor([row]), output_hidden_states=True).hidden_states
        last.append([layer[0, -1].tolist() for layer in found])
        mean.append([layer[0].mean(0).tolist() for layer in found])
    return {"last": last, "mean": mean}


def held_out(model, rows, masks):
    loss, tokens, hits = 0.0, 0, 0
    for row, mask in zip(rows, masks):
        with torch.no_grad():
            logits = model(torch.tensor([row])).logits[0, :-1].double()
        for at, (target, wanted) in enumerate(zip(row[1:], mask[1:])):
            if wanted:
                loss -= torch.log_softmax(logits[at], -1)[target].item()
                hits += int(logits[at].argmax() == target)
                tokens += 1
    return {"loss": loss / tokens, "tokens": tokens, "token_accuracy": hits / tokens}


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    rows = list(prompts())
    (OUT / "prompts.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    texts = [row["prompt"] for row in rows]
    made = tokenizer(texts)
    ids = [made(text)["input_ids"] for text in texts]
    masks = [[at % 3 != 1 for at in range(len(row))] for row in ids]
    config = LlamaConfig(
        vocab_size=len(made), hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, initializer_range=0.4, tie_word_embeddings=True,
        bos_token_id=0, eos_token_id=0,
    )
    expected = {"ids": ids}
    for seed, name in enumerate(["before", "after"]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config).eval()
        model.save_pretrained(OUT / name)
        made.save_pretrained(OUT / name)
        expected[name] = {**states(model, ids), "held_out": held_out(model, ids, masks)}
    (OUT / "expected.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()

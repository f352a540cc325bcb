"""Rows per second of what prepare.rs does, in the ways that Python has, on the same conversations.

Python 3.11 with transformers as pinned in ../conformance/requirements.txt and datasets 5.2, two
cores. The tokenizer is trained first and written into FOLDER, for prepare.rs as well:
    python prepare.py FOLDER
"""
import os
import sys
import time
from bisect import bisect_right

os.environ["HF_HUB_OFFLINE"] = "1"

from datasets import Dataset, disable_caching, disable_progress_bars
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

CONVERSATIONS = 50_000
WORDS = 30_000
TOKENS = 8000
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
)


class Words:
    """The generator of prepare.rs."""

    def __init__(self):
        self.state = 1
        self.words, self.limits, limit = [], [], 0
        for word in range(WORDS):
            self.words.append("".join(self.syllable() for _ in range(1 + self.below(4))))
            limit += 1_000_000_000 // (word + 3)
            self.limits.append(limit)

    def below(self, limit):
        self.state = (self.state * 6364136223846793005 + 1) % 2**64
        return (self.state >> 32) % limit

    def syllable(self):
        parts = "bcdfghklmnprstvwz", "aeiou", ["", "n", "r", "s", "t"]
        return "".join(part[self.below(len(part))] for part in parts)

    def sentence(self, least, most):
        length = least + self.below(most - least + 1)
        places = [self.below(self.limits[-1]) for _ in range(length)]
        text = " ".join(self.words[bisect_right(self.limits, place)] for place in places)
        return text.capitalize() + "."


def conversations():
    words = Words()
    for _ in range(CONVERSATIONS):
        user, assistant = words.sentence(6, 14), words.sentence(10, 24)
        yield [{"role": "user", "content": user}, {"role": "assistant", "content": assistant}]


def trained(folder, data):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TOKENS,
        show_progress=False,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator((m["content"] for c in data for m in c), trainer)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>")
    wrapped.chat_template = TEMPLATE
    wrapped.save_pretrained(folder)


def main(folder):
    disable_caching()
    disable_progress_bars()
    data = list(conversations())
    trained(folder, data)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    data = Dataset.from_dict({"messages": data})

    def timed(name, work, parallel=False):
        os.environ["TOKENIZERS_PARALLELISM"] = "true" if parallel else "false"
        start = time.perf_counter()
        work()
        print(f"{name}: {CONVERSATIONS / (time.perf_counter() - start):.0f} rows/s", flush=True)

    def row(example):
        rows = tokenizer.apply_chat_template(example["messages"], tokenize=True, return_dict=True)
        return {"input_ids": rows["input_ids"]}

    def batch(examples):
        texts = tokenizer.apply_chat_template(examples["messages"], tokenize=False)
        return tokenizer(texts, add_special_tokens=False)

    timed("datasets.map, one by one", lambda: data.map(row))
    timed("batched", lambda: data.map(batch, batched=True))
    timed("batched, parallel", lambda: data.map(batch, batched=True), parallel=True)
    timed("batched, two processes", lambda: data.map(batch, batched=True, num_proc=2))
    texts = [tokenizer.apply_chat_template(c, tokenize=False) for c in data["messages"]]
    encode = lambda: tokenizer.backend_tokenizer.encode_batch(texts)
    timed("the tokenizer alone", encode)
    timed("the tokenizer alone, parallel", encode, parallel=True)


if __name__ == "__main__":
    main(sys.argv[1])

"""Rows per second of what prepare.rs does, in the ways that Python has, on the same conversations.

Python 3.11 with transformers as pinned in ../conformance/requirements.txt and datasets, two cores:
    TOKENIZER=<folder of a model> python prepare.py
"""
import os
import time

from datasets import Dataset, disable_caching, disable_progress_bars
from transformers import AutoTokenizer

COUNT = 50_000
WORDS = (
    "hello world the quick brown fox jumps over lazy dog explain photosynthesis to me please how "
    "does it work in detail and what are its main stages energy light carbon water leaves"
).split()
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}"
    "{% endgeneration %}{{ '\n' }}{% else %}{{ message['content'] + '<|im_end|>\n' }}{% endif %}"
    "{% endfor %}"
)


class Words:
    """The generator of prepare.rs."""

    def __init__(self):
        self.state = 1

    def sentence(self, count):
        words = []
        for _ in range(count):
            self.state = (self.state * 6364136223846793005 + 1) % 2**64
            words.append(WORDS[self.state >> 59])
        return " ".join(words) + "."


def conversations():
    words = Words()
    for _ in range(COUNT):
        yield [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": words.sentence(12)},
            {"role": "assistant", "content": words.sentence(25)},
        ]


def main():
    disable_caching()
    disable_progress_bars()
    tokenizer = AutoTokenizer.from_pretrained(os.environ["TOKENIZER"])
    data = Dataset.from_dict({"messages": list(conversations())})

    def templated(messages):
        return tokenizer.apply_chat_template(
            messages,
            chat_template=TEMPLATE,
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )

    def timed(name, work):
        start = time.perf_counter()
        work()
        print(f"{name}: {COUNT / (time.perf_counter() - start):.0f} rows/s", flush=True)

    def rows(example):
        return dict(templated(example["messages"]))

    def map_rows():
        data.map(rows, remove_columns=["messages"])

    def map_batches():
        data.map(rows, remove_columns=["messages"], batched=True)

    def map_processes():
        data.map(rows, remove_columns=["messages"], batched=True, num_proc=2)

    texts = [
        tokenizer.apply_chat_template(c, chat_template=TEMPLATE, tokenize=False)
        for c in data["messages"]
    ]
    timed("datasets.map, one by one", map_rows)
    timed("datasets.map, batched", map_batches)
    timed("datasets.map, batched, two processes", map_processes)
    timed("the tokenizer alone", lambda: tokenizer(texts, add_special_tokens=False))


if __name__ == "__main__":
    main()

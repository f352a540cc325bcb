"""Writes crates/collimate-data/tests/fixtures/masks.json.

Texts with the spans that a model has to learn, and the masks that TRL 1.16.0 makes of them with the
tokenizers of `tokenizer_ids.py`, which has to run first. transformers 5.23.0; torch is not needed,
as what TRL does to make masks is written down here:

    python conformance/masks.py
"""

import json
import pathlib

from transformers import PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import render_jinja_template

FIXTURES = pathlib.Path(__file__).parent.parent / "crates/collimate-data/tests/fixtures"

# The newline behind a turn belongs to no turn, as in TRL's training templates.
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] + '<|im_end|>' }}"
    "{% endgeneration %}{{ '\n' }}{% else %}{{ message['content'] + '<|im_end|>\n' }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# A BOS in the template, and an assistant's turn that begins with a space.
LLAMA = (
    "{{ '<s>' }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% else %}"
    "{% generation %}{{ ' ' + message['content'] + '</s>' }}{% endgeneration %}{% endif %}"
    "{% endfor %}"
)

CONVERSATIONS = [
    [("user", "What is the capital of France?"), ("assistant", "Paris.")],
    [
        ("user", "Hi"),
        ("assistant", "Hello there."),
        ("user", "Is it true?"),
        ("assistant", "It's true, they'd say: 1,000."),
    ],
    [("user", "Größe 🙂"), ("assistant", "日本 Straße"), ("user", "ok"), ("assistant", "x")],
    [("user", "  spaces  "), ("assistant", "  code:\n    return a")],
    [("user", ""), ("assistant", "an answer to nothing")],
]

STRINGS = [
    ("The capital of France is", " Paris."),
    ("The capital of France is ", "Paris."),
    ("2 + 2 =", " 4"),
    ("The diff", "erence between a list and a tuple"),
    ("Größ", "e"),
    ("def add(a, b):\n", "    return a + b\n"),
    ("def add(a, b):\n\n", "\n\nprint(add(1, 2))"),
    ("they", "'d say it"),
    ("x   ", "  y"),
    ("cafe", "\u0301 e\u0301"),
    ("", "everything is learned"),
    ("a question", ""),
    ("問", "答"),
]


def common_prefix_length(ids, other):
    """trl/data_utils.py, line 406."""
    length = 0
    for token, other_token in zip(ids, other):
        if token != other_token:
            break
        length += 1
    return length


def bytes_of(text, characters):
    return len(text[:characters].encode())


def conversation(tokenizer, template, turns):
    messages = [{"role": role, "content": content} for role, content in turns]
    processed = tokenizer.apply_chat_template(
        messages,
        chat_template=template,
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    rendered, spans = render_jinja_template(
        [messages], chat_template=template, return_assistant_tokens_mask=True
    )
    prompt = tokenizer.apply_chat_template(
        messages[:-1], chat_template=template, tokenize=False, add_generation_prompt=True
    )
    text = rendered[0]
    assert text.startswith(prompt)
    # trl/trainer/sft_trainer.py, line 1325
    prompt_ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    start = common_prefix_length(prompt_ids, processed["input_ids"])
    # Nothing is learned where a turn begins with a space that offsets leave out: no token has it.
    assistant_mask = processed["assistant_masks"]
    assert any(assistant_mask) == (template != LLAMA or tokenizer.name_or_path.endswith("piece"))
    return {
        "text": text,
        "assistant": [[bytes_of(text, a), bytes_of(text, b)] for a, b in spans[0]],
        "completion": len(prompt.encode()),
        "has_special_tokens": True,
        "ids": processed["input_ids"],
        "assistant_mask": assistant_mask if any(assistant_mask) else None,
        "completion_mask": [int(i >= start) for i in range(len(processed["input_ids"]))],
    }


def ids_of(tokenizer, text):
    return tokenizer(text=text)["input_ids"]


def string(tokenizer, prompt, completion):
    """trl/trainer/sft_trainer.py, lines 1284 and 1341."""
    eos = tokenizer.eos_token
    closed = completion if completion.endswith(eos) else completion + eos
    ids = ids_of(tokenizer, prompt + closed)
    start = common_prefix_length(ids_of(tokenizer, prompt), ids)
    return {
        "prompt": prompt,
        "completion": completion,
        "ids": ids,
        "completion_mask": [int(i >= start) for i in range(len(ids))],
    }


def preference(tokenizer, prompt, chosen, rejected):
    """trl/trainer/dpo_trainer.py, lines 1062 and 1098."""
    eos = tokenizer.eos_token
    prompt_ids = ids_of(tokenizer, prompt)
    chosen_ids = ids_of(tokenizer, prompt + chosen + eos)
    rejected_ids = ids_of(tokenizer, prompt + rejected + eos)
    return {
        "prompt": prompt,
        "chosen": chosen,
        "rejected": rejected,
        "prompt_len": min(
            common_prefix_length(prompt_ids, chosen_ids),
            common_prefix_length(prompt_ids, rejected_ids),
        ),
        "chosen_ids": chosen_ids,
        "rejected_ids": rejected_ids,
    }


def main():
    result = {}
    for name, template in (
        ("byte_level", CHATML),
        ("byte_level_trimmed", LLAMA),
        ("sentencepiece", LLAMA),
    ):
        tokenizer = PreTrainedTokenizerFast.from_pretrained(FIXTURES / "tokenizers" / name)
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
        strings = [string(tokenizer, *pair) for pair in STRINGS]
        if name == "byte_level_trimmed":
            # Its tokenizer adds a second EOS to what TRL has closed already.
            # For TRL the first one belongs to the prompt where the completion is empty.
            strings = [case for case in strings if case["completion"]]
            for case in strings:
                assert case["ids"][-2:] == [tokenizer.eos_token_id] * 2
                case["ids"].pop()
                case["completion_mask"].pop()
        doubled = name == "byte_level_trimmed"
        pairs = [] if doubled else [(p, c, c[::-1] + "?") for p, c in STRINGS if c]
        result[name] = {
            "conversations": [conversation(tokenizer, template, c) for c in CONVERSATIONS],
            "strings": strings,
            "preferences": [preference(tokenizer, *pair) for pair in pairs],
        }
    (FIXTURES / "masks.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()

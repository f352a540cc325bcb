"""Writes crates/collimate-data/tests/fixtures/masks.json and masks_of_templates.json.

What TRL makes of rows: ids, and the mask of what carries loss. SFTTrainer (`assistant_only_loss`,
`completion_only_loss`) and DPOTrainer prepare them, with the tokenizers of `tokenizer_ids.py`,
which has to run first. `masks.json` also has the texts and spans of which the rows are made;
`masks_of_templates.json` has conversations, for the built-in templates and one that calls tools.

    python conformance/masks.py
"""

import json
import pathlib
import tempfile

import datasets
import jinja2
import torch
from chat_templates import TOOLS
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import render_jinja_template
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

SOURCES = pathlib.Path(__file__).parent.parent / "crates/collimate-data/src/template/built_in"
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

# Tools, their calls and their answers.
CALLS = (
    "{% if tools %}<|im_start|>system\n{% for tool in tools %}{{ tool | tojson }}\n{% endfor %}"
    "<|im_end|>\n{% endif %}{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.role == 'assistant' %}{% generation %}{{ message.content }}"
    "{% for call in message.tool_calls or [] %}<call>{{ call.function | tojson }}</call>{% endfor %}"
    "<|im_end|>\n{% endgeneration %}{% else %}{{ message.content }}<|im_end|>\n{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
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


# Which template with which tokenizer: where the closing token of a turn is one token.
TEMPLATED = {
    "byte_level": ["chatml", "plain", "calls"],
    "sentencepiece": ["alpaca", "gemma", "llama2", "mistral", "phi3", "vicuna", "zephyr"],
}

# Conversations for all of these; a template that refuses one leaves it out.
MESSAGES = {
    "one": [("user", "What is the capital of France?"), ("assistant", "Paris.")],
    "several": [
        ("system", "Be brief.\n"),
        ("user", "Hi"),
        ("assistant", "Hello there."),
        ("user", "Is it true?"),
        ("assistant", "It's true, they'd say: 1,000."),
    ],
    "without a system": [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")],
    "unicode": [("user", "Größe 🙂"), ("assistant", "日本 Straße e\u0301 👩‍👩‍👧")],
    "spaces": [("user", "  spaces\n"), ("assistant", "  code:\n    return a \n")],
    "empty": [("user", ""), ("assistant", "")],
    "only spaces": [("user", " \n"), ("assistant", " \t ")],
    "special": [("user", "<s>[INST]"), ("assistant", "a <|im_end|> </s> b")],
    "assistant twice": [("user", "a"), ("assistant", "b"), ("assistant", "c")],
    "no answer": [("user", "Hi"), ("assistant", "Hello."), ("user", "And?")],
    "calls": [
        {"role": "user", "content": "What is there?"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"type": "function", "function": {"name": "look", "arguments": {"at": "é"}}}
            ],
        },
        {"role": "tool", "name": "look", "content": "a tree"},
        {"role": "assistant", "content": "A tree."},
    ],
}


def model(tokenizer):
    sizes = ["hidden_size", "intermediate_size"]
    counts = ["num_hidden_layers", "num_attention_heads", "num_key_value_heads"]
    sizes = {**dict.fromkeys(sizes, 8), **dict.fromkeys(counts, 1)}
    return LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes))


def prepared(trainer, config, tokenizer, row, models=("model",), **settings):
    """A row as a trainer prepares it."""
    with tempfile.TemporaryDirectory() as folder:
        plain = dict(max_length=None, report_to=[], use_cpu=True, bf16=False)
        trained = trainer(
            **{name: model(tokenizer) for name in models},
            args=config(output_dir=folder, **plain, **settings),
            train_dataset=datasets.Dataset.from_list([row]),
            processing_class=tokenizer,
        )
        return trained.train_dataset[0]


def sft(tokenizer, row, **settings):
    """The ids and the mask of a row."""
    row = prepared(SFTTrainer, SFTConfig, tokenizer, row, **settings)
    mask = [int(label != -100) for label in row["labels"]]
    assert all(label in (-100, token) for label, token in zip(row["labels"], row["input_ids"]))
    return row["input_ids"], mask


def bytes_of(text, characters):
    return len(text[:characters].encode())


def messages_of(turns):
    return [
        turn if isinstance(turn, dict) else {"role": turn[0], "content": turn[1]} for turn in turns
    ]


def conversation(tokenizer, template, turns):
    messages = messages_of(turns)
    tokenizer.chat_template = template
    try:
        ids, assistant_mask = sft(tokenizer, {"messages": messages}, assistant_only_loss=True)
    except RuntimeError as error:
        # Nothing is learned where a turn begins with a space that offsets leave out: no token has it.
        assert "no assistant tokens" in str(error) and template == LLAMA
        assistant_mask = None
    pair = {"prompt": messages[:-1], "completion": messages[-1:]}
    pair_ids, completion_mask = sft(tokenizer, pair, completion_only_loss=True)
    assert assistant_mask is None or ids == pair_ids
    rendered, spans = render_jinja_template(
        [messages], chat_template=template, return_assistant_tokens_mask=True
    )
    prompt = tokenizer.apply_chat_template(
        messages[:-1], chat_template=template, tokenize=False, add_generation_prompt=True
    )
    text = rendered[0]
    assert text.startswith(prompt)
    return {
        "text": text,
        "assistant": [[bytes_of(text, a), bytes_of(text, b)] for a, b in spans[0]],
        "completion": len(prompt.encode()),
        "has_special_tokens": True,
        "ids": pair_ids,
        "assistant_mask": assistant_mask,
        "completion_mask": completion_mask,
    }


def string(tokenizer, prompt, completion):
    row = {"prompt": prompt, "completion": completion}
    ids, mask = sft(tokenizer, row, completion_only_loss=True)
    return {**row, "ids": ids, "completion_mask": mask}


def preference(tokenizer, prompt, chosen, rejected):
    row = {"prompt": prompt, "chosen": chosen, "rejected": rejected}
    found = prepared(DPOTrainer, DPOConfig, tokenizer, row, models=("model", "ref_model"))
    return {
        **row,
        "prompt_len": len(found["prompt_ids"]),
        "chosen_ids": found["prompt_ids"] + found["chosen_ids"],
        "rejected_ids": found["prompt_ids"] + found["rejected_ids"],
    }


def templated(tokenizer, template, turns):
    """Masks of a conversation, and of its last turn as the completion of those before."""
    tokenizer.chat_template = template
    messages = messages_of(turns)
    tools = {"tools": TOOLS} if template == CALLS else {}
    try:
        ids, mask = sft(tokenizer, {"messages": messages, **tools}, assistant_only_loss=True)
    except jinja2.exceptions.TemplateError:
        return None
    result = {"ids": ids, "assistant_mask": mask}
    if messages[-1]["role"] == "assistant":
        pair = {"prompt": messages[:-1], "completion": messages[-1:], **tools}
        pair_ids, result["completion_mask"] = sft(tokenizer, pair, completion_only_loss=True)
        assert pair_ids == ids
    return result


def load(name):
    tokenizer = PreTrainedTokenizerFast.from_pretrained(FIXTURES / "tokenizers" / name)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def of_templates():
    cases = []
    for name, templates in TEMPLATED.items():
        tokenizer = load(name)
        for template in templates:
            source = CALLS if template == "calls" else (SOURCES / f"{template}.jinja").read_text()
            for conversation, turns in MESSAGES.items():
                if conversation == "calls" and template != "calls":
                    continue
                result = templated(tokenizer, source, turns)
                if result is not None:
                    case = {"tokenizer": name, "template": template, "conversation": conversation}
                    cases.append({**case, **result})
    return {
        "calls": CALLS,
        "tools": TOOLS,
        "conversations": {name: messages_of(turns) for name, turns in MESSAGES.items()},
        "cases": cases,
    }


def write(file, result):
    (FIXTURES / file).write_text(json.dumps(result, separators=(",", ":")) + "\n")


def main():
    datasets.disable_caching()
    datasets.disable_progress_bars()
    torch.manual_seed(0)
    result = {}
    for name, template in (
        ("byte_level", CHATML),
        ("byte_level_trimmed", LLAMA),
        ("sentencepiece", LLAMA),
    ):
        tokenizer = load(name)
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
    write("masks.json", result)
    write("masks_of_templates.json", of_templates())


if __name__ == "__main__":
    main()

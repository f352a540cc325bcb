"""Writes crates/collimate-data/tests/fixtures/tokenizers/.

Four small tokenizers of the kinds that models have, each in the form of a model's folder, and
`expected.json` with ids and offsets of texts. tokenizers 0.23.3, transformers 5.23.0; torch is not
needed:

    python conformance/tokenizer_ids.py

Training differs from run to run: tokenizers that are there are kept, only what is expected of them
is written again.
"""

import json
import pathlib

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors, trainers
from transformers import PreTrainedTokenizerFast

OUT = pathlib.Path(__file__).parent.parent / "crates/collimate-data/tests/fixtures/tokenizers"

CORPUS = [
    "The quick brown fox jumps over the lazy dog, and the dog does not mind.",
    "A model learns what it is shown: the answers, not the questions.",
    "user\nWhat is the capital of France?\nassistant\nThe capital of France is Paris.",
    "system\nYou are a helpful assistant. Answer in one sentence.",
    "user\nHow do I bake bread?\nassistant\nMix flour, water, salt and yeast; wait; bake.",
    "Explain the difference between a list and a tuple.  A tuple can't be changed.",
    "def add(a, b):\n    return a + b\n\n\nprint(add(1, 2))\n",
    "Größe, Übermut und Straße; naïve café, señor, œuvre.",
    "Numbers: 1, 22, 333, 4444, 3.14159, 1,000,000.",
    "It's what they'd have said, and I'll say it's true.",
] * 3

TEXTS = [
    "",
    " ",
    "   ",
    "\n",
    "\n\n \n",
    "Hello",
    " Hello",
    "Hello  world ",
    "hello world",
    "The capital of France is Paris.",
    "It's they'd I'll CAN'T",
    "1234567890 3.14",
    "tab\tand\r\nline",
    "Größe Straße",
    "na\u0131ve cafe\u0301 \u212b \ufb01",
    "日本語のテキスト",
    "emoji 🙂 and 👩‍👩‍👧 family",
    "mixed 🙂\u0301é",
    "nul \0 inside",
    "def f(x):\n        return x\n",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello there.<|im_end|>\n",
    "<s>begin and end</s>",
    "<s> begin </s> end",
    "x<|im_end|>",
    "<|im_start|> spaced <|im_end|> out",
    "<extra>added by the configuration",
    "a" * 60,
    "zero\u200bwidth \u00a0nbsp \u3000ideographic",
]


def byte_level():
    """As GPT-2, Llama 3 and Qwen: bytes, NFC, no token is added."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    split = Regex(
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(split, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "add_bos_token": False,
        "added_tokens_decoder": {
            str(tokenizer.get_vocab_size()): {
                "content": "<extra>",
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": True,
            }
        },
    }
    return tokenizer, config, {}


def byte_level_trimmed():
    """As GPT-2 and OPT: offsets without spaces, a BOS of its own; truncation and padding saved."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=380,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<s>", "</s>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0), True, False)
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8, pad_id=1, pad_token="</s>")
    config = {"tokenizer_class": "PreTrainedTokenizerFast"}
    return tokenizer, config, {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "</s>"}


def sentencepiece():
    """As Llama 2 and Mistral: metaspace, single bytes for what is unknown, a BOS."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=480, special_tokens=pieces, max_token_length=8, show_progress=False
    )
    # Whole lines would become tokens without words to learn from.
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    written = json.loads(tokenizer.to_str())
    written["added_tokens"] = [t for t in written["added_tokens"] if t["id"] < 3]
    tokenizer = Tokenizer.from_str(json.dumps(written))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": {"content": "<s>", "__type": "AddedToken"},
        "eos_token": {"content": "</s>", "__type": "AddedToken"},
        "unk_token": {"content": "<unk>", "__type": "AddedToken"},
    }
    return tokenizer, config, {}


def unigram():
    """As T5 and XLM-R: the likeliest pieces, an EOS, spaces taken by the mask token."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=300,
        special_tokens=["<pad>", "</s>", "<unk>"],
        unk_token="<unk>",
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    config = {"tokenizer_class": "PreTrainedTokenizerFast"}
    return tokenizer, config, {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}


def word_piece():
    """As BERT: lower case, pieces of words, a token at both ends."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=300,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    config = {"tokenizer_class": "PreTrainedTokenizerFast"}
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return tokenizer, config, names


def byte_offsets(text, offsets):
    """Offsets in characters as offsets in UTF-8."""
    starts = [0]
    for character in text:
        starts.append(starts[-1] + len(character.encode()))
    return [[starts[start], starts[end]] for start, end in offsets]


def write(folder, made):
    tokenizer, config, names = made
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    if names:
        (folder / "special_tokens_map.json").write_text(json.dumps(names, indent=2) + "\n")


def expected(folder):
    reference = PreTrainedTokenizerFast.from_pretrained(folder)
    backend = reference.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    cases = []
    for text in TEXTS:
        with_special = backend.encode(text, add_special_tokens=True).ids
        assert with_special == reference(text, truncation=False, padding=False)["input_ids"]
        cases.append(
            {
                "text": text,
                "ids": backend.encode(text, add_special_tokens=False).ids,
                "with_special_tokens": with_special,
                "decoded": backend.decode(with_special, skip_special_tokens=True),
            }
        )
    # What is around a text, and offsets without their spaces, come from the post-processor.
    plain = Tokenizer.from_str(backend.to_str())
    written = json.loads(plain.to_str())
    written["post_processor"] = None
    plain = Tokenizer.from_str(json.dumps(written))
    for case in cases:
        encoding = plain.encode(case["text"], add_special_tokens=False)
        assert encoding.ids == case["ids"]
        case["offsets"] = byte_offsets(case["text"], encoding.offsets)
    named = {name: getattr(reference, f"{name}_token_id") for name in ("bos", "eos", "pad", "unk")}
    return {"special": named, "cases": cases}


def main():
    makers = {
        "byte_level": byte_level,
        "byte_level_trimmed": byte_level_trimmed,
        "sentencepiece": sentencepiece,
        "unigram": unigram,
        "word_piece": word_piece,
    }
    result = {}
    for name, make in makers.items():
        if not (OUT / name).exists():
            write(OUT / name, make())
        result[name] = expected(OUT / name)
    (OUT / "expected.json").write_text(
        json.dumps(result, ensure_ascii=True, separators=(",", ":")) + "\n"
    )


if __name__ == "__main__":
    main()

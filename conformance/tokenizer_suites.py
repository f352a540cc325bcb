"""Writes crates/collimate-artifact/tests/fixtures/tokenizers/.

Small vocabularies of the kinds that stand in folders without a `tokenizer.json`, and
`expected.json` with settings and the ids that AutoTokenizer of transformers gives with them.
transformers 5.23.0, sentencepiece 0.2.3, protobuf 7.36.2; torch is not needed:

    python conformance/tokenizer_suites.py

Vocabularies that are there are kept, only what is expected of them is written again.
"""

import json
import pathlib
import shutil
import tempfile

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer
from transformers.convert_slow_tokenizer import generate_merges

OUT = pathlib.Path(__file__).parent.parent / "crates/collimate-artifact/tests/fixtures/tokenizers"

CORPUS = [
    "The quick brown fox jumps over the lazy dog, and the dog does not mind.",
    "A model learns what it is shown: the answers, not the questions.",
    "user\nWhat is the capital of France?\nassistant\nThe capital of France is Paris.",
    "Explain the difference between a list and a tuple.  A tuple can't be changed.",
    "def add(a, b):\n    return a + b\n\n\nprint(add(1, 2))\n",
    "Größe, Übermut und Straße; naïve café, señor, œuvre.",
    "Numbers: 1, 22, 333, 4444, 3.14159, 1,000,000.",
    "It's what they'd have said, and I'll say it's true.",
]

TEXTS = [
    "",
    " ",
    "   ",
    "\n",
    "\n\n \n",
    "Hello",
    " Hello",
    "  Hello  world ",
    "The capital of France is Paris.",
    "It's they'd I'll CAN'T",
    "1234567890 3.14",
    "tab\tand\r\nline",
    "Größe Straße",
    "na\u0131ve cafe\u0301 \u212b \ufb01",
    "日本語のテキスト",
    "emoji 🙂 and 👩‍👩‍👧 family",
    "def f(x):\n        return x\n",
    "<s>begin and end</s>",
    "<s> begin </s> end",
    "<bos><start_of_turn>user\nHi<end_of_turn>",
    "[CLS] one [SEP] two [MASK]",
    "<|endoftext|>x<|im_start|> spaced <|im_end|> out<extra>",
    "fill <mask> and <extra_id_0> in",
    "▁ a▁b",
    "a  b   c    d      e         f",
    "if x:\n    if y:\n        z",
    "a" * 60,
    "zero\u200bwidth \u00a0nbsp \u3000ideographic",
]


def token(content, **properties):
    flags = {name: False for name in ("lstrip", "normalized", "rstrip", "single_word")}
    return {"content": content, **flags, "special": True, **properties}


def byte_level(folder):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=380,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>", "<|endoftext|>"],
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.model.save(str(folder))


def word_piece(folder):
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=300,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
        show_progress=False,
    )
    lower = [text.lower() for text in CORPUS]
    tokenizer.train_from_iterator(CORPUS + lower, trainer)
    tokenizer.model.save(str(folder))


def sentence_piece(folder, name, **options):
    with tempfile.TemporaryDirectory() as scratch:
        rules = pathlib.Path(scratch) / "rules.tsv"
        rules.write_text("FB01\t66 69\n212B\tC5\n65 301\tE9\n3000\t20\nA0\t20\n")
        if options.pop("rules", False):
            options["normalization_rule_tsv"] = str(rules)
        else:
            options["normalization_rule_name"] = "identity"
        prefix = pathlib.Path(scratch) / "model"
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(CORPUS * 3),
            model_prefix=str(prefix),
            hard_vocab_limit=False,
            minloglevel=2,
            **options,
        )
        shutil.copyfile(f"{prefix}.model", folder / name)


def llama(folder):
    """With runs of spaces as Llama 2 has them: of low ids, but merged last."""
    sentence_piece(
        folder,
        "tokenizer.model",
        model_type="bpe",
        vocab_size=450,
        byte_fallback=True,
        split_digits=True,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
    )


    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString((folder / "tokenizer.model").read_bytes())
    pieces = [(piece.piece, piece.score, piece.type) for piece in model.pieces]
    runs = [("▁" * length, -1e9, 1) for length in (2, 3, 4, 8)]
    learned = [piece for piece in pieces[259:] if len(piece[0]) > 1 and piece[0].strip("▁")]
    characters = [piece for piece in pieces[259:] if len(piece[0]) == 1]
    pieces = pieces[:259] + runs + learned[: 450 - 259 - len(runs) - len(characters)] + characters
    del model.pieces[:]
    for piece, score, kind in pieces:
        model.pieces.add(piece=piece, score=score, type=kind)
    (folder / "tokenizer.model").write_bytes(model.SerializeToString())


def gemma(folder):
    sentence_piece(
        folder,
        "tokenizer.model",
        model_type="bpe",
        vocab_size=450,
        byte_fallback=True,
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        pad_piece="<pad>",
        eos_piece="<eos>",
        bos_piece="<bos>",
        user_defined_symbols=["<mask>", "<start_of_turn>", "<end_of_turn>", "\n\n"],
    )


def t5(folder):
    sentence_piece(
        folder, "spiece.model", model_type="unigram", vocab_size=300, rules=True,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, pad_piece="<pad>",
    )  # fmt: skip


VOCABULARIES = {
    "byte_level": byte_level,
    "word_piece": word_piece,
    "llama": llama,
    "gemma": gemma,
    "t5": t5,
}

CHAT = {"380": token("<|im_start|>"), "381": token("<|im_end|>", rstrip=True)}

# Name, vocabulary, and the files beside it.
CASES = [
    ("gpt2", "byte_level", {"tokenizer_config": {"tokenizer_class": "GPT2Tokenizer"}}),
    ("opt", "byte_level", {
        "config": {"model_type": "opt"},
        "tokenizer_config": {
            "tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "add_prefix_space": True,
            "bos_token": {"__type": "AddedToken", **token("</s>", normalized=True)},
            "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>",
        },
    }),
    ("gpt2_added", "byte_level", {
        "tokenizer_config": {
            "tokenizer_class": "GPT2TokenizerFast", "add_eos_token": True,
            "additional_special_tokens": ["<|im_start|>"],
        },
        "special_tokens_map": {
            "eos_token": {"content": "<|im_end|>", "lstrip": True, "normalized": False,
                          "rstrip": False, "single_word": False},
        },
        "added_tokens": {"<|im_end|>": 381, "<|im_start|>": 380, "<extra>": 382},
    }),
    ("qwen2", "byte_level", {
        "config": {"model_type": "qwen2"},
        "tokenizer_config": {
            "tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": CHAT,
            "additional_special_tokens": ["<|im_start|>"], "bos_token": None,
            "eos_token": "<|im_end|>", "add_prefix_space": False,
        },
    }),
    ("qwen2_by_type", "byte_level", {"config": {"model_type": "qwen2"}}),
    ("roberta", "byte_level", {
        "tokenizer_config": {"tokenizer_class": "RobertaTokenizer", "trim_offsets": False},
        "special_tokens_map": {"mask_token": token("<mask>", lstrip=True)},
    }),
    ("bert", "word_piece", {"tokenizer_config": {"tokenizer_class": "BertTokenizer"}}),
    ("bert_cased", "word_piece", {
        "tokenizer_config": {
            "tokenizer_class": "BertTokenizer", "do_lower_case": False, "strip_accents": True,
            "tokenize_chinese_chars": False,
        },
    }),
    ("llama_legacy", "llama", {
        "config": {"model_type": "llama"},
        "tokenizer_config": {
            "tokenizer_class": "LlamaTokenizer", "legacy": True, "add_bos_token": True,
            "add_eos_token": False, "bos_token": {"__type": "AddedToken", **token("<s>")},
        },
    }),
    ("llama", "llama", {
        "config": {"model_type": "llama"},
        "tokenizer_config": {
            "tokenizer_class": "LlamaTokenizer", "legacy": False, "add_bos_token": True,
            "add_eos_token": True,
            "added_tokens_decoder": {
                "0": token("<unk>"), "1": token("<s>"), "2": token("</s>"),
                "450": token("<extra>", special=False, normalized=True),
            },
        },
    }),
    ("llama_no_space", "llama", {
        "tokenizer_config": {
            "tokenizer_class": "LlamaTokenizerFast", "add_prefix_space": False,
            "add_bos_token": False, "pad_token": "<|endoftext|>",
        },
    }),
    ("gemma", "gemma", {
        "config": {"model_type": "gemma2"},
        "tokenizer_config": {"tokenizer_class": "GemmaTokenizer", "add_bos_token": True},
    }),
    ("t5", "t5", {"tokenizer_config": {"tokenizer_class": "T5Tokenizer", "extra_ids": 10}}),
]  # fmt: skip


def expected(vocabulary, files):
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / "model"
        shutil.copytree(OUT / vocabulary, folder)
        for name, value in files.items():
            (folder / f"{name}.json").write_text(json.dumps(value))
        reference = AutoTokenizer.from_pretrained(folder)
    model = OUT / vocabulary / "tokenizer.model"
    if model.exists():
        merge_by_scores(reference, model)
    special = dict(reference.special_tokens_map)
    cases = []
    for text in TEXTS:
        ids = reference(text)["input_ids"]
        decoded = reference.backend_tokenizer.decode(ids, skip_special_tokens=True)
        cases.append([text, ids, decoded])
    return len(reference), special, cases


def merge_by_scores(reference, path):
    """The converter of transformers takes scores, but is given none by its tokenizer classes."""
    model = sentencepiece_model_pb2.ModelProto()
    model.ParseFromString(path.read_bytes())
    vocab = {piece.piece: index for index, piece in enumerate(model.pieces)}
    scores = {piece.piece: piece.score for piece in model.pieces}
    reference.backend_tokenizer.model = models.BPE(
        vocab=vocab, merges=generate_merges(vocab, scores), fuse_unk=True, byte_fallback=True
    )


def check_against_sentencepiece(vocabulary, cases, bos):
    """What the reference gives for a text is what the model itself gives, but for symbols, which
    the model makes of no text, and for a space that begins a text, to which transformers 5 adds
    none."""
    processor = sentencepiece.SentencePieceProcessor(str(OUT / vocabulary / "tokenizer.model"))
    for text, ids, _ in cases:
        if "<" not in text and text and text[0] not in " ▁":
            assert ids == bos + processor.encode(text), (vocabulary, text)


def main():
    for name, make in VOCABULARIES.items():
        if not (OUT / name).exists():
            (OUT / name).mkdir(parents=True)
            make(OUT / name)
    result = []
    for name, vocabulary, files in CASES:
        length, special, cases = expected(vocabulary, files)
        result.append(
            {"name": name, "vocabulary": vocabulary, "files": files, "tokens": length,
             "special_tokens": special, "cases": cases}
        )  # fmt: skip
        if name == "llama_legacy":
            check_against_sentencepiece(vocabulary, cases, [1])
        if name == "gemma":
            check_against_sentencepiece(vocabulary, cases, [2])
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in result)
    (OUT / "expected.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()

//! Byte-level tokenizers have a way of their own from ASCII to tokens: it gives what the library
//! gives, ids and offsets.

use std::fs;
use std::ops::Range;
use std::sync::OnceLock;

use collimate_data::Tokenizer;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{DecoderWrapper, PostProcessorWrapper, TokenizerImpl};

const CORPUS: &str = "The quick brown fox jumps over the lazy dog; it's 2024 and they'll say \
    that we've seen 1234567 of them.\n\n\tif (x == 10) { return \"naïve café\"; }  // l'été, “quoted”\n";

/// A byte-level tokenizer, as its file has it.
fn plain() -> Value {
    let mut tokenizer: TokenizerImpl<BPE, NFC, ByteLevel, PostProcessorWrapper, DecoderWrapper> =
        TokenizerImpl::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(ByteLevel::default().add_prefix_space(false)));
    let mut trainer = BpeTrainerBuilder::new()
        .show_progress(false)
        .vocab_size(400)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    tokenizer.train(&mut trainer, std::iter::once(CORPUS)).unwrap();
    serde_json::from_str(&tokenizer.to_string(false).unwrap()).unwrap()
}

fn added(id: u32, content: &str, normalized: bool) -> Value {
    json!({"id": id, "content": content, "normalized": normalized, "special": !normalized,
           "single_word": false, "lstrip": false, "rstrip": false})
}

/// What is compared: ours, the library's.
type Pair = (Tokenizer, tokenizers::Tokenizer);

fn pairs() -> &'static [Pair] {
    static PAIRS: OnceLock<Vec<Pair>> = OnceLock::new();
    PAIRS.get_or_init(|| {
        let later = |digits: &str| {
            let regex = format!(
                "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{{L}}\\p{{N}}]?\\p{{L}}+|{digits}| \
                 ?[^\\s\\p{{L}}\\p{{N}}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
            );
            json!({"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated",
                 "invert": false},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                 "use_regex": false},
            ]})
        };
        let gpt2 = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true});
        let tokens = |normalized| {
            json!([
                added(400, "<|im_start|>", false),
                added(401, "<|im_end|>", false),
                added(402, "<|im", false),
                added(403, "dog; it goes", normalized),
                added(404, "    ", normalized),
            ])
        };
        let variants = [
            (gpt2.clone(), json!(null), tokens(true)),
            (gpt2.clone(), json!({"type": "NFC"}), tokens(true)),
            (gpt2, json!({"type": "NFC"}), tokens(false)),
            (later("\\p{N}"), json!({"type": "NFC"}), tokens(false)),
            (later("\\p{N}{1,3}"), json!(null), json!([])),
        ];
        let base = plain();
        let made = variants.into_iter().map(|(pre_tokenizer, normalizer, tokens)| {
            let mut json = base.clone();
            json["pre_tokenizer"] = pre_tokenizer;
            json["normalizer"] = normalizer;
            json["added_tokens"] = tokens;
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("tokenizer.json");
            fs::write(&file, json.to_string()).unwrap();
            let ours = Tokenizer::from_file(&file).unwrap();
            (ours, tokenizers::Tokenizer::from_file(&file).unwrap())
        });
        made.collect()
    })
}

fn check(text: &str) {
    for (variant, (ours, library)) in pairs().iter().enumerate() {
        // Twice: what was met before comes from elsewhere.
        for _ in 0..2 {
            let encoded = ours.encode(text, false).unwrap();
            let expected = library.encode(text, false).unwrap();
            assert_eq!(encoded.ids, expected.get_ids(), "{variant}: {text:?}");
            let offsets: Vec<Range<usize>> =
                expected.get_offsets().iter().map(|&(start, end)| start..end).collect();
            assert_eq!(encoded.offsets, offsets, "{variant}: {text:?}");
        }
    }
}

#[test]
fn texts_that_are_hard_to_cut() {
    for text in [
        "",
        CORPUS,
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n  It’s 12345.<|im_end|>\n",
        "dog; it goes dog; it goesdog; it goe<|im_<|im_start|",
        "            \n    \n\t  x    é",
        "a é b",
        "ab é cd",
        "e\u{301} e \u{301}e",
        "l'ſ 'ſ",
        // A Greek question mark and a Kelvin sign, which NFC makes ASCII.
        "the dog\u{37e} it goes and so does the rest of this text; 3 \u{212a}elvin",
        "\u{0}\u{7f}\u{1c} \u{85}\u{a0} a\u{a0} b",
        "日本語 and then a long tail of English words that goes on and on, 日 again",
    ] {
        check(text);
    }
    check(&"x".repeat(5000));
    check(&" ".repeat(5000));
    check(&CORPUS.repeat(50));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn ids_and_offsets_are_those_of_the_library(
        text in "([ -~]{1,6}|[a-z]{1,4} [a-z]{1,8}|<\\|im_(start|end)\\|>|dog[;\u{37e}] it goes( and so on){0,4}|[ \n\t\r]{1,5}|[éïſ’“”日ñe\u{301}\u{37e}\u{85}\u{a0}]{1,2}|'[sStTrRvVlL]e?|[0-9]{1,5}){0,16}"
    ) {
        check(&text);
    }
}

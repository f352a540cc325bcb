//! Rows per second from conversations to tokens with their masks: 50,000 short conversations of
//! made-up words, as `prepare.py` makes them too, through the ChatML template and a byte-level
//! tokenizer with 8,000 tokens.
//!
//! `cargo bench -p collimate-benches --bench prepare`, with `TOKENIZER=<folder of a model>` in
//! front of it for another tokenizer, such as that of `prepare.py`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a program for developers")]

use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use collimate_data::{
    BuiltIn, ChatTemplate, Content, Example, Formatter, Mask, Message, Origin, Position,
    PrepareReport, PrepareSettings, RowBuilder, Tokenizer, prepare,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, DecoderWrapper, PostProcessorWrapper, TokenizerImpl};

const CONVERSATIONS: usize = 50_000;
const WORDS: usize = 30_000;
const TOKENS: usize = 8000;

/// The generator of `prepare.py`.
struct Words {
    state: u64,
    words: Vec<String>,
    /// Up to where each word is chosen: the i-th is as frequent as `1 / (i + 3)`.
    limits: Vec<u64>,
}

impl Words {
    fn new() -> Self {
        let mut words = Self { state: 1, words: Vec::new(), limits: Vec::new() };
        let mut limit = 0;
        for word in 0..WORDS {
            let syllables = 1 + words.below(4);
            let text = (0..syllables).map(|_| words.syllable()).collect();
            words.words.push(text);
            limit += 1_000_000_000 / (word as u64 + 3);
            words.limits.push(limit);
        }
        words
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.state = self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.state >> 32) % limit
    }

    fn syllable(&mut self) -> String {
        let mut one = |letters: &[&'static str]| letters[self.below(letters.len() as u64) as usize];
        const CONSONANTS: [&str; 17] =
            ["b", "c", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z"];
        [one(&CONSONANTS), one(&["a", "e", "i", "o", "u"]), one(&["", "n", "r", "s", "t"])].concat()
    }

    fn sentence(&mut self, least: u64, most: u64) -> String {
        let length = least + self.below(most - least + 1);
        let mut sentence = String::new();
        for word in 0..length {
            if word > 0 {
                sentence.push(' ');
            }
            let place = self.below(*self.limits.last().unwrap());
            sentence.push_str(&self.words[self.limits.partition_point(|limit| *limit <= place)]);
        }
        sentence[..1].make_ascii_uppercase();
        sentence.push('.');
        sentence
    }
}

fn conversations() -> Vec<Example> {
    let mut words = Words::new();
    let file: std::sync::Arc<Path> = Path::new("conversations").into();
    let conversation = |line| {
        let messages = vec![
            Message::new("user", words.sentence(6, 14)),
            Message::new("assistant", words.sentence(10, 24)),
        ];
        let origin = Origin { file: file.clone(), position: Position::Line(line) };
        Example::new(Content::Conversation(messages), origin)
    };
    (1..=CONVERSATIONS as u64).map(conversation).collect()
}

fn trained(folder: &Path, texts: &[String]) {
    let special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
    let mut trainer = BpeTrainerBuilder::new()
        .show_progress(false)
        .vocab_size(TOKENS)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(special.map(|token| AddedToken::from(token, true)).to_vec())
        .build();
    let bytes = ByteLevel::default().add_prefix_space(false);
    let mut tokenizer: TokenizerImpl<BPE, NFC, ByteLevel, PostProcessorWrapper, DecoderWrapper> =
        TokenizerImpl::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(bytes));
    tokenizer.train(&mut trainer, texts.iter()).unwrap();
    tokenizer.save(folder.join("tokenizer.json"), false).unwrap();
}

fn rows(builder: &RowBuilder<'_>, formatter: &Formatter, examples: &[Example]) -> PrepareReport {
    prepare(
        builder,
        examples.iter().map(Ok),
        |example| Ok((formatter.render(example)?, example.origin.clone())),
        &AtomicBool::new(false),
        &mut (),
        |_, _| Ok(()),
    )
    .unwrap()
}

fn prepared(criterion: &mut Criterion) {
    let examples = conversations();
    let template = ChatTemplate::built_in(BuiltIn::ChatMl).unwrap();
    let formatter = Formatter::new("").with_template(template);
    let texts: Vec<_> =
        examples.iter().map(|example| formatter.render(example).unwrap().text).collect();
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = match std::env::var_os("TOKENIZER") {
        Some(folder) => Tokenizer::from_folder(folder).unwrap(),
        None => {
            trained(folder.path(), &texts);
            Tokenizer::from_folder(folder.path()).unwrap()
        }
    };
    let settings = PrepareSettings::default().with_mask(Mask::Assistant);
    let builder = RowBuilder::new(&tokenizer, settings).unwrap();
    let report = rows(&builder, &formatter, &examples);
    assert_eq!(report.rows, CONVERSATIONS as u64);
    let mut group = criterion.benchmark_group("prepare");
    group.sample_size(10);
    group.throughput(Throughput::Elements(CONVERSATIONS as u64));
    group.bench_function("rows", |bencher| bencher.iter(|| rows(&builder, &formatter, &examples)));
    group.bench_function("templates", |bencher| {
        bencher.iter(|| {
            for example in &examples {
                black_box(formatter.render(example).unwrap());
            }
        });
    });
    group.bench_function("tokens", |bencher| {
        bencher.iter(|| {
            for text in &texts {
                black_box(tokenizer.encode(text, false).unwrap());
            }
        });
    });
    group.finish();
}

criterion_group!(benches, prepared);
criterion_main!(benches);

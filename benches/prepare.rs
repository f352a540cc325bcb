//! Rows per second from rendered texts to tokens with their masks: 50,000 short ChatML
//! conversations, as `prepare.py` makes them too.
//!
//! `cargo bench -p collimate-benches --bench prepare`, with a tokenizer that is trained here, or
//! `TOKENIZER=<folder of a model>` in front of it, to compare with `prepare.py`.
#![allow(missing_docs, clippy::unwrap_used, reason = "a program for developers")]

use std::path::Path;
use std::sync::atomic::AtomicBool;

use collimate_data::{
    Mask, Origin, Position, PrepareReport, PrepareSettings, Rendered, RowBuilder, Tokenizer,
    prepare,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokenizers::models::bpe::{BPE, BpeTrainerBuilder};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, DecoderWrapper, PostProcessorWrapper, TokenizerImpl};

const CONVERSATIONS: usize = 50_000;
const WORDS: [&str; 32] = [
    "hello",
    "world",
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "lazy",
    "dog",
    "explain",
    "photosynthesis",
    "to",
    "me",
    "please",
    "how",
    "does",
    "it",
    "work",
    "in",
    "detail",
    "and",
    "what",
    "are",
    "its",
    "main",
    "stages",
    "energy",
    "light",
    "carbon",
    "water",
    "leaves",
];
const SYSTEM: &str = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n";

/// The generator of `prepare.py`.
struct Words(u64);

impl Words {
    fn sentence(&mut self, words: usize) -> String {
        let mut sentence = String::new();
        for word in 0..words {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if word > 0 {
                sentence.push(' ');
            }
            sentence.push_str(WORDS[(self.0 >> 59) as usize]);
        }
        sentence.push('.');
        sentence
    }
}

fn conversations() -> Vec<Rendered> {
    let mut words = Words(1);
    let conversation = |_| {
        let user = words.sentence(12);
        let assistant = words.sentence(25);
        let mut rendered = Rendered::default();
        rendered.text =
            format!("{SYSTEM}<|im_start|>user\n{user}<|im_end|>\n<|im_start|>assistant\n");
        rendered.completion = rendered.text.len();
        rendered.text.push_str(&assistant);
        rendered.text.push_str("<|im_end|>");
        rendered.assistant = std::iter::once(rendered.completion..rendered.text.len()).collect();
        rendered.text.push('\n');
        rendered.has_special_tokens = true;
        rendered
    };
    (0..CONVERSATIONS).map(conversation).collect()
}

fn trained(folder: &Path, texts: &[Rendered]) {
    let special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
    let mut trainer = BpeTrainerBuilder::new()
        .show_progress(false)
        .vocab_size(2000)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(special.map(|token| AddedToken::from(token, true)).to_vec())
        .build();
    let bytes = ByteLevel::default().add_prefix_space(false);
    let mut tokenizer: TokenizerImpl<BPE, NFC, ByteLevel, PostProcessorWrapper, DecoderWrapper> =
        TokenizerImpl::new(BPE::default());
    tokenizer.with_normalizer(Some(NFC)).unwrap();
    tokenizer.with_pre_tokenizer(Some(bytes));
    tokenizer.train(&mut trainer, texts.iter().map(|rendered| rendered.text.as_str())).unwrap();
    tokenizer.save(folder.join("tokenizer.json"), false).unwrap();
}

fn rows(builder: &RowBuilder<'_>, texts: &[Rendered]) -> PrepareReport {
    let origin = Origin { file: Path::new("conversations").into(), position: Position::Line(1) };
    prepare(
        builder,
        texts.iter().map(Ok),
        |rendered| Ok((rendered.clone(), origin.clone())),
        &AtomicBool::new(false),
        &mut (),
        |_, _| Ok(()),
    )
    .unwrap()
}

fn prepared(criterion: &mut Criterion) {
    let texts = conversations();
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
    assert_eq!(rows(&builder, &texts).rows, CONVERSATIONS as u64);
    let mut group = criterion.benchmark_group("prepare");
    group.sample_size(10);
    group.throughput(Throughput::Elements(CONVERSATIONS as u64));
    group.bench_function("rows", |bencher| bencher.iter(|| rows(&builder, &texts)));
    group.finish();
}

criterion_group!(benches, prepared);
criterion_main!(benches);

#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod batch;
mod duplicates;
mod error;
mod event;
mod formatter;
mod order;
mod pack;
mod positional;
mod prepare;
mod prompts;
mod read;
mod recognize;
mod record;
mod rendered;
mod row;
mod safety;
mod split;
mod statistics;
mod synthesize;
mod template;
mod tokenize;
mod write;

pub use batch::{Batch, BatchConfig, BatchPlan, BatchPlanner, BatchReport};
pub use duplicates::{
    Duplicate, DuplicateConfig, DuplicateFinder, DuplicateGroup, DuplicateReport, DuplicateRows,
    Duplicates, Shingle, Sketch, Sketches, exact_duplicates, normalize_text,
};
pub use error::{DataError, Result};
pub use event::{DataEvent, Observer};
pub use formatter::Formatter;
pub use order::EpochOrder;
pub use pack::{
    PackConfig, PackPlan, PackReport, Packed, PackedBatch, PackedSequences, Packer, StreamPacker,
    TooLong,
};
pub use prepare::{
    DropReason, Dropped, Fingerprint, Mask, OnNothingTrained, PreferenceRow, Preparation,
    PrepareReport, PrepareSettings, PreparedRows, PreparedWriter, RowBuilder, Truncation, prepare,
    prepare_cached, prepare_preferences,
};
pub use prompts::{LabelCount, Prompt, PromptColumns, PromptReport, PromptSet};
pub use read::{Format, OnError, ReadReport, ReadSettings, Records, Source};
pub use recognize::{Column, ColumnMapping, Recognition, Recognizer, RecordForm, RecordKind};
pub use record::{Content, Example, Message, Origin, Position, Record, Turns};
pub use rendered::Rendered;
pub use row::Row;
pub use safety::{
    CategoryCount, Finding, KeywordConfig, KeywordLabeller, KeywordMatch, LabelEvaluation,
    LabelSource, Labelled, SafetyLabel, evaluate_labels,
};
pub use split::{Part, PartCount, Split, SplitConfig, SplitMethod, SplitReport, Splitter};
pub use statistics::{
    Balance, LengthBucket, LengthSummary, LongRow, Statistics, StatisticsBuilder,
};
pub use synthesize::{
    Characters, FilterReason, Generator, SlotTemplate, SynthesisConfig, SynthesisReport,
    Synthesizer, complete_records,
};
pub use template::{BuiltIn, ChatTemplate, RenderOptions, TemplateFolder, TemplateTime};
pub use tokenize::{Encoded, SpecialToken, SpecialTokens, Tokenizer};
pub use write::{WrittenFile, write_records};

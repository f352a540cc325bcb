#![doc = include_str!("../README.md")]

mod batch;
mod build;
mod config;
mod continuation;
mod device;
mod error;
mod family;
mod generate;
mod hidden;
mod load;
mod lora;
mod model;
#[cfg_attr(not(feature = "autodiff"), allow(dead_code, reason = "nobody asks for gradients"))]
mod ops;
mod parameters;
mod random;
mod save;
mod score;
mod targets;
mod token_loss;
mod training;

pub use batch::Batch;
pub use config::{
    Activation, AttentionConfig, BlockKind, DecoderConfig, Frequencies, LayerConfig, MlpConfig,
    MlpKind, NormConfig, NormKind, QkvLayout, RopeScaling, RotaryConfig,
};
pub use continuation::Continuation;
pub use device::{DeviceError, devices, parse_device, parse_dtype};
pub use error::{LmError, Result};
pub use family::Family;
pub use generate::{
    DecodeTokens, FinishReason, GenerateError, Generated, GenerationConfig, GenerationEvent,
    GenerationFile, Generator, LogitsProblem, NextLogits,
};
pub use hidden::{HiddenSource, Pooling};
pub use load::LoadEvent;
pub use lora::LowRank;
pub use model::Decoder;
pub use parameters::Parameter;
pub use targets::Targets;
pub use token_loss::{LossConfig, TokenLoss};
pub use training::Training;

#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod checkpoint;
mod config;
mod error;
mod evaluate;
mod events;
mod folder;
mod memory;
mod optimizer;
mod order;
mod random;
mod result;
mod rows;
mod run;
mod schedule;
mod several;
mod state;
mod step;
mod trained;
mod trainer;

pub use checkpoint::Resume;
pub use config::{
    AdaGradConfig, AdafactorConfig, AdamConfig, AdamWConfig, AdanConfig, Arrangement,
    CheckedConfig, CheckpointConfig, EarlyStopping, EvaluationConfig, Every, LambConfig,
    LionConfig, Method, MuonConfig, NonFinite, OptimizerConfig, RmsPropConfig, SgdConfig,
    TrainConfig,
};
pub use error::{Difference, Result, TrainError};
pub use evaluate::Evaluator;
pub use events::{FanOut, JsonLines, Observer, Started, Step, StopReason, TrainEvent};
pub use result::{ModelSummary, Provenance, TrainResult};
pub use rows::{DataSummary, PreparedPart, Rows};
pub use schedule::{ScheduleConfig, ScheduleKind, Warmup};
pub use several::train_each;
pub use state::{Best, TrainState};
pub use trainer::Trainer;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use clap::Args;
use collimate_data::Tokenizer;
use collimate_lm::{Decoder, LmError, LoadEvent, parse_device, parse_dtype};
use collimate_peft::Adapter;

use crate::Percent;

/// Which model, and where it runs.
#[derive(Args)]
pub struct ModelArguments {
    /// The folder of a model: config.json, weights, tokenizer.json
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// The folder of a PEFT adapter that is attached to it
    #[arg(long, value_name = "DIR", requires = "model")]
    pub adapter: Option<PathBuf>,
    /// Where it runs: cpu, or cuda, vulkan, wgpu where the program was built with them, with a number
    /// as in cuda:1
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    pub device: String,
    /// The type of the weights: f32, bf16 or f16; on a card that of activations as well
    #[arg(long, value_name = "TYPE", default_value = "f32")]
    pub dtype: String,
}

/// A model with its tokenizer.
pub struct Opened {
    /// The model, with the adapter if there is one.
    pub decoder: Decoder,
    /// Its tokenizer.
    pub tokenizer: Tokenizer,
}

impl ModelArguments {
    /// Opens the model in a folder.
    pub fn open(&self, folder: &Path, cancelled: &AtomicBool) -> Result<Opened, Box<dyn Error>> {
        let (device, dtype) = (parse_device(&self.device)?, parse_dtype(&self.dtype)?);
        let tokenizer = Tokenizer::from_folder(folder)?;
        let mut percent = Percent::new("loading");
        let show = &mut |event: &LoadEvent| {
            if let LoadEvent::Loaded { bytes, of } = event {
                percent.show(*bytes, *of);
            }
        };
        let mut decoder = Decoder::load_watched(folder, &device, dtype, cancelled, show)?;
        check(&tokenizer, &decoder)?;
        if let Some(folder) = &self.adapter {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            decoder.attach_adapter(&name, &Adapter::read(folder)?)?;
        }
        Ok(Opened { decoder, tokenizer })
    }

    /// Whether an error is neither of the arguments nor of the input.
    pub fn is_ours(error: &(dyn Error + 'static)) -> bool {
        matches!(error.downcast_ref(), Some(LmError::Cancelled | LmError::Device { .. }))
    }
}

/// That every token has a row in the embedding.
fn check(tokenizer: &Tokenizer, decoder: &Decoder) -> Result<(), Box<dyn Error>> {
    let rows = decoder.config().vocab_size;
    let vocabulary = tokenizer.vocabulary();
    let largest = vocabulary.iter().max_by_key(|(_, id)| **id);
    match largest.filter(|(_, id)| **id as usize >= rows) {
        None => Ok(()),
        Some((token, id)) => Err(format!(
            "{}: '{token}' has the id {id}, the embedding of the model has {rows} rows; the tokenizer \
             is of another model",
            tokenizer.path().display()
        )
        .into()),
    }
}

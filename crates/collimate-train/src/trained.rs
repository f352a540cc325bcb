//! What is trained: its values, its place in the model, and its way into files and back.

mod dense;
mod lora;
mod parameter;
mod principal;

use std::path::Path;

use burn::tensor::Tensor;
use collimate_lm::{Decoder, TokenLoss};
use collimate_peft::{Adapter, Coverage, Targets};
use sha2::{Digest, Sha256};

use crate::config::{Method, TrainConfig};
use crate::error::{Result, TrainError};
use crate::rows::hexadecimal;

pub(crate) use parameter::{Parameter, bytes, flat, numbers};

use dense::Dense;
use lora::Lora;

/// The name of what is trained, among the adapters of a model.
const ADAPTER: &str = "trained";

/// All that is trained of a model.
#[derive(Debug)]
pub(crate) struct Trained {
    /// Low-rank matrices and their kin first, then parameters of the model.
    parameters: Vec<Parameter>,
    lora: Option<Lora>,
    dense: Dense,
    coverage: Option<Coverage>,
    unmatched: Vec<String>,
}

impl Trained {
    /// What the settings want trained, as it is before the first step: of `start` if there is one.
    pub(crate) fn new(
        decoder: &Decoder,
        config: &TrainConfig,
        start: Option<&Adapter>,
    ) -> Result<Self> {
        let mut parameters = Vec::new();
        match &config.method {
            Method::Lora { adapter, learning_rate_ratio } => {
                let targets = adapter.match_modules(decoder.module_tree())?;
                let lora = Lora::new(decoder, adapter, &targets, config.seed, start, &mut parameters)?;
                let dense = Dense::saved(decoder, &targets, start, &mut parameters)?;
                for parameter in &mut parameters {
                    parameter.set_rate(*learning_rate_ratio);
                }
                let Targets { coverage, unmatched, .. } = targets;
                let unmatched = unmatched.iter().map(|of| format!("{}: {}", of.field, of.entry));
                let unmatched = unmatched.collect();
                Ok(Self { parameters, lora: Some(lora), dense, coverage: Some(coverage), unmatched })
            }
            Method::Full if start.is_some() => Err(TrainError::Setting {
                setting: "method",
                message: "is `full`, and an adapter to start from was given: merge it into the model first".to_owned(),
            }),
            Method::Full => {
                let dense = Dense::all(decoder, &mut parameters)?;
                Ok(Self { parameters, lora: None, dense, coverage: None, unmatched: Vec::new() })
            }
        }
    }

    /// How much of the model is adapted; none where all of it is trained.
    pub(crate) fn coverage(&self) -> Option<Coverage> {
        self.coverage
    }

    pub(crate) fn unmatched(&self) -> &[String] {
        &self.unmatched
    }

    pub(crate) fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    pub(crate) fn parameters_mut(&mut self) -> &mut [Parameter] {
        &mut self.parameters
    }

    /// Puts the values into the model, to be recorded or just to be used.
    pub(crate) fn attach(&mut self, decoder: &mut Decoder, recorded: bool) -> Result<()> {
        for parameter in &mut self.parameters {
            parameter.place(recorded);
        }
        if let Some(lora) = &self.lora {
            lora.attach(decoder, &self.parameters)?;
        }
        self.dense.attach(decoder, &self.parameters, recorded)
    }

    /// Takes what isn't the model's own out of it, and lets nothing be recorded any more.
    pub(crate) fn detach(&self, decoder: &mut Decoder) -> Result<()> {
        self.dense.release(decoder)?;
        match &self.lora {
            Some(lora) => lora.detach(decoder),
            None => Ok(()),
        }
    }

    /// No gradient for each parameter.
    pub(crate) fn nothing(&self) -> Vec<Option<Tensor<1>>> {
        vec![None; self.parameters.len()]
    }

    /// Adds the gradients of a loss.
    pub(crate) fn add_gradients(
        &self,
        decoder: &Decoder,
        loss: &TokenLoss,
        sums: &mut [Option<Tensor<1>>],
    ) {
        let mut gradients = loss.loss.backward();
        let mut of_model = decoder.take_gradients(&mut gradients);
        for (parameter, sum) in self.parameters.iter().zip(sums) {
            if let Some(gradient) = parameter.take_gradient(&mut gradients, &mut of_model) {
                *sum = Some(match sum.take() {
                    Some(sum) => sum + gradient,
                    None => gradient,
                });
            }
        }
    }

    /// The values of all parameters, flat.
    pub(crate) fn values(&self) -> Vec<Tensor<1>> {
        self.parameters.iter().map(|parameter| parameter.value.clone()).collect()
    }

    /// Puts values in the place of others.
    pub(crate) fn set_values(&mut self, values: Vec<Tensor<1>>) {
        for (parameter, value) in self.parameters.iter_mut().zip(values) {
            parameter.value = value;
        }
    }

    /// The SHA-256 of all values.
    pub(crate) fn digest(&self) -> Result<String> {
        let mut hasher = Sha256::new();
        for parameter in &self.parameters {
            hasher.update(parameter.bytes()?);
        }
        Ok(hexadecimal(&hasher.finalize()))
    }

    /// The adapter that it comes to; none where the model's own parameters are trained.
    pub(crate) fn adapter(&self) -> Result<Option<Adapter>> {
        self.lora.as_ref().map(|lora| lora.adapter(&self.parameters)).transpose()
    }

    /// Writes it into a folder: an adapter, or the whole model's weights.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        match self.adapter()? {
            Some(adapter) => Ok(adapter.write(folder)?),
            None => Dense::write(&self.parameters, folder),
        }
    }

    /// Reads what was written.
    pub(crate) fn read(&mut self, folder: &Path) -> Result<()> {
        match &mut self.lora {
            Some(lora) => lora.read(folder, &mut self.parameters),
            None => Dense::read(folder, &mut self.parameters),
        }
    }
}

//! Parameters of the model itself.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Tensor;
use collimate_lm::Decoder;
use collimate_peft::{Adapter, AdapterKey, Targets};
use collimate_tensors::{Dtype, TensorFile, write_safetensors};

use super::parameter::{Parameter, flat};
use crate::error::{Result, TrainError};

const FILE: &str = "model.safetensors";
/// What PEFT puts before the names of a model's parameters.
const PREFIX: &str = "base_model.model.";

/// Which parameters of the model are trained.
#[derive(Debug, Default)]
pub(super) struct Dense {
    /// Their names in the model.
    names: Vec<String>,
    /// Whether a head that shares the embedding's weights gets its own, so that only one of them is
    /// trained.
    untied: bool,
}

impl Dense {
    /// Those of the modules that an adapter saves whole.
    pub(super) fn saved(
        decoder: &Decoder,
        targets: &Targets,
        start: Option<&Adapter>,
        parameters: &mut Vec<Parameter>,
    ) -> Result<Self> {
        if targets.saved.is_empty() {
            return Ok(Self::default());
        }
        let mut decoder = decoder.clone();
        decoder.untie_head()?;
        let is_saved = |name: &str| {
            targets.saved.iter().any(|saved| {
                name.strip_prefix(&saved.module).is_some_and(|rest| rest.starts_with('.'))
            })
        };
        let mut names = Vec::new();
        for parameter in decoder.parameters() {
            if !is_saved(&parameter.name) {
                continue;
            }
            let name = format!("{PREFIX}{}", parameter.name);
            let started = match (start, AdapterKey::parse(&name)) {
                (Some(start), Some(key)) => start.get(&key)?,
                _ => None,
            };
            let value = match started {
                Some(tensor) => flat(super::lora::widened(&name, &tensor)?, decoder.device()),
                None => decoder.parameter(&parameter.name)?.cast(burn::tensor::DType::F32),
            };
            parameters.push(Parameter::of_model(name, &parameter.name, parameter.shape, value));
            names.push(parameter.name);
        }
        Ok(Self { names, untied: true })
    }

    /// All of them.
    pub(super) fn all(decoder: &Decoder, parameters: &mut Vec<Parameter>) -> Result<Self> {
        let mut names = Vec::new();
        for parameter in decoder.parameters() {
            let value = decoder.parameter(&parameter.name)?.cast(burn::tensor::DType::F32);
            let name = parameter.name.clone();
            parameters.push(Parameter::of_model(name, &parameter.name, parameter.shape, value));
            names.push(parameter.name);
        }
        Ok(Self { names, untied: false })
    }

    pub(super) fn attach(
        &self,
        decoder: &mut Decoder,
        parameters: &[Parameter],
        recorded: bool,
    ) -> Result<()> {
        if self.names.is_empty() {
            return Ok(());
        }
        if self.untied {
            decoder.untie_head()?;
        }
        let values: BTreeMap<String, Tensor<1>> = parameters
            .iter()
            .filter_map(|parameter| Some((parameter.in_model.clone()?, parameter.value.clone())))
            .collect();
        decoder.set_parameters(values)?;
        Ok(decoder.track(if recorded { self.names.as_slice() } else { &[] })?)
    }

    /// Lets nothing be recorded any more.
    pub(super) fn release(&self, decoder: &mut Decoder) -> Result<()> {
        if self.names.is_empty() { Ok(()) } else { Ok(decoder.track::<&str>([])?) }
    }

    /// Writes them as transformers reads them, in float32.
    pub(super) fn write(parameters: &[Parameter], folder: &Path) -> Result<()> {
        let metadata = [("format".to_owned(), "pt".to_owned())].into();
        let tensors = parameters.iter().map(|parameter| {
            let shape: Vec<u64> = parameter.shape.iter().map(|&size| size as u64).collect();
            Ok((parameter.name.clone(), Dtype::F32, shape, parameter.bytes()?))
        });
        let tensors = tensors.collect::<Result<Vec<_>>>()?;
        Ok(write_safetensors(folder.join(FILE), &metadata, tensors)?)
    }

    /// Reads what was written.
    pub(super) fn read(folder: &Path, parameters: &mut [Parameter]) -> Result<()> {
        let file = TensorFile::open(folder.join(FILE))?;
        for parameter in parameters {
            let found = file.get(&parameter.name).map(|tensor| tensor.to_f32()).transpose()?;
            let found = found.filter(|found| [found.len()] == parameter.value.dims());
            let Some(found) = found else {
                let message =
                    format!("its weights have no {} of the shape that is trained", parameter.name);
                return Err(TrainError::Checkpoint { path: folder.to_owned(), message });
            };
            parameter.value = flat(found, &parameter.value.device());
        }
        Ok(file.unchanged()?)
    }
}

//! The optimizers that are burn's.

use std::collections::BTreeMap;

use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{
    AdaGradConfig, AdafactorConfig, AdamConfig, AdanConfig, AdjustLrFn, DynOptimizer, DynState,
    LambConfig, LionConfig, MuonConfig, RmsPropConfig, SgdConfig, StateSink, StateSource,
};
use burn::tensor::{DType, Tensor, TensorData};
use collimate_tensors::{Dtype, TensorFile};

use super::NamedTensor;
use crate::config::OptimizerConfig;
use crate::trained::Parameter;

/// One of them, with decay or without.
pub(super) struct Rule(Box<dyn DynOptimizer>);

impl Rule {
    /// The rule of a parameter; none where it is AdamW's.
    pub(super) fn of(config: &OptimizerConfig, parameter: &Parameter) -> Option<Self> {
        let decay = if parameter.decays { config.weight_decay() as f32 } else { 0.0 };
        let penalty = (decay > 0.0).then(|| WeightDecayConfig::new(decay));
        Some(Self(match config {
            OptimizerConfig::AdamW(_) => return None,
            OptimizerConfig::Adam(of) => {
                let config = AdamConfig::new()
                    .with_beta_1(of.beta_1 as f32)
                    .with_beta_2(of.beta_2 as f32)
                    .with_epsilon(of.epsilon as f32);
                Box::new(config.with_weight_decay(penalty).build())
            }
            OptimizerConfig::Adafactor(of) => {
                let config = AdafactorConfig::new()
                    .with_clip_threshold(of.clip_threshold as f32)
                    .with_decay_rate(of.decay_rate)
                    .with_relative_step(false)
                    .with_scale_parameter(of.scale_parameter);
                Box::new(config.with_weight_decay(decay).build())
            }
            OptimizerConfig::AdaGrad(of) => {
                let config =
                    AdaGradConfig::new().with_lr_decay(of.lr_decay).with_epsilon(of.epsilon as f32);
                Box::new(config.with_weight_decay(penalty).build())
            }
            OptimizerConfig::Adan(of) => {
                let config = AdanConfig::new()
                    .with_beta_1(of.beta_1 as f32)
                    .with_beta_2(of.beta_2 as f32)
                    .with_beta_3(of.beta_3 as f32)
                    .with_epsilon(of.epsilon as f32);
                Box::new(config.with_weight_decay(decay).build())
            }
            OptimizerConfig::Lamb(of) => {
                let config = LambConfig::new()
                    .with_beta_1(of.beta_1 as f32)
                    .with_beta_2(of.beta_2 as f32)
                    .with_epsilon(of.epsilon as f32);
                Box::new(config.with_weight_decay(decay).build())
            }
            OptimizerConfig::Lion(of) => {
                let config =
                    LionConfig::new().with_beta_1(of.beta_1 as f32).with_beta_2(of.beta_2 as f32);
                Box::new(config.with_weight_decay(decay).build())
            }
            OptimizerConfig::Muon(_) if !parameter.is_hidden_matrix() => return None,
            OptimizerConfig::Muon(of) => {
                let momentum = MomentumConfig::new()
                    .with_momentum(of.momentum)
                    .with_dampening(0.0)
                    .with_nesterov(of.nesterov);
                let config = MuonConfig::new()
                    .with_momentum(momentum)
                    .with_ns_steps(of.ns_steps)
                    .with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW);
                Box::new(config.with_weight_decay(penalty).build())
            }
            OptimizerConfig::RmsProp(of) => {
                let config = RmsPropConfig::new()
                    .with_alpha(of.alpha as f32)
                    .with_epsilon(of.epsilon as f32)
                    .with_momentum(of.momentum as f32)
                    .with_centered(of.centered);
                Box::new(config.with_weight_decay(penalty).build())
            }
            OptimizerConfig::Sgd(of) => {
                let momentum = MomentumConfig::new()
                    .with_momentum(of.momentum)
                    .with_dampening(0.0)
                    .with_nesterov(of.nesterov);
                let momentum = (of.momentum > 0.0).then_some(momentum);
                Box::new(
                    SgdConfig::new().with_momentum(momentum).with_weight_decay(penalty).build(),
                )
            }
        }))
    }

    /// A parameter after an update, and what is remembered then.
    pub(super) fn update(
        &self,
        parameter: &Parameter,
        gradient: Tensor<1>,
        learning_rate: f64,
        state: Option<DynState>,
    ) -> (Tensor<1>, Option<DynState>) {
        match shape(parameter).as_slice() {
            &[rows, columns] => {
                let size = [rows, columns];
                let value = parameter.value.clone().reshape(size).into_bridge();
                let gradient: Tensor<2> = gradient.reshape(size);
                let gradient = gradient.into_bridge();
                let (value, state) = self.0.step_dyn(2, learning_rate, value, gradient, state);
                (Tensor::<2>::from_bridge(value).flatten(0, 1), state)
            }
            _ => {
                let value = parameter.value.clone().into_bridge();
                let gradient = gradient.into_bridge();
                let (value, state) = self.0.step_dyn(1, learning_rate, value, gradient, state);
                (Tensor::<1>::from_bridge(value), state)
            }
        }
    }

    /// The tensors of what is remembered of a parameter, and its numbers.
    pub(super) fn written(
        &self,
        parameter: &Parameter,
        state: &DynState,
    ) -> (Vec<NamedTensor>, BTreeMap<String, serde_json::Value>) {
        let mut sink = StateSink::default();
        self.0.state_flatten(&parameter.name, state, &mut sink);
        let tensors = sink.tensors.into_iter().map(|(name, data)| {
            let shape = data.shape().iter().map(|&size| size as u64).collect();
            let numbers: Vec<f32> = data.convert_dtype(DType::F32).iter().collect();
            let bytes = numbers.into_iter().flat_map(f32::to_le_bytes).collect();
            (name, Dtype::F32, shape, bytes)
        });
        let number = |(name, number)| Some((name, serde_json::to_value(number).ok()?));
        (tensors.collect(), sink.scalars.into_iter().filter_map(number).collect())
    }

    /// What was written; none if something is missing, or of another shape than what an update leaves.
    pub(super) fn read(
        &self,
        parameter: &Parameter,
        file: &TensorFile,
        numbers: &BTreeMap<String, serde_json::Value>,
    ) -> Option<DynState> {
        let mut expected = StateSink::default();
        let (_, state) = self.update(parameter, parameter.value.zeros_like(), 0.0, None);
        self.0.state_flatten(&parameter.name, &state?, &mut expected);
        let mut of_parameter = serde_json::Map::new();
        for (name, _) in expected.scalars {
            let number = numbers.get(&name)?.clone();
            of_parameter.insert(name, number);
        }
        let numbers = serde_json::Value::Object(of_parameter);
        let mut source = StateSource::new(serde_json::from_value(numbers).ok()?);
        for (name, data) in expected.tensors {
            let tensor = file.get(&name)?;
            let size = data.shape();
            if !tensor.shape().iter().copied().eq(size.iter().map(|&size| size as u64)) {
                return None;
            }
            source.insert_tensor(name, TensorData::new(tensor.to_f32().ok()?, size.clone()));
        }
        let (rank, device) = (shape(parameter).len(), parameter.value.device());
        self.0.state_unflatten(rank, &parameter.name, &mut source, &device)
    }
}

/// The shape of a parameter as a matrix, or as a vector if it is one.
fn shape(parameter: &Parameter) -> Vec<usize> {
    match parameter.shape.as_slice() {
        [] | [_] => parameter.value.dims().to_vec(),
        [rows @ .., columns] => vec![rows.iter().product(), *columns],
    }
}

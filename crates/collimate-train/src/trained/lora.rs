//! Low-rank matrices.

use std::path::Path;

use burn::tensor::{Device, Tensor};
use collimate_lm::{Decoder, LowRank};
use collimate_peft::{
    Adapter, AdapterKey, AdapterPart, AdapterTensor, InitLoraWeights, LoraConfig, Target, Targets,
};

use super::ADAPTER;
use super::parameter::{Parameter, flat, numbers};
use crate::error::{Result, TrainError};
use crate::random::Numbers;

/// The name under which the start of PiSSA is taken from the weights.
const TAKEN: &str = "start";

/// Low-rank matrices beside projections.
#[derive(Debug)]
pub(super) struct Lora {
    config: LoraConfig,
    modules: Vec<AdaptedModule>,
    device: Device,
}

#[derive(Debug)]
struct AdaptedModule {
    target: Target,
    /// Their places among the parameters.
    a: usize,
    b: usize,
    magnitude: Option<usize>,
    /// A and B of PiSSA's start, which are taken from the weights.
    taken: Option<[Vec<f32>; 2]>,
}

impl Lora {
    /// The matrices as they are before the first step.
    pub(super) fn new(
        decoder: &Decoder,
        config: &LoraConfig,
        targets: &Targets,
        seed: u64,
        start: Option<&Adapter>,
        parameters: &mut Vec<Parameter>,
    ) -> Result<Self> {
        let device = decoder.device().clone();
        if let Some(start) = start {
            check_start(start, config, decoder)?;
        }
        let mut config = config.clone().with_fan_in_fan_out(targets.fan_in_fan_out());
        if start.is_some() {
            // However it was made, it belongs to the weights as they are.
            config.init_lora_weights = InitLoraWeights::Flag(true);
        }
        let mut modules = Vec::with_capacity(targets.modules.len());
        for target in &targets.modules {
            let shapes = shapes(target);
            let [a, b] = match start {
                Some(start) => parts(start, target)?,
                None => initial(decoder, &config, target, seed)?,
            };
            let taken = is_pissa(&config).then(|| [a.clone(), b.clone()]);
            let mut put = |part, shape: &[usize], numbers| {
                let key = AdapterKey::new(&target.module, part);
                let value = flat(numbers, &device);
                parameters.push(Parameter::of_adapter(&key, shape.to_vec(), value));
                parameters.len() - 1
            };
            let magnitude = match start {
                _ if !config.use_dora => None,
                Some(start) => Some(part(start, target, AdapterPart::Magnitude)?),
                None => {
                    let matrix = |numbers: &[f32], [rows, columns]: [usize; 2]| {
                        flat(numbers.to_vec(), &device).reshape([rows, columns])
                    };
                    let branch = LowRank::new(
                        &target.module,
                        matrix(&a, shapes[0]),
                        matrix(&b, shapes[1]),
                        target.scale,
                    );
                    Some(numbers(&decoder.weight_norm(&branch)?)?)
                }
            };
            let (a, b) = (put(AdapterPart::A, &shapes[0], a), put(AdapterPart::B, &shapes[1], b));
            let magnitude =
                magnitude.map(|numbers| put(AdapterPart::Magnitude, &shapes[1][..1], numbers));
            modules.push(AdaptedModule { target: target.clone(), a, b, magnitude, taken });
        }
        Ok(Self { config, modules, device })
    }

    pub(super) fn attach(&self, decoder: &mut Decoder, parameters: &[Parameter]) -> Result<()> {
        let branch = |module: &AdaptedModule| {
            let matrix = |at: usize| parameters.get(at).map(Parameter::matrix);
            let (a, b) = (matrix(module.a)?, matrix(module.b)?);
            let mut branch = LowRank::new(&module.target.module, a, b, module.target.scale)
                .with_dropout(self.config.lora_dropout);
            branch.magnitude =
                module.magnitude.and_then(|at| parameters.get(at)).map(Parameter::vector);
            Some(branch)
        };
        decoder.attach(ADAPTER, self.modules.iter().filter_map(branch).collect())?;
        if !decoder.adapters().iter().any(|name| name == TAKEN) {
            let taken: Vec<LowRank> =
                self.modules.iter().filter_map(|module| self.taken(module)).collect();
            if !taken.is_empty() {
                decoder.attach(TAKEN, taken)?;
            }
        }
        Ok(())
    }

    /// What PiSSA takes from the weights, which stay as they are.
    fn taken(&self, module: &AdaptedModule) -> Option<LowRank> {
        let [a, b] = module.taken.as_ref()?;
        let [a, b]: [Tensor<2>; 2] = {
            let [of_a, of_b] = shapes(&module.target);
            [
                flat(a.clone(), &self.device).reshape(of_a),
                flat(b.clone(), &self.device).reshape(of_b),
            ]
        };
        Some(LowRank::new(&module.target.module, a, b, -module.target.scale))
    }

    pub(super) fn detach(&self, decoder: &mut Decoder) -> Result<()> {
        for name in [ADAPTER, TAKEN] {
            if decoder.adapters().iter().any(|attached| attached == name) {
                decoder.detach(name)?;
            }
        }
        Ok(())
    }

    /// The adapter. After PiSSA it has twice the rank, and belongs to the weights as they are: what was
    /// taken from them is taken from it.
    pub(super) fn adapter(&self, parameters: &[Parameter]) -> Result<Adapter> {
        let mut tensors = Vec::with_capacity(parameters.len());
        for parameter in parameters {
            // Made of a key.
            let Some(key) = AdapterKey::parse(&parameter.name) else { continue };
            let module = self.modules.iter().find(|module| module.target.module == key.module);
            let tensor = match module.and_then(|module| Some((module, module.taken.as_ref()?))) {
                Some((module, taken)) if key.part == AdapterPart::A => {
                    let all = [numbers(&parameter.value)?, taken[0].clone()].concat();
                    let shape = vec![2 * u64::from(module.target.rank), module.target.in_features];
                    AdapterTensor::from_f32(shape, &all)
                }
                Some((module, taken)) if key.part == AdapterPart::B => {
                    let rank = module.target.rank as usize;
                    let trained = numbers(&parameter.value)?;
                    let rows = trained.chunks(rank).zip(taken[1].chunks(rank));
                    let all: Vec<f32> = rows
                        .flat_map(|(row, taken)| {
                            row.iter().copied().chain(taken.iter().map(|number| -number))
                        })
                        .collect();
                    let shape = vec![module.target.out_features, 2 * u64::from(module.target.rank)];
                    AdapterTensor::from_f32(shape, &all)
                }
                _ => parameter.tensor()?,
            };
            tensors.push((key, tensor));
        }
        let is_doubled = self.modules.iter().any(|module| module.taken.is_some());
        let config = if is_doubled { doubled(&self.config) } else { self.config.clone() };
        Ok(Adapter::new(config, tensors)?)
    }

    /// Reads the values of an adapter that was written.
    pub(super) fn read(&mut self, folder: &Path, parameters: &mut [Parameter]) -> Result<()> {
        let adapter = Adapter::read(folder)?;
        let wrong = |name: &str| TrainError::Checkpoint {
            path: folder.to_owned(),
            message: format!("its adapter has no tensor {name} of the shape that is trained"),
        };
        for at in 0..parameters.len() {
            let Some(parameter) = parameters.get_mut(at) else { continue };
            let Some(key) = AdapterKey::parse(&parameter.name) else { continue };
            let tensor = adapter.get(&key)?.ok_or_else(|| wrong(&parameter.name))?;
            let mut found = widened(&parameter.name, &tensor)?;
            let module = self.modules.iter_mut().find(|module| module.a == at || module.b == at);
            if let Some(AdaptedModule { target, a, taken: Some(taken), .. }) = module {
                let rank = target.rank as usize;
                if *a == at {
                    taken[0] = found.split_off(found.len() / 2);
                } else {
                    let (mut of_trained, mut of_taken) = (Vec::new(), Vec::new());
                    for row in found.chunks(2 * rank) {
                        let (trained, taken) = row.split_at(row.len().min(rank));
                        of_trained.extend_from_slice(trained);
                        of_taken.extend(taken.iter().map(|number| -number));
                    }
                    (found, taken[1]) = (of_trained, of_taken);
                }
            }
            if found.len() != parameter.shape.iter().product::<usize>() {
                return Err(wrong(&parameter.name));
            }
            parameter.value = flat(found, &self.device);
        }
        Ok(adapter.unchanged()?)
    }
}

/// `[rank, in]` and `[out, rank]`.
fn shapes(target: &Target) -> [[usize; 2]; 2] {
    let (rank, width, out) =
        (target.rank as usize, target.in_features as usize, target.out_features as usize);
    [[rank, width], [out, rank]]
}

fn is_pissa(config: &LoraConfig) -> bool {
    matches!(&config.init_lora_weights, InitLoraWeights::Named(name) if name.eq_ignore_ascii_case("pissa"))
}

/// A and B before the first step.
fn initial(
    decoder: &Decoder,
    config: &LoraConfig,
    target: &Target,
    seed: u64,
) -> Result<[Vec<f32>; 2]> {
    let [a, b] = shapes(target).map(|[rows, columns]| rows * columns);
    let [mut of_a, mut of_b] =
        ["A", "B"].map(|part| Numbers::new(seed, &format!("{}.{part}", target.module)));
    // Kaiming-uniform with a = √5, as PyTorch has it for every linear map.
    let bound = |width: f64| 1.0 / width.sqrt();
    let uniform = of_a.uniform(a, bound(target.in_features as f64));
    Ok(match &config.init_lora_weights {
        InitLoraWeights::Flag(true) => [uniform, vec![0.0; b]],
        InitLoraWeights::Flag(false) => [uniform, of_b.uniform(b, bound(f64::from(target.rank)))],
        _ if is_pissa(config) => super::principal::principal(decoder, target)?,
        _ => [of_a.normal(a, 1.0 / f64::from(target.rank)), vec![0.0; b]],
    })
}

/// That an adapter is one that the settings describe.
fn check_start(start: &Adapter, config: &LoraConfig, decoder: &Decoder) -> Result<()> {
    let targets = start.check(decoder.module_tree())?;
    let wanted = config.match_modules(decoder.module_tree())?;
    let of = start.config();
    if targets.modules != wanted.modules
        || targets.saved != wanted.saved
        || of.use_dora != config.use_dora
    {
        return Err(TrainError::Setting {
            setting: "method",
            message: "describes an adapter with other modules, ranks or scales than the one to start from: \
                      take over its configuration"
                .to_owned(),
        });
    }
    Ok(())
}

fn parts(adapter: &Adapter, target: &Target) -> Result<[Vec<f32>; 2]> {
    Ok([part(adapter, target, AdapterPart::A)?, part(adapter, target, AdapterPart::B)?])
}

fn part(adapter: &Adapter, target: &Target, part: AdapterPart) -> Result<Vec<f32>> {
    // It is there: that was checked.
    match adapter.get(&AdapterKey::new(&target.module, part))? {
        Some(tensor) => widened(&target.module, &tensor),
        None => Ok(Vec::new()),
    }
}

/// The numbers of a tensor in float32.
pub(super) fn widened(name: &str, tensor: &AdapterTensor<'_>) -> Result<Vec<f32>> {
    let count = tensor.shape().iter().map(|&size| size as usize).product();
    let mut numbers = vec![0.0; count];
    collimate_tensors::widen(tensor.dtype(), tensor.bytes(), &mut numbers)
        .map_err(|source| TrainError::Convert { tensor: name.to_owned(), source })?;
    Ok(numbers)
}

/// The configuration of an adapter of twice the rank with the same scales, as PEFT converts PiSSA.
fn doubled(config: &LoraConfig) -> LoraConfig {
    let factor = if config.use_rslora { 2_f64.sqrt() } else { 2.0 };
    let mut config = config.clone().with_init(InitLoraWeights::Flag(true));
    config.r *= 2;
    config.lora_alpha *= factor;
    config.rank_pattern.iter_mut().for_each(|(_, rank)| *rank *= 2);
    config.alpha_pattern.iter_mut().for_each(|(_, alpha)| *alpha *= factor);
    config
}

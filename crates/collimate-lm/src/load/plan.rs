use std::collections::BTreeSet;
use std::path::Path;

use burn::tensor::{DType, Device, TensorData};
use collimate_tensors::{Checkpoint, Tensor};

use super::{matrix, unsupported};
use crate::build::{Wanted, WantedPart, build};
use crate::config::DecoderConfig;
use crate::error::{LmError, Result};

/// Where the tensors of a model are in its files.
pub(super) struct Plan<'a> {
    folder: &'a Path,
    checkpoint: &'a Checkpoint,
    outer: Outer,
}

/// How the names of the files differ from those of the whole model.
enum Outer {
    /// They have more at their beginning.
    Added(String),
    /// They lack the first name: a model that was saved from inside.
    Missing(String),
}

impl<'a> Plan<'a> {
    /// Checks that every tensor is there in the shape that the configuration says, and that there
    /// are no others, before anything is read.
    pub(super) fn new(
        folder: &'a Path,
        checkpoint: &'a Checkpoint,
        config: &DecoderConfig,
        device: &Device,
    ) -> Result<Self> {
        let names = config.family.names();
        let embedding = format!("{}.weight", names.embedding);
        let plan = Self { folder, checkpoint, outer: Outer::of(checkpoint, &embedding) };

        let mut taken = BTreeSet::new();
        let mut missing: Vec<(String, Vec<usize>)> = Vec::new();
        // Nothing is computed while a decoder is built: empty tensors will do.
        build(config, device, DType::F32, &mut |wanted: &Wanted| {
            for part in &wanted.parts {
                match plan.check(part, wanted)? {
                    Some(tensor) => taken.insert(tensor.name().to_owned()),
                    None => {
                        missing.push((part.tensor.clone(), wanted.shape(part)));
                        false
                    }
                };
            }
            let none = if wanted.vector { vec![0] } else { vec![0, 0] };
            Ok(TensorData::new(Vec::<f32>::new(), none))
        })?;
        let count = missing.len();
        if let Some((tensor, shape)) = missing.into_iter().next() {
            return Err(LmError::MissingTensor { folder: folder.to_owned(), tensor, shape, count });
        }
        // A head that is tied is not read, but may be there.
        let tied = config.tie_word_embeddings.then(|| plan.name(&format!("{}.weight", names.head)));
        let mut unexpected = checkpoint.names().filter(|name| {
            !taken.contains(*name)
                && tied.as_deref() != Some(*name)
                && !names.buffers.iter().any(|buffer| name.ends_with(buffer))
        });
        if let Some(tensor) = unexpected.next() {
            let (tensor, count) = (tensor.to_owned(), 1 + unexpected.count());
            return Err(LmError::UnexpectedTensor { folder: folder.to_owned(), tensor, count });
        }
        Ok(plan)
    }

    /// The numbers of a tensor, and how many bytes of the files they are.
    pub(super) fn read(&self, wanted: &Wanted, dtype: DType) -> Result<(TensorData, u64)> {
        let mut parts = Vec::with_capacity(wanted.parts.len());
        for part in &wanted.parts {
            let Some(tensor) = self.check(part, wanted)? else {
                let (folder, tensor) = (self.folder.to_owned(), part.tensor.clone());
                let shape = wanted.shape(part);
                return Err(LmError::MissingTensor { folder, tensor, shape, count: 1 });
            };
            parts.push((part, tensor));
        }
        let bytes = parts.iter().map(|(_, tensor)| tensor.byte_len()).sum();
        let data = match dtype {
            DType::F32 => matrix::read::<f32>(wanted, &parts)?,
            DType::F16 => matrix::read::<burn::tensor::f16>(wanted, &parts)?,
            DType::BF16 => matrix::read::<burn::tensor::bf16>(wanted, &parts)?,
            _ => return Err(unsupported(self.folder, dtype)),
        };
        Ok((data, bytes))
    }

    fn check(&self, part: &WantedPart, wanted: &Wanted) -> Result<Option<Tensor<'a>>> {
        let Some(tensor) = self.checkpoint.get(&self.name(&part.tensor)) else { return Ok(None) };
        let expected = wanted.shape(part);
        let fits = tensor.shape().iter().copied().eq(expected.iter().map(|&size| size as u64));
        if fits {
            return Ok(Some(tensor));
        }
        Err(LmError::Shape {
            folder: self.folder.to_owned(),
            tensor: tensor.name().to_owned(),
            expected,
            found: tensor.shape().to_vec(),
        })
    }

    /// The name in the files.
    fn name(&self, name: &str) -> String {
        match &self.outer {
            Outer::Added(outer) => format!("{outer}{name}"),
            Outer::Missing(outer) => name.strip_prefix(outer.as_str()).unwrap_or(name).to_owned(),
        }
    }
}

impl Outer {
    fn of(checkpoint: &Checkpoint, embedding: &str) -> Self {
        if checkpoint.get(embedding).is_some() {
            return Self::Added(String::new());
        }
        if let Some((outer, inner)) = embedding.split_once('.')
            && checkpoint.get(inner).is_some()
        {
            return Self::Missing(format!("{outer}."));
        }
        let longer = checkpoint.names().find_map(|name| {
            name.strip_suffix(embedding).filter(|outer| outer.ends_with('.')).map(str::to_owned)
        });
        Self::Added(longer.unwrap_or_default())
    }
}

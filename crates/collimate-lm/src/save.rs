//! Weights on their way back into a file.

use std::path::Path;

use burn::tensor::{DType, Tensor, TensorData};
use collimate_tensors::{Dtype, Layout, SafetensorsWriter};

use crate::build::{Wanted, WantedPart, build};
use crate::error::{LmError, Result};
use crate::model::{Decoder, Norm, Projections, Weight};

impl Decoder {
    /// Writes the weights as one safetensors file, under the names and in the forms that transformers
    /// has for the family; adapters are not among them. There must be nothing at `path`.
    ///
    /// # Errors
    ///
    /// [`LmError::Write`]: the file can't be written; [`LmError::Device`]. Nothing is left behind then.
    pub fn write_weights(&self, path: impl AsRef<Path>) -> Result<()> {
        let wanted = self.wanted()?;
        let mut layout = Layout::new().with_metadata("format", "pt");
        let dtype = match self.dtype {
            DType::F16 => Dtype::F16,
            DType::BF16 => Dtype::BF16,
            _ => Dtype::F32,
        };
        for wanted in &wanted {
            for part in &wanted.parts {
                let shape: Vec<u64> =
                    wanted.shape(part).into_iter().map(|size| size as u64).collect();
                layout.push(&part.tensor, dtype, shape)?;
            }
        }
        let writer = SafetensorsWriter::create(path, &layout.sorted())?;
        for (wanted, tensor) in wanted.iter().zip(self.tensors()) {
            let mut begin = 0;
            for part in &wanted.parts {
                let rows = tensor.clone().narrow(0, begin, part.rows);
                begin += part.rows;
                writer.write(&part.tensor, 0, &bytes(in_file(rows, part, wanted))?)?;
            }
        }
        writer.finish()?;
        Ok(())
    }

    /// What the decoder was built of, in the order of [`tensors`](Self::tensors).
    fn wanted(&self) -> Result<Vec<Wanted>> {
        let mut found = Vec::new();
        // Nothing is computed while a decoder is built: empty tensors will do.
        build(&self.config, &self.device, self.dtype, &mut |wanted| {
            found.push(wanted.clone());
            let none = if wanted.vector { vec![0] } else { vec![0, 0] };
            Ok(TensorData::new(Vec::<f32>::new(), none))
        })?;
        Ok(found)
    }

    /// All weights, vectors as columns, in the order in which a decoder is built.
    fn tensors(&self) -> Vec<Tensor<2>> {
        let mut found = Vec::new();
        let matrix = |found: &mut Vec<_>, weight: &Weight| match weight {
            Weight::Dense(weight) => found.push(weight.clone()),
        };
        let vector = |found: &mut Vec<_>, vector: &Tensor<1>| {
            found.push(vector.clone().unsqueeze_dim::<2>(1));
        };
        let norm = |found: &mut Vec<_>, norm: &Norm| {
            vector(found, &norm.weight);
            norm.bias.iter().for_each(|bias| vector(found, bias));
        };
        let projections = |found: &mut Vec<_>, projections: &Projections| {
            matrix(found, &projections.weight);
            projections.bias.iter().for_each(|bias| vector(found, bias));
        };
        matrix(&mut found, &self.embedding);
        self.positions.iter().for_each(|positions| matrix(&mut found, positions));
        for layer in &self.layers {
            norm(&mut found, &layer.input_norm);
            let attention = &layer.attention;
            projections(&mut found, &attention.input);
            for head_norm in attention.query_norm.iter().chain(&attention.key_norm) {
                norm(&mut found, head_norm);
            }
            projections(&mut found, &attention.output);
            layer.post_attention_norm.iter().for_each(|after| norm(&mut found, after));
            norm(&mut found, &layer.mlp_norm);
            projections(&mut found, &layer.mlp.input);
            projections(&mut found, &layer.mlp.output);
            layer.post_mlp_norm.iter().for_each(|after| norm(&mut found, after));
        }
        norm(&mut found, &self.final_norm);
        self.head.iter().for_each(|head| projections(&mut found, head));
        found
    }
}

/// Rows of a decoder's matrix as the file has them.
fn in_file(rows: Tensor<2>, part: &WantedPart, wanted: &Wanted) -> Tensor<2> {
    let rows = match &part.order {
        Some(order) => {
            let mut places: Vec<i64> = vec![0; order.len()];
            for (at, &row) in order.iter().enumerate() {
                if let Some(place) = places.get_mut(row) {
                    *place = at as i64;
                }
            }
            let places = Tensor::from_data(places.as_slice(), &rows.device());
            rows.select(0, places)
        }
        None => rows,
    };
    if wanted.transposed { rows.transpose() } else { rows }
}

/// The bytes of a tensor in a file.
fn bytes(tensor: Tensor<2>) -> Result<Vec<u8>> {
    let failed = |message| LmError::Device { message };
    let data = tensor.try_into_data().map_err(|error| failed(error.to_string()))?;
    let bytes: &[u8] = data.as_bytes();
    Ok(bytes.to_vec())
}

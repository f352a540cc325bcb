//! Weights on their way back into a file.

use std::path::Path;

use burn::tensor::{DType, Tensor};
use collimate_tensors::{Dtype, Layout, SafetensorsWriter};

use crate::build::{Wanted, WantedPart};
use crate::error::{LmError, Result};
use crate::lora::{indices, places};
use crate::model::{Decoder, Layer, Projections, Slot, Weight};

impl Decoder {
    /// Writes the weights as one safetensors file, under the names and in the forms that transformers
    /// has for the family; adapters are not among them. There must be nothing at `path`.
    ///
    /// # Errors
    ///
    /// [`LmError::Write`]: the file can't be written; [`LmError::Device`]. Nothing is left behind then.
    pub fn write_weights(&self, path: impl AsRef<Path>) -> Result<()> {
        let wanted = self.stored.as_slice();
        let mut layout = Layout::new().with_metadata("format", "pt");
        let dtype = match self.dtype {
            DType::F16 => Dtype::F16,
            DType::BF16 => Dtype::BF16,
            _ => Dtype::F32,
        };
        for wanted in wanted {
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
                let rows = in_file(rows, part, wanted).cast(self.dtype);
                writer.write(&part.tensor, 0, &bytes(rows)?)?;
            }
        }
        writer.finish()?;
        Ok(())
    }

    /// All weights, vectors as columns and untracked, in the order in which a decoder is built.
    pub(crate) fn tensors(&self) -> Vec<Tensor<2>> {
        let mut decoder = self.clone();
        let tensors = decoder.slots().into_iter().map(|slot| match slot {
            Slot::Vector(vector) => vector.clone().inner().unsqueeze_dim(1),
            Slot::Matrix(matrix) => matrix.clone().inner(),
        });
        tensors.collect()
    }

    /// The places of all weights, in the order in which a decoder is built.
    pub(crate) fn slots(&mut self) -> Vec<Slot<'_>> {
        let mut slots = vec![self.embedding.slot()];
        slots.extend(self.positions.iter_mut().map(Weight::slot));
        slots.extend(self.layers.iter_mut().flat_map(Layer::slots));
        slots.extend(self.final_norm.slots());
        slots.extend(self.head.iter_mut().flat_map(Projections::slots));
        slots
    }
}

/// Rows of a decoder's matrix as the file has them.
pub(crate) fn in_file(rows: Tensor<2>, part: &WantedPart, wanted: &Wanted) -> Tensor<2> {
    let rows = match &part.order {
        Some(order) => {
            let places = indices(&places(order), &rows.device());
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

//! Embeddings of any float type: halves are read into `f32`, which holds their values exactly.

use super::{extension, npy, safetensors, shape_text};
use crate::failure::{Failure, Result};
use collimate_aqi::Element;
use half::{bf16, f16};
use ndarray::{Array3, ArrayView2, Axis, ShapeBuilder};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Values that are converted at a time.
const VALUES_AT_A_TIME: usize = 1 << 16;

/// Embeddings, `[n, layers, d]`.
#[derive(Debug)]
pub struct Embeddings<F> {
    /// The file that they come from.
    pub file: PathBuf,
    /// The values; one layer where the file holds `[n, d]`.
    pub values: Array3<F>,
    /// Whether the file holds `[n, layers, d]`.
    pub layered: bool,
    /// The type that the file holds.
    stored_as: &'static str,
}

/// Embeddings in the type that holds them. The library takes halves as they are; reading them
/// into `f32` lets this program be compiled for two types, not four.
#[derive(Debug)]
pub enum Loaded {
    F32(Embeddings<f32>),
    F64(Embeddings<f64>),
}

/// Evaluates an expression for embeddings of whichever type was loaded.
macro_rules! with_type {
    ($loaded:expr, $embeddings:ident => $do:expr) => {
        match $loaded {
            $crate::input::Loaded::F32($embeddings) => $do,
            $crate::input::Loaded::F64($embeddings) => $do,
        }
    };
}
pub(crate) use with_type;

impl Loaded {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        with_type!(self, embeddings => embeddings.values.len_of(Axis(0)))
    }

    fn into_f64(self) -> Embeddings<f64> {
        with_type!(self, embeddings => embeddings.widen(f64::from))
    }
}

/// Two sets of embeddings of one type.
#[derive(Debug)]
pub enum Pair {
    F32(Embeddings<f32>, Embeddings<f32>),
    F64(Embeddings<f64>, Embeddings<f64>),
}

impl Pair {
    /// As they are if their types agree, else both in `f64`.
    pub fn new(before: Loaded, after: Loaded) -> Self {
        match (before, after) {
            (Loaded::F32(before), Loaded::F32(after)) => Self::F32(before, after),
            (before, after) => Self::F64(before.into_f64(), after.into_f64()),
        }
    }
}

/// The float types of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FloatType {
    F16,
    Bf16,
    F32,
    F64,
}

/// Where the values of an array stand, and how they lie there.
#[derive(Debug)]
pub(super) struct Layout {
    pub shape: Vec<usize>,
    pub big_endian: bool,
    pub fortran: bool,
}

/// Reads embeddings, `[n, d]` or `[n, layers, d]`, from an `.npy` or `.safetensors` file.
pub fn load(path: &Path) -> Result<Loaded> {
    let (float, layout, values) = match extension(path).as_str() {
        "npy" => {
            let (header, file) = npy::open(path)?;
            let float = match (header.kind, header.size) {
                ('f', 2) => FloatType::F16,
                ('f', 4) => FloatType::F32,
                ('f', 8) => FloatType::F64,
                (kind, size) => {
                    return Err(Failure::in_file(
                        path,
                        format!(
                            "embeddings of NumPy type {kind}{size}: expected f2, f4 or f8 (bf16 only in .safetensors)"
                        ),
                    ));
                }
            };
            let npy::Header { shape, big_endian, fortran, .. } = header;
            (float, Layout { shape, big_endian, fortran }, file)
        }
        "safetensors" => safetensors::open(path)?,
        _ => {
            let message = "expected a file named .npy or .safetensors: export embeddings as one";
            return Err(Failure::in_file(path, message));
        }
    };
    Ok(match float {
        FloatType::F16 => Loaded::F32(Embeddings::read::<f16>(path, &layout, values)?),
        FloatType::Bf16 => Loaded::F32(Embeddings::read::<bf16>(path, &layout, values)?),
        FloatType::F32 => Loaded::F32(Embeddings::read::<f32>(path, &layout, values)?),
        FloatType::F64 => Loaded::F64(Embeddings::read::<f64>(path, &layout, values)?),
    })
}

impl<F: Element> Embeddings<F> {
    fn read<S: Stored>(path: &Path, layout: &Layout, values: impl Read) -> Result<Self>
    where
        F: From<S>,
    {
        let shape = match layout.shape[..] {
            [n, d] => [n, 1, d],
            [n, layers, d] => [n, layers, d],
            _ => {
                let shape = shape_text(&layout.shape);
                let message =
                    format!("embeddings of shape {shape}: expected [n, d] or [n, layers, d]");
                return Err(Failure::in_file(path, message));
            }
        };
        if let Some(axis) = shape.iter().position(|&length| length == 0) {
            let what = ["rows", "layers", "dimensions"][axis];
            let shape = shape_text(&layout.shape);
            let message = format!("embeddings of shape {shape} have no {what}: pass at least one");
            return Err(Failure::in_file(path, message));
        }
        let count = shape.iter().product();
        let values = read_values::<S, F>(values, count, layout.big_endian)
            .map_err(|reason| Failure::in_file(path, reason))?;
        let values = Array3::from_shape_vec(shape.set_f(layout.fortran), values)
            .map_err(|error| Failure::in_file(path, error))?;
        let values = if layout.fortran { values.as_standard_layout().into_owned() } else { values };
        Ok(Self {
            file: path.to_owned(),
            values,
            layered: layout.shape.len() == 3,
            stored_as: S::NAME,
        })
    }
}

impl<F: Element> Embeddings<F> {
    /// The layer of that index, or the last: `[n, d]`, and the index.
    pub fn layer(&self, layer: Option<usize>) -> Result<(usize, ArrayView2<'_, F>)> {
        let layers = self.values.len_of(Axis(1));
        let layer = layer.unwrap_or(layers - 1);
        if layer >= layers {
            let message = format!("no layer {layer}: there are layers 0 to {}", layers - 1);
            return Err(Failure::in_file(&self.file, message));
        }
        Ok((layer, self.values.index_axis(Axis(1), layer)))
    }

    /// Refuses the first NaN or infinity in some of the layers.
    pub fn check_finite(&self, layer: Option<usize>) -> Result<()> {
        for (row, layers) in self.values.outer_iter().enumerate() {
            for (at, values) in layers.outer_iter().enumerate() {
                if layer.is_some_and(|layer| layer != at) {
                    continue;
                }
                let Some(column) = values.iter().position(|value| !value.to_f64().is_finite())
                else {
                    continue;
                };
                let layer = if self.layered { format!(", layer {at}") } else { String::new() };
                let message = format!(
                    "row {row}{layer}, column {column} (from zero) is {}: remove the row, or pass --skip-non-finite",
                    values[column].to_f64()
                );
                return Err(Failure::in_file(&self.file, message));
            }
        }
        Ok(())
    }

    /// The rows that hold no NaN and no infinity in any layer.
    pub fn finite_rows(&self) -> Vec<usize> {
        let rows = self.values.outer_iter().enumerate();
        rows.filter(|(_, row)| row.iter().all(|value| value.to_f64().is_finite()))
            .map(|(row, _)| row)
            .collect()
    }

    /// What the embeddings are and which layer is scored, in words.
    pub fn description(&self, layer: usize) -> String {
        let (n, layers, d) = self.values.dim();
        let (file, stored_as) = (self.file.display(), self.stored_as);
        if !self.layered {
            return format!("{file}: {n} rows, {d} dimensions, {stored_as}");
        }
        let last = if layer + 1 == layers { ", the last" } else { "" };
        format!(
            "{file}: {n} rows, {layers} layers, {d} dimensions, {stored_as}; headline: layer {layer}{last}"
        )
    }

    fn widen<W>(self, widened: impl FnMut(F) -> W) -> Embeddings<W> {
        let Self { file, values, layered, stored_as } = self;
        Embeddings { file, values: values.mapv(widened), layered, stored_as }
    }
}

/// A float type as files hold it.
pub trait Stored: Element {
    const BYTES: usize;

    fn from_bytes(bytes: &[u8], big_endian: bool) -> Self;
}

macro_rules! stored {
    ($($type:ty),*) => {$(
        impl Stored for $type {
            const BYTES: usize = size_of::<$type>();

            fn from_bytes(bytes: &[u8], big_endian: bool) -> Self {
                let mut array = [0; size_of::<$type>()];
                array.copy_from_slice(bytes);
                if big_endian { Self::from_be_bytes(array) } else { Self::from_le_bytes(array) }
            }
        }
    )*};
}
stored!(f16, bf16, f32, f64);

/// Reads `count` values, whose bytes are known to be there.
fn read_values<S: Stored, F: From<S>>(
    mut file: impl Read,
    count: usize,
    big_endian: bool,
) -> Result<Vec<F>, String> {
    let mut values = Vec::new();
    values.try_reserve_exact(count).map_err(|_| {
        format!("{count} values of {} do not fit into memory: score fewer rows", S::NAME)
    })?;
    let mut bytes = vec![0; VALUES_AT_A_TIME.min(count) * S::BYTES];
    while values.len() < count {
        let now = VALUES_AT_A_TIME.min(count - values.len()) * S::BYTES;
        file.read_exact(&mut bytes[..now]).map_err(|error| error.to_string())?;
        let chunks = bytes[..now].chunks_exact(S::BYTES);
        values.extend(chunks.map(|value| F::from(S::from_bytes(value, big_endian))));
    }
    Ok(values)
}

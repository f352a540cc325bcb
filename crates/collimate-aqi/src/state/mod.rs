//! State files: moments that can be stored, sent and merged, without the embeddings.

mod header;

use crate::error::{AqiError, Result};
use crate::moments::{ClassMoments, Moments, times_power_of_two};
use header::{Header, HeaderMetadata, TensorInfo};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

/// Where the rows of a state come from. `None` is "not recorded".
///
/// States are merged only if model, tokenizer, layer and transform are the same in both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateMetadata {
    /// Hash, or name and revision, of the model.
    pub model: Option<String>,
    /// Hash of the tokenizer.
    pub tokenizer: Option<String>,
    /// The layer, or how layers were pooled.
    pub layer: Option<String>,
    /// Hash or description of the transform that was applied to the rows.
    pub transform: Option<String>,
    /// Element types in which the rows were stored, for example `"bf16"`; several after a merge.
    pub dtypes: BTreeSet<String>,
    /// Rows that were left out because they held NaN or infinity.
    pub skipped_rows: u64,
}

impl StateMetadata {
    /// Sets the hash, or name and revision, of the model.
    #[must_use]
    pub fn with_model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Sets the hash of the tokenizer.
    #[must_use]
    pub fn with_tokenizer(mut self, tokenizer: impl Into<String>) -> Self {
        self.tokenizer = Some(tokenizer.into());
        self
    }

    /// Sets the layer, or how layers were pooled.
    #[must_use]
    pub fn with_layer(mut self, layer: impl Into<String>) -> Self {
        self.layer = Some(layer.into());
        self
    }

    /// Sets the hash or description of the transform.
    #[must_use]
    pub fn with_transform(mut self, transform: impl Into<String>) -> Self {
        self.transform = Some(transform.into());
        self
    }

    /// Adds an element type in which rows were stored.
    #[must_use]
    pub fn with_dtype(mut self, dtype: impl Into<String>) -> Self {
        self.dtypes.insert(dtype.into());
        self
    }

    /// Sets the number of rows that were left out.
    #[must_use]
    pub fn with_skipped_rows(mut self, rows: u64) -> Self {
        self.skipped_rows = rows;
        self
    }
}

/// [`Moments`] together with where they come from, as a state file holds them.
///
/// The file is in safetensors format: `count` (`U64`, `[k]`), `weight` and `weight_squared`
/// (`F64`, `[k]`), `mean` and `scatter` (`F64`, `[k, d]`) for `k` classes in `d` dimensions, and a
/// metadata map. It holds no embedding. The same state always gives the same bytes, and reading
/// gives back the same bits.
///
/// Files may come from anywhere: sizes, shapes and values are checked before they are used, and
/// what can't be the state of any rows is an error.
///
/// ```
/// use collimate_aqi::{Labels, Moments, State, StateMetadata};
/// use ndarray::array;
/// let rows = array![[0.0_f32], [2.0], [10.0], [12.0]];
/// let moments = Moments::from_rows(rows.view(), &Labels::new([0, 0, 1, 1])?)?;
/// let state = State::new(moments, StateMetadata::default().with_layer("16").with_dtype("f32"));
/// let bytes = state.to_bytes()?;
/// assert_eq!(State::from_bytes(&bytes)?, state);
/// assert!(State::from_bytes(&bytes[1..]).is_err());
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct State {
    /// The moments.
    pub moments: Moments,
    /// Where they come from.
    pub metadata: StateMetadata,
}

/// Largest file that is read, 1 GiB.
const MAX_BYTES: u64 = 1 << 30;
/// Most classes; what is computed from a state takes the square of their number.
const MAX_CLASSES: usize = 4096;
/// Most rows of a class: above, counts are not whole numbers in `f64`.
const MAX_COUNT: u64 = 1 << 53;
/// Exponents that a chunk of `f64` can have.
const EXPONENTS: std::ops::RangeInclusive<i32> = -1074..=1023;

impl State {
    /// Moments and where they come from.
    #[must_use]
    pub fn new(moments: Moments, metadata: StateMetadata) -> Self {
        Self { moments, metadata }
    }

    /// Joins the states of two disjoint sets of rows of the same origin.
    ///
    /// # Errors
    /// [`AqiError::Incompatible`] if models, tokenizers, layers, transforms, dimensions or classes
    /// differ; the state then stays as it was.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let (ours, theirs) = (&self.metadata, &other.metadata);
        for (what, left, right) in [
            ("models", &ours.model, &theirs.model),
            ("tokenizers", &ours.tokenizer, &theirs.tokenizer),
            ("layers", &ours.layer, &theirs.layer),
            ("transforms", &ours.transform, &theirs.transform),
        ] {
            if left != right {
                let shown = |value: &Option<String>| {
                    value.clone().unwrap_or_else(|| "(not recorded)".to_owned())
                };
                return Err(AqiError::Incompatible {
                    what,
                    left: shown(left),
                    right: shown(right),
                });
            }
        }
        let skipped_rows = ours.skipped_rows.saturating_add(theirs.skipped_rows);
        self.moments.merge(&other.moments)?;
        self.metadata.skipped_rows = skipped_rows;
        self.metadata.dtypes.extend(theirs.dtypes.iter().cloned());
        Ok(())
    }

    /// The bytes of a state file.
    ///
    /// # Errors
    /// [`AqiError::State`] for a state that [`from_bytes`](Self::from_bytes) would not accept:
    /// classes of the same name, more than 4096 classes, weights outside `2^±100`.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        check(&self.moments)?;
        let classes = &self.moments.classes;
        let (k, d) = (classes.len(), self.moments.dim);
        let mut end = 0;
        let mut tensor = |dtype: &str, shape: &[usize]| {
            let start = end;
            end += 8 * shape.iter().product::<usize>() as u64;
            TensorInfo {
                dtype: dtype.to_owned(),
                shape: shape.iter().map(|&length| length as u64).collect(),
                data_offsets: [start, end],
            }
        };
        let header = Header {
            metadata: HeaderMetadata::new(&self.moments, &self.metadata)?,
            count: tensor("U64", &[k]),
            weight: tensor("F64", &[k]),
            weight_squared: tensor("F64", &[k]),
            mean: tensor("F64", &[k, d]),
            scatter: tensor("F64", &[k, d]),
        };
        let mut bytes = header.to_bytes()?;
        let mut append = |words: &mut dyn Iterator<Item = u64>| {
            words.for_each(|word| bytes.extend(word.to_le_bytes()));
        };
        append(&mut classes.iter().map(|class| class.count));
        append(&mut classes.iter().map(|class| class.weight.to_bits()));
        append(&mut classes.iter().map(|class| class.weight_squared.to_bits()));
        append(&mut classes.iter().flat_map(|class| &class.mean).map(|x| x.to_bits()));
        append(&mut classes.iter().flat_map(|class| &class.scatter).map(|x| x.to_bits()));
        Ok(bytes)
    }

    /// The state in the bytes of a state file.
    ///
    /// # Errors
    /// [`AqiError::State`] for bytes that are not a state of this format or that can't be the
    /// state of any rows.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let (header, data) = Header::split(bytes)?;
        header.check_layout(data.len())?;
        let (names, exponent, metadata) = header.metadata.parse()?;
        if names.len() > MAX_CLASSES {
            return Err(invalid(format!(
                "{} classes, where at most {MAX_CLASSES} are accepted",
                names.len()
            )));
        }
        let k = names.len();
        let d = header.mean.columns()?;
        let count = header.count.words("count", "U64", &[k], data)?;
        let weight = header.weight.words("weight", "F64", &[k], data)?;
        let squared = header.weight_squared.words("weight_squared", "F64", &[k], data)?;
        let mean = header.mean.words("mean", "F64", &[k, d], data)?;
        let scatter = header.scatter.words("scatter", "F64", &[k, d], data)?;
        let floats = |words: &[u64]| words.iter().copied().map(f64::from_bits).collect();
        let classes = (0..k)
            .map(|c| ClassMoments {
                count: count[c],
                weight: f64::from_bits(weight[c]),
                weight_squared: f64::from_bits(squared[c]),
                mean: floats(&mean[c * d..(c + 1) * d]),
                scatter: floats(&scatter[c * d..(c + 1) * d]),
            })
            .collect();
        let moments = Moments { dim: d, names, exponent, classes };
        check(&moments)?;
        Ok(Self { moments, metadata })
    }

    /// Writes a state file, whole or not at all: the bytes are written beside `path`, synced,
    /// and renamed.
    ///
    /// # Errors
    /// As [`to_bytes`](Self::to_bytes); [`AqiError::Io`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let bytes = self.to_bytes().map_err(|error| located(error, path))?;
        write_beside(path, &bytes)
            .and_then(|beside| {
                fs::rename(&beside, path).map_err(|error| discard(&beside, error))?;
                sync_folder(path)
            })
            .map_err(|source| io(path, source))
    }

    /// Reads a state file of at most 1 GiB.
    ///
    /// # Errors
    /// As [`from_bytes`](Self::from_bytes), with the path; [`AqiError::Io`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|source| io(path, source))?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|source| io(path, source))?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(located(invalid(format!("larger than {MAX_BYTES} bytes")), path));
        }
        Self::from_bytes(&bytes).map_err(|error| located(error, path))
    }
}

/// Checks that the moments can be those of some rows, so that nothing that is computed from them
/// can overflow or divide by zero.
fn check(moments: &Moments) -> Result<()> {
    let distinct: BTreeSet<&String> = moments.names.iter().collect();
    if distinct.len() != moments.names.len() {
        return Err(invalid("two classes have the same name"));
    }
    if moments.names.len() > MAX_CLASSES {
        return Err(invalid(format!("more than {MAX_CLASSES} classes")));
    }
    let exponent = moments.exponent.unwrap_or(0);
    if !EXPONENTS.contains(&exponent) {
        return Err(invalid(format!("exponent {exponent}, expected {EXPONENTS:?}")));
    }
    let mut largest = 0.0_f64;
    for (class, name) in moments.classes.iter().zip(&moments.names) {
        check_class(class, exponent).map_err(|what| invalid(format!("class {name:?}: {what}")))?;
        if class.weight > 0.0 {
            let spread = class.scatter.iter().map(|s| (s / class.weight).sqrt());
            largest = spread.fold(largest, f64::max);
        }
        largest = class.mean.iter().fold(largest, |max, m| max.max(m.abs()));
    }
    if moments.exponent.is_none() && largest > 0.0 {
        return Err(invalid("values other than zero without an exponent"));
    }
    if largest > 0.0 && largest < f64::powi(2.0, -400) {
        return Err(invalid("values too small for their exponent"));
    }
    Ok(())
}

fn check_class(class: &ClassMoments, exponent: i32) -> Result<(), &'static str> {
    // Rounding of sums over any number of rows.
    const SLACK: f64 = 1e-6;
    let ClassMoments { count, weight, weight_squared, mean, scatter } = class;
    if *count > MAX_COUNT {
        return Err("more than 2^53 rows");
    }
    if !(weight.is_finite() && weight_squared.is_finite()) {
        return Err("a weight that is not finite");
    }
    if *weight < 0.0 || *weight_squared < 0.0 {
        return Err("a negative weight");
    }
    if !mean.iter().chain(scatter).all(|value| value.is_finite()) {
        return Err("a mean or a scatter that is not finite");
    }
    if scatter.iter().any(|value| *value < 0.0) {
        return Err("a negative scatter");
    }
    if *weight == 0.0 {
        let empty =
            *count == 0 && *weight_squared == 0.0 && mean.iter().chain(scatter).all(|x| *x == 0.0);
        return if empty { Ok(()) } else { Err("rows without weight") };
    }
    if !(f64::powi(2.0, -100)..=f64::powi(2.0, 100)).contains(weight) {
        return Err("a weight outside 2^-100 to 2^100");
    }
    let effective = weight * weight / weight_squared;
    if !(1.0 - SLACK..=*count as f64 * (1.0 + SLACK)).contains(&effective) {
        return Err("weights that no such number of rows can have");
    }
    if mean.iter().any(|m| m.abs() > f64::powi(2.0, 301)) {
        return Err("a mean too large for its exponent");
    }
    if scatter.iter().any(|s| *s > weight * f64::powi(2.0, 604)) {
        return Err("a scatter too large for its exponent");
    }
    if mean.iter().any(|m| times_power_of_two(*m, exponent).is_infinite()) {
        return Err("a mean that overflows");
    }
    if *count == 1 && scatter.iter().any(|s| *s > 0.0) {
        return Err("scatter of a single row");
    }
    Ok(())
}

/// A state error without a source.
fn invalid(reason: impl Into<String>) -> AqiError {
    AqiError::State { path: None, reason: reason.into(), source: None }
}

/// The same error with the file that it is about.
fn located(error: AqiError, file: &Path) -> AqiError {
    match error {
        AqiError::State { reason, source, .. } => {
            AqiError::State { path: Some(file.to_owned()), reason, source }
        }
        other => other,
    }
}

fn io(path: &Path, source: std::io::Error) -> AqiError {
    AqiError::Io { path: path.to_owned(), source }
}

/// Writes a new file in the folder of `path` under a name that no other writer uses.
fn write_beside(path: &Path, bytes: &[u8]) -> std::io::Result<PathBuf> {
    let mut attempt = 0;
    loop {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}-{attempt}.partial", std::process::id()));
        let beside = path.with_file_name(name);
        let mut file = match OpenOptions::new().write(true).create_new(true).open(&beside) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < 1000 => {
                attempt += 1;
                continue;
            }
            file => file?,
        };
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        return match written {
            Ok(()) => Ok(beside),
            Err(error) => Err(discard(&beside, error)),
        };
    }
}

/// Removes what was written; the error that matters is the one that came first.
fn discard(partial: &Path, error: std::io::Error) -> std::io::Error {
    let _ = fs::remove_file(partial);
    error
}

/// Makes a rename durable, where the system lets folders be synced.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    if cfg!(unix) {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        return match File::open(folder)?.sync_all() {
            Err(error) if is_unsupported(&error) => Ok(()),
            synced => synced,
        };
    }
    Ok(())
}

/// Some network file systems can't sync folders.
fn is_unsupported(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput)
}

//! What weight files hold, read from their headers and tables alone.

pub(crate) mod gguf;
mod index;
mod numbered;
mod tally;

use std::collections::{BTreeMap, BTreeSet};

use collimate_tensors::{
    NameHasher, NameSum, PickleError, PickleTable, SafetensorsError, SafetensorsHeader,
};
use serde::Serialize;

pub use gguf::{GgufError, GgufHeader, GgufTensor};

use self::index::Index;
use self::numbered::Numbered;
use self::tally::Tally;
use crate::folder::{Folder, unreadable};
use crate::problem::Problem;

/// The weights of one model, as their headers describe them.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Weights {
    /// The form that they are stored in.
    pub format: WeightFormat,
    /// The files that hold them, in the order of their names. Those that are missing are not here.
    pub files: Vec<WeightFile>,
    /// Number of tensors.
    pub tensors: u64,
    /// Number of stored elements. A tied output head that is stored all the same counts twice, and
    /// packed quantized elements count as what they are packed into.
    pub parameters: u64,
    /// Bytes of all tensors, without headers.
    pub bytes: u64,
    /// Elements by the type they are stored as (`BF16`, `F32`, `Q4_K`, …), in the files that could
    /// be read.
    pub dtypes: BTreeMap<String, u64>,
    /// Where the numbers come from.
    pub counted_from: CountedFrom,
}

/// A form in which weights are stored.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum WeightFormat {
    /// `*.safetensors`.
    Safetensors,
    /// `pytorch_model*.bin`: pickles, never executed.
    Pickle,
    /// `*.gguf`.
    Gguf,
}

/// One file of weights.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WeightFile {
    /// Its name, relative to the model's folder.
    pub name: String,
    /// Bytes on disk.
    pub bytes: u64,
}

/// Where the counts of [`Weights`] come from.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum CountedFrom {
    /// The header of every file: exact.
    Headers,
    /// The totals of the index, because a file is missing or broken. Where it states no number of
    /// parameters, its bytes are divided by the size of the one type that the readable files have.
    Index,
    /// The headers of some files alone, because a file is missing or broken and no index states
    /// totals: the model has more than is counted.
    Partial,
}

/// Looks at the weights that transformers would load from this folder: `model.safetensors`, then its
/// index, then `pytorch_model.bin`, then its index, then numbered shards, whose index is missing.
/// Nothing where there is none of them or nothing can be counted.
pub(crate) fn inspect(folder: &Folder, problems: &mut Vec<Problem>) -> Option<Weights> {
    const SAFETENSORS: WeightFormat = WeightFormat::Safetensors;
    const PICKLE: WeightFormat = WeightFormat::Pickle;
    for (format, single, index) in [
        (SAFETENSORS, "model.safetensors", "model.safetensors.index.json"),
        (PICKLE, "pytorch_model.bin", "pytorch_model.bin.index.json"),
    ] {
        if folder.has(single) {
            return Inspection::new(folder, format, problems).single(single);
        }
        if folder.has(index) {
            return Inspection::new(folder, format, problems).indexed(index);
        }
    }
    for (format, stem, extension, index) in [
        (SAFETENSORS, "model", "safetensors", "model.safetensors.index.json"),
        (PICKLE, "pytorch_model", "bin", "pytorch_model.bin.index.json"),
    ] {
        let shards: Vec<_> = folder
            .files()
            .iter()
            .filter_map(|file| Numbered::parse(file))
            .filter(|shard| shard.stem == stem && shard.extension == extension)
            .collect();
        if !shards.is_empty() {
            problems.push(Problem::MissingFile {
                file: index.to_owned(),
                reason: "the weights are in several files, and it says which tensor is where"
                    .to_owned(),
            });
            return Inspection::new(folder, format, problems).numbered(&shards);
        }
    }
    None
}

/// Looks at the weights that PEFT would load from an adapter's folder: `adapter_model.safetensors`,
/// then `adapter_model.bin`. Nothing where there is neither or nothing can be counted.
pub(crate) fn inspect_adapter(folder: &Folder, problems: &mut Vec<Problem>) -> Option<Weights> {
    for (format, file) in [
        (WeightFormat::Safetensors, "adapter_model.safetensors"),
        (WeightFormat::Pickle, "adapter_model.bin"),
    ] {
        if folder.has(file) {
            return Inspection::new(folder, format, problems).single(file);
        }
    }
    None
}

/// The weights of one folder, in one format, while they are looked at.
struct Inspection<'a> {
    folder: &'a Folder,
    format: WeightFormat,
    problems: &'a mut Vec<Problem>,
    tally: Tally,
    /// The key of the hashes by which sets of names are compared.
    names: NameHasher,
}

impl<'a> Inspection<'a> {
    fn new(folder: &'a Folder, format: WeightFormat, problems: &'a mut Vec<Problem>) -> Self {
        Self { folder, format, problems, tally: Tally::default(), names: NameHasher::new() }
    }

    fn single(mut self, file: &str) -> Option<Weights> {
        self.count(file);
        self.tally.finish(self.format)
    }

    fn numbered(mut self, shards: &[Numbered<'_>]) -> Option<Weights> {
        let counts: BTreeSet<_> = shards.iter().map(|shard| shard.count).collect();
        for &count in &counts {
            let mut present = shards.iter().filter(|shard| shard.count == count).peekable();
            let Some(&&first) = present.peek() else { continue };
            let named_by = first.sibling(first.number);
            for number in 1..=count {
                let file = first.sibling(number);
                if present.next_if(|shard| shard.number == number).is_some() {
                    self.count(&file);
                } else {
                    self.tally.uncounted += 1;
                    self.problems.push(Problem::MissingShard { file, named_by: named_by.clone() });
                }
            }
            if counts.len() > 1 {
                self.problems.push(Problem::Invalid {
                    file: named_by,
                    message: "the folder holds shards of another number of files too".to_owned(),
                });
            }
        }
        self.tally.finish(self.format)
    }

    fn indexed(mut self, file: &str) -> Option<Weights> {
        let index = match Index::read(self.folder, file, &self.names, self.problems) {
            Ok(index) => index,
            Err(problem) => {
                self.problems.push(problem);
                return None;
            }
        };
        for shard in index.shards() {
            if !index::exists(self.folder, &shard.file) {
                self.tally.uncounted += 1;
                self.problems.push(Problem::MissingShard {
                    file: shard.file.clone(),
                    named_by: file.to_owned(),
                });
            } else if let Some(found) = self.count(&shard.file)
                && !found.holds(shard.names)
                && let Some(missing) = index.missing(shard, &found)
            {
                self.problems.push(missing);
            }
        }
        index.finish(self.tally, self.format)
    }

    /// Counts one file; nothing where it can't be read, which is then among the problems.
    fn count(&mut self, file: &str) -> Option<Names> {
        let names = match self.format {
            WeightFormat::Safetensors => self.count_safetensors(file),
            WeightFormat::Pickle => self.count_pickle(file),
            WeightFormat::Gguf => None,
        };
        match names {
            Some(_) => self.tally.counted += 1,
            None => self.tally.uncounted += 1,
        }
        names
    }

    fn count_safetensors(&mut self, file: &str) -> Option<Names> {
        let (mut opened, bytes) = self.open(file)?;
        let path = self.folder.path().join(file);
        let read = SafetensorsHeader::scan(&mut opened, &path, bytes, &self.names);
        let header = match read {
            Ok(header) => header,
            Err(error) => {
                self.problems.push(safetensors_problem(file, &error));
                return None;
            }
        };
        if let Err(error) = header.check_length(bytes) {
            self.problems.push(safetensors_problem(file, &error));
        }
        self.tally.tensors += header.len();
        self.tally.add_bytes(header.data_len());
        for (dtype, elements) in header.elements() {
            self.tally.add_elements(dtype.name(), elements);
        }
        Some(Names::Safetensors(Box::new(header)))
    }

    fn count_pickle(&mut self, file: &str) -> Option<Names> {
        self.problems.push(Problem::Pickle { file: file.to_owned() });
        self.open(file)?;
        let table = match PickleTable::read(self.folder.path().join(file)) {
            Ok(table) => table,
            Err(error) => {
                self.problems.push(pickle_problem(file, &error));
                return None;
            }
        };
        let mut sum = NameSum::default();
        let mut names = Vec::with_capacity(table.tensors().len());
        for tensor in table.tensors() {
            self.tally.tensors += 1;
            self.tally.add_bytes(tensor.bytes());
            self.tally.add_elements(tensor.dtype.name(), tensor.elements());
            sum.add(self.names.hash(tensor.name.as_bytes()));
            names.push(tensor.name.clone());
        }
        Some(Names::Pickle { names, sum })
    }

    /// Opens a file and lists it among those that are there.
    fn open(&mut self, file: &str) -> Option<(std::fs::File, u64)> {
        match self.folder.open(file) {
            Ok((opened, bytes)) => {
                self.tally.files.push(WeightFile { name: file.to_owned(), bytes });
                Some((opened, bytes))
            }
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }
}

/// The names of the tensors in a file.
enum Names {
    Safetensors(Box<SafetensorsHeader>),
    Pickle { names: Vec<String>, sum: NameSum },
}

impl Names {
    /// Whether these are exactly the names that were summed up.
    fn holds(&self, expected: NameSum) -> bool {
        match self {
            Self::Safetensors(header) => header.names() == expected,
            Self::Pickle { sum, .. } => *sum == expected,
        }
    }

    fn each(&self, mut function: impl FnMut(&str)) {
        match self {
            Self::Safetensors(header) => header.each_name(function),
            Self::Pickle { names, .. } => names.iter().for_each(|name| function(name)),
        }
    }
}

fn safetensors_problem(file: &str, error: &SafetensorsError) -> Problem {
    let file = file.to_owned();
    match *error {
        SafetensorsError::LfsPointer => Problem::LfsPointer { file },
        SafetensorsError::Truncated { expected, found } => {
            Problem::Truncated { file, expected, found }
        }
        SafetensorsError::Io { ref source, .. } => unreadable(&file, source),
        ref error => Problem::Invalid { file, message: error.to_string() },
    }
}

fn pickle_problem(file: &str, error: &PickleError) -> Problem {
    match error {
        PickleError::LfsPointer => Problem::LfsPointer { file: file.to_owned() },
        PickleError::Io { source, .. } => unreadable(file, source),
        error => Problem::Invalid { file: file.to_owned(), message: error.to_string() },
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

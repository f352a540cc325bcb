//! `*.index.json`: which tensor is in which file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::error::{Result, TensorsError};

/// Most bytes that are read of an index.
const BYTE_LIMIT: u64 = 64 << 20;
/// Most files that one index may name: far beyond what any model has.
const FILE_LIMIT: usize = 10_000;

/// Whether a path that a file names stays in its folder, on every system: it is relative, without
/// `..`, without a drive.
pub fn stays_inside(path: &str) -> bool {
    let drive = path.as_bytes().get(1) == Some(&b':');
    !drive
        && !path.contains(['\\', '\0'])
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// The names of the tensors, by the file that they are placed in.
pub(super) fn read(index: &Path) -> Result<BTreeMap<String, BTreeSet<String>>> {
    let failed = |source| TensorsError::Io { path: index.to_owned(), source };
    let metadata = fs::metadata(index).map_err(failed)?;
    if !metadata.is_file() {
        return Err(TensorsError::NotAFile { path: index.to_owned() });
    }
    let (found, limit) = (metadata.len(), BYTE_LIMIT);
    if found > limit {
        return Err(TensorsError::IndexTooLarge { index: index.to_owned(), found, limit });
    }
    // No more than was there when it was looked at.
    let mut json = Vec::with_capacity(found as usize);
    let file = File::open(index).map_err(failed)?;
    file.take(found).read_to_end(&mut json).map_err(failed)?;
    let Index { weight_map: WeightMap(files) } = serde_json::from_slice(&json)
        .map_err(|source| TensorsError::Index { index: index.to_owned(), source })?;
    match files.keys().find(|file| !stays_inside(file)) {
        Some(file) => Err(TensorsError::UnsafePath { index: index.to_owned(), file: file.clone() }),
        None => Ok(files),
    }
}

#[derive(Deserialize)]
#[serde(expecting = "an object with a weight_map")]
struct Index {
    weight_map: WeightMap,
}

struct WeightMap(BTreeMap<String, BTreeSet<String>>);

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct WeightMapVisitor;

        impl<'de> Visitor<'de> for WeightMapVisitor {
            type Value = WeightMap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of file names by the names of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<WeightMap, A::Error> {
                let mut seen = BTreeSet::new();
                let mut files: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
                while let Some((tensor, file)) = map.next_entry::<String, String>()? {
                    if !seen.insert(tensor.clone()) {
                        return Err(A::Error::custom(format_args!(
                            "it places tensor {tensor:?} twice"
                        )));
                    }
                    files.entry(file).or_default().insert(tensor);
                    if files.len() > FILE_LIMIT {
                        return Err(A::Error::custom(format_args!(
                            "it names more than {FILE_LIMIT} files"
                        )));
                    }
                }
                if files.is_empty() {
                    return Err(A::Error::custom("its weight_map names no tensor"));
                }
                Ok(WeightMap(files))
            }
        }

        deserializer.deserialize_map(WeightMapVisitor)
    }
}

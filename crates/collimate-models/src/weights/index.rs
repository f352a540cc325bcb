//! `*.index.json`: which tensor is in which shard.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::fs;

use collimate_tensors::{NameHasher, NameSum, is_lfs_pointer, stays_inside};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor,
};

use super::tally::Tally;
use super::{CountedFrom, Names, WeightFormat, Weights};
use crate::folder::{Folder, INDEX_JSON};
use crate::problem::Problem;

/// Most files that one index may name: far beyond what any model has.
const SHARD_LIMIT: usize = 10_000;

/// An index, without the names of the tensors.
#[derive(Debug)]
pub(super) struct Index {
    file: String,
    json: Vec<u8>,
    /// The names of the tensors by the file they are placed in, once they were asked for.
    placed: OnceCell<HashMap<String, BTreeSet<String>>>,
    /// In the order of their names.
    shards: Vec<Shard>,
    tensors: u64,
    total_size: Option<u64>,
    total_parameters: Option<u64>,
    /// Whether the index names a file that may not be opened.
    unsafe_path: bool,
}

/// A file that an index names.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) file: String,
    /// The tensors that the index places in it.
    pub(super) names: NameSum,
}

impl Index {
    pub(super) fn read(
        folder: &Folder,
        file: &str,
        names: &NameHasher,
        problems: &mut Vec<Problem>,
    ) -> Result<Self, Problem> {
        let json = folder.read(file, INDEX_JSON)?;
        if is_lfs_pointer(&json) {
            return Err(Problem::LfsPointer { file: file.to_owned() });
        }
        let invalid = |message: String| Problem::Invalid { file: file.to_owned(), message };
        let mut deserializer = serde_json::Deserializer::from_slice(&json);
        let outer = OuterSeed(names)
            .deserialize(&mut deserializer)
            .and_then(|outer| deserializer.end().map(|()| outer))
            .map_err(|error| invalid(error.to_string()))?;
        let placed = outer.weight_map.ok_or_else(|| invalid("it has no weight_map".to_owned()))?;
        if placed.is_empty() {
            return Err(invalid("its weight_map names no tensor".to_owned()));
        }

        let mut index = Self {
            file: file.to_owned(),
            shards: Vec::with_capacity(placed.len()),
            tensors: placed.values().map(|names| names.count()).sum(),
            total_size: total(file, "metadata.total_size", outer.total_size, problems),
            total_parameters: total(
                file,
                "metadata.total_parameters",
                outer.total_parameters,
                problems,
            ),
            unsafe_path: false,
            json: Vec::new(),
            placed: OnceCell::new(),
        };
        for (path, names) in placed {
            if stays_inside(&path) {
                index.shards.push(Shard { file: path, names });
            } else {
                index.unsafe_path = true;
                problems.push(Problem::UnsafePath { file: file.to_owned(), path });
            }
        }
        index.json = json;
        Ok(index)
    }

    pub(super) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// The problem with a shard that lacks tensors; nothing where it only has others beside them.
    pub(super) fn missing(&self, shard: &Shard, found: &Names) -> Option<Problem> {
        let mut missing = self.placed.get_or_init(|| placed(&self.json)).get(&shard.file)?.clone();
        found.each(|name| {
            missing.remove(name);
        });
        Some(Problem::MissingTensor {
            file: shard.file.clone(),
            tensor: missing.first()?.clone(),
            count: missing.len() as u64,
            index: self.file.clone(),
        })
    }

    /// The weights, by the totals of the index where a file could not be counted.
    pub(super) fn finish(&self, tally: Tally, format: WeightFormat) -> Option<Weights> {
        let complete = tally.uncounted == 0 && !self.unsafe_path;
        let files = tally.files.clone();
        let dtypes: Vec<_> = tally.dtypes.keys().copied().collect();
        let (counted_parameters, counted_bytes) = (tally.parameters, tally.bytes);
        let weights = tally.finish(format);
        if complete {
            return weights;
        }
        let parameters = self.total_parameters.or_else(|| match dtypes[..] {
            // All elements that were seen have one size: so have the others.
            [_] if counted_parameters > 0 => {
                let bits = counted_bytes.checked_mul(8)? / counted_parameters;
                self.total_size?.checked_mul(8)?.checked_div(bits)
            }
            _ => None,
        });
        let (Some(parameters), Some(bytes)) = (parameters, self.total_size) else {
            return weights
                .map(|weights| Weights { counted_from: CountedFrom::Partial, ..weights });
        };
        Some(Weights {
            format,
            files: weights.as_ref().map_or(files, |weights| weights.files.clone()),
            tensors: self.tensors,
            parameters,
            bytes,
            dtypes: weights.map(|weights| weights.dtypes).unwrap_or_default(),
            counted_from: CountedFrom::Index,
        })
    }
}

/// Whether there is anything of this name, be it a link that leads nowhere.
pub(super) fn exists(folder: &Folder, file: &str) -> bool {
    match file.contains('/') {
        true => fs::symlink_metadata(folder.path().join(file)).is_ok(),
        false => folder.has(file) || folder.folders().iter().any(|name| name == file),
    }
}

/// The second reading of an index, which keeps names.
fn placed(json: &[u8]) -> HashMap<String, BTreeSet<String>> {
    #[derive(serde::Deserialize)]
    struct Names {
        weight_map: BTreeMap<String, String>,
    }

    let names = serde_json::from_slice::<Names>(json).map(|names| names.weight_map);
    // It was read once: this can't fail.
    debug_assert!(names.is_ok());
    let mut placed: HashMap<_, BTreeSet<_>> = HashMap::new();
    for (tensor, file) in names.unwrap_or_default() {
        placed.entry(file).or_default().insert(tensor);
    }
    placed
}

/// A total of the index. Old ones were written as floating-point numbers.
fn total(
    file: &str,
    field: &str,
    value: Option<Number>,
    problems: &mut Vec<Problem>,
) -> Option<u64> {
    match value? {
        Number::Count(count) => Some(count),
        Number::Other => {
            problems.push(Problem::Field {
                file: file.to_owned(),
                field: field.to_owned(),
                message: "is not a number of things".to_owned(),
            });
            None
        }
    }
}

enum Number {
    Count(u64),
    Other,
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        // Whole numbers below 2^53 are exact.
        let whole = |float: &f64| float.fract() == 0.0 && (0.0..9e15).contains(float);
        let count =
            value.as_u64().or_else(|| value.as_f64().filter(whole).map(|float| float as u64));
        Ok(count.map_or(Self::Other, Self::Count))
    }
}

/// What is kept of an index.
#[derive(Default)]
struct Outer {
    total_size: Option<Number>,
    total_parameters: Option<Number>,
    weight_map: Option<BTreeMap<String, NameSum>>,
}

struct OuterSeed<'a>(&'a NameHasher);

impl<'de> DeserializeSeed<'de> for OuterSeed<'_> {
    type Value = Outer;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Outer, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OuterSeed<'_> {
    type Value = Outer;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a weight_map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Outer, A::Error> {
        #[derive(serde::Deserialize)]
        struct Totals {
            total_size: Option<Number>,
            total_parameters: Option<Number>,
        }

        let mut outer = Outer::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "metadata" => {
                    if let Some(totals) = map.next_value::<Option<Totals>>()? {
                        outer.total_size = totals.total_size;
                        outer.total_parameters = totals.total_parameters;
                    }
                }
                "weight_map" if outer.weight_map.is_some() => {
                    return Err(A::Error::duplicate_field("weight_map"));
                }
                "weight_map" => outer.weight_map = Some(map.next_value_seed(WeightMap(self.0))?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(outer)
    }
}

/// Sums up the names that are placed in each file.
struct WeightMap<'a>(&'a NameHasher);

impl<'de> DeserializeSeed<'de> for WeightMap<'_> {
    type Value = BTreeMap<String, NameSum>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for WeightMap<'_> {
    type Value = BTreeMap<String, NameSum>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of file names by the names of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut sums: Vec<NameSum> = Vec::new();
        // Neighbours mostly lie in the same file.
        let mut last = (String::new(), usize::MAX);
        while let Some(name) =
            map.next_key_seed(WithStr(|name: &str| self.0.hash(name.as_bytes())))?
        {
            let place = map.next_value_seed(WithStr(|file: &str| {
                if last.1 == usize::MAX || last.0 != file {
                    let next = places.len();
                    let place = match places.get(file) {
                        Some(&place) => place,
                        None => *places.entry(file.to_owned()).or_insert(next),
                    };
                    file.clone_into(&mut last.0);
                    last.1 = place;
                }
                last.1
            }))?;
            if place >= sums.len() {
                if place >= SHARD_LIMIT {
                    return Err(A::Error::custom(format_args!(
                        "it names more than {SHARD_LIMIT} files"
                    )));
                }
                sums.push(NameSum::default());
            }
            if let Some(sum) = sums.get_mut(place) {
                sum.add(name);
            }
        }
        Ok(places.into_iter().filter_map(|(file, place)| Some((file, *sums.get(place)?))).collect())
    }
}

/// Reads a string and keeps what a function makes of it.
struct WithStr<F>(F);

impl<'de, T, F: FnOnce(&str) -> T> DeserializeSeed<'de> for WithStr<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T, F: FnOnce(&str) -> T> Visitor<'_> for WithStr<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        Ok((self.0)(text))
    }
}

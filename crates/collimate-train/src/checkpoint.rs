//! What a run needs to go on, in a folder `checkpoint-<step>`.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Difference, Result, TrainError};
use crate::folder::Locked;
use crate::state::TrainState;

const PREFIX: &str = "checkpoint-";
const STATE: &str = "training_state.json";
const FOR_TRANSFORMERS: &str = "trainer_state.json";
const FORMAT: u32 = 1;
/// Most bytes of a state: a history of a million entries.
const MAX_BYTES: u64 = 1 << 28;

/// From where a run goes on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Resume {
    /// From the beginning; where there are checkpoints already, it is an error.
    #[default]
    Never,
    /// From the latest checkpoint in the folder; from the beginning where there is none.
    Latest,
    /// From this checkpoint.
    From(PathBuf),
}

/// The checkpoints of a run.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    folder: Locked,
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StateFile {
    format: u32,
    /// What the run is: settings, rows, model.
    run: Value,
    state: TrainState,
}

impl Checkpoints {
    /// Enters a folder; gives the checkpoint from which the run goes on.
    pub(crate) fn open(folder: &Path, resume: &Resume) -> Result<(Self, Option<PathBuf>)> {
        let checkpoints = Self { folder: Locked::enter(folder)? };
        let latest = checkpoints.list()?.pop().map(|(_, path)| path);
        let from = match (resume, latest) {
            (Resume::Never, Some(_)) => {
                return Err(TrainError::Exists { path: folder.to_owned() });
            }
            (Resume::Never, None) => None,
            (Resume::Latest, latest) => latest,
            (Resume::From(path), _) => Some(path.clone()),
        };
        Ok((checkpoints, from))
    }

    /// Writes the state of a run, with whatever else `fill` writes.
    pub(crate) fn write(
        &self,
        run: &Value,
        state: &TrainState,
        for_transformers: &Value,
        fill: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<PathBuf> {
        self.folder.write(&name(state.step), |folder| {
            fill(folder)?;
            let file = StateFile { format: FORMAT, run: run.clone(), state: state.clone() };
            write_json(&folder.join(FOR_TRANSFORMERS), for_transformers)?;
            write_json(&folder.join(STATE), &file)
        })
    }

    /// Removes all but the last ones up to a step and the best one; gives those that were removed.
    pub(crate) fn prune(
        &self,
        step: u64,
        keep_last: Option<usize>,
        best: Option<u64>,
    ) -> Result<Vec<PathBuf>> {
        let Some(keep_last) = keep_last else { return Ok(Vec::new()) };
        let mut list = self.list()?;
        // There are later ones where a run goes on from an earlier one.
        list.retain(|(of, _)| *of <= step);
        list.truncate(list.len().saturating_sub(keep_last));
        list.retain(|(step, _)| Some(*step) != best);
        let mut removed = Vec::with_capacity(list.len());
        for (step, path) in list {
            self.folder.remove(&name(step))?;
            removed.push(path);
        }
        Ok(removed)
    }

    /// The checkpoint of a step.
    pub(crate) fn path(&self, step: u64) -> PathBuf {
        self.folder.path().join(name(step))
    }

    /// The checkpoints with their steps, the latest last.
    pub(crate) fn list(&self) -> Result<Vec<(u64, PathBuf)>> {
        let folder = self.folder.path();
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).map_err(TrainError::io(folder))? {
            let entry = entry.map_err(TrainError::io(folder))?;
            let step = entry.file_name().to_str().and_then(step_of);
            found.extend(step.map(|step| (step, entry.path())));
        }
        found.sort();
        Ok(found)
    }
}

/// The state in a checkpoint of the same run.
///
/// # Errors
///
/// It is none; it is of another run, whose differences are named.
pub(crate) fn read_state(checkpoint: &Path, run: &Value) -> Result<TrainState> {
    let path = checkpoint.join(STATE);
    let failed = |source| TrainError::io(&path)(source);
    let wrong = |message: String| TrainError::Checkpoint { path: checkpoint.to_owned(), message };
    let metadata = fs::symlink_metadata(&path).map_err(failed)?;
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        return Err(wrong(format!("{STATE} is no file of at most {MAX_BYTES} bytes")));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(&path).map_err(failed)?;
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    let json = |source| TrainError::Json { path: path.clone(), source };
    let file: Value = serde_json::from_slice(&bytes).map_err(json)?;
    if file.get("format") != Some(&Value::from(FORMAT)) {
        let found = file.get("format").unwrap_or(&Value::Null);
        return Err(wrong(format!(
            "its format is {found}, and {FORMAT} is known; go on with the version that wrote it"
        )));
    }
    let file: StateFile = serde_json::from_value(file).map_err(json)?;
    let mut differences = Vec::new();
    compare("", &file.run, run, &mut differences);
    if differences.is_empty() {
        Ok(file.state)
    } else {
        Err(TrainError::OtherRun { path: checkpoint.to_owned(), differences })
    }
}

/// The fields in which two values differ.
fn compare(field: &str, checkpoint: &Value, run: &Value, differences: &mut Vec<Difference>) {
    if let (Value::Object(one), Value::Object(other)) = (checkpoint, run) {
        let mut keys: Vec<&String> = one.keys().chain(other.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let inner = if field.is_empty() { key.clone() } else { format!("{field}.{key}") };
            let of = |object: &serde_json::Map<String, Value>| {
                object.get(key).cloned().unwrap_or(Value::Null)
            };
            compare(&inner, &of(one), &of(other), differences);
        }
    } else if !is_same(checkpoint, run) {
        differences.push(Difference {
            field: field.to_owned(),
            checkpoint: checkpoint.clone(),
            run: run.clone(),
        });
    }
}

/// Numbers may come back from their text with another last digit.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => (one - other).abs() <= 1e-15 * one.abs(),
        _ => one == other,
    }
}

fn name(step: u64) -> String {
    format!("{PREFIX}{step}")
}

fn step_of(name: &str) -> Option<u64> {
    let step = name.strip_prefix(PREFIX)?;
    // As it is written: no sign, no zeros before it.
    step.parse().ok().filter(|number: &u64| number.to_string() == step)
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let failed = |source| TrainError::Json { path: path.to_owned(), source };
    let mut text = serde_json::to_string_pretty(value).map_err(failed)?;
    text.push('\n');
    fs::write(path, text).map_err(TrainError::io(path))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn write(checkpoints: &Checkpoints, run: &Value, step: u64) -> PathBuf {
        let state = TrainState { step, ..TrainState::default() };
        checkpoints.write(run, &state, &json!({}), |_| Ok(())).unwrap()
    }

    fn steps(checkpoints: &Checkpoints) -> Vec<u64> {
        checkpoints.list().unwrap().into_iter().map(|(step, _)| step).collect()
    }

    #[test]
    fn the_last_and_the_best_are_kept() {
        let scratch = tempfile::tempdir().unwrap();
        let (checkpoints, from) = Checkpoints::open(scratch.path(), &Resume::Never).unwrap();
        assert_eq!(from, None);
        for step in [9, 10, 11, 100] {
            write(&checkpoints, &json!({}), step);
        }
        assert_eq!(steps(&checkpoints), [9, 10, 11, 100]);
        assert!(checkpoints.prune(100, None, None).unwrap().is_empty());
        checkpoints.prune(11, Some(2), Some(9)).unwrap();
        assert_eq!(steps(&checkpoints), [9, 10, 11, 100]);
        checkpoints.prune(100, Some(2), Some(9)).unwrap();
        assert_eq!(steps(&checkpoints), [9, 11, 100]);
        drop(checkpoints);
        let (checkpoints, from) = Checkpoints::open(scratch.path(), &Resume::Latest).unwrap();
        assert_eq!(from, Some(checkpoints.path(100)));
        drop(checkpoints);
        let error = Checkpoints::open(scratch.path(), &Resume::Never).unwrap_err();
        assert!(matches!(error, TrainError::Exists { .. }), "{error}");
    }

    #[test]
    fn another_run_is_refused_with_what_differs() {
        let scratch = tempfile::tempdir().unwrap();
        let (checkpoints, _) = Checkpoints::open(scratch.path(), &Resume::Never).unwrap();
        let run = json!({"config": {"seed": 1, "pack": null}, "data": {"rows": 3}});
        let path = write(&checkpoints, &run, 4);
        assert_eq!(read_state(&path, &run).unwrap().step, 4);
        let other = json!({"config": {"seed": 2, "pack": null, "epochs": 1}, "data": {"rows": 3}});
        let error = read_state(&path, &other).unwrap_err().to_string();
        assert!(
            error.contains("config.epochs was null and is 1; config.seed was 1 and is 2;"),
            "{error}"
        );
    }

    #[test]
    fn what_is_no_state_is_an_error() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path();
        assert!(matches!(read_state(path, &json!({})), Err(TrainError::Io { .. })));
        fs::write(path.join(STATE), "{").unwrap();
        assert!(matches!(read_state(path, &json!({})), Err(TrainError::Json { .. })));
        fs::write(path.join(STATE), r#"{"format": 2}"#).unwrap();
        let error = read_state(path, &json!({})).unwrap_err().to_string();
        assert!(error.contains("its format is 2"), "{error}");
        fs::write(path.join(STATE), r#"{"format": 1, "run": {}}"#).unwrap();
        assert!(matches!(read_state(path, &json!({})), Err(TrainError::Json { .. })));
        for name in ["checkpoint-", "checkpoint-01", "checkpoint-+1", "checkpoint--1", "check-1"] {
            assert_eq!(step_of(name), None, "{name}");
        }
    }
}

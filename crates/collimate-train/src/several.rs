//! Several models, one after the other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::config::{CheckedConfig, TrainConfig};
use crate::error::TrainError;

/// Trains several models: each with the common settings and, laid over them, its own.
///
/// `train` is called with the name of each model in turn. Those that fail don't keep the others from
/// being trained; those that were not begun when it was cancelled are not in the result.
///
/// # Examples
///
/// ```
/// use std::sync::atomic::AtomicBool;
///
/// use collimate_train::{TrainConfig, TrainError, train_each};
/// use serde_json::json;
///
/// let models = [
///     ("small".to_owned(), json!({})),
///     ("large".to_owned(), json!({"batch_size": 2, "accumulation": 4})),
///     ("wrong".to_owned(), json!({"batch_size": 0})),
/// ];
/// let results = train_each(
///     &TrainConfig::default(),
///     &models.into(),
///     &AtomicBool::new(false),
///     |_name, config| Ok::<_, TrainError>(config.config().batch_size),
/// );
/// assert_eq!(results["small"].as_ref().unwrap(), &8);
/// assert_eq!(results["large"].as_ref().unwrap(), &2);
/// assert!(results["wrong"].is_err());
/// ```
pub fn train_each<T, E: From<TrainError>>(
    common: &TrainConfig,
    models: &BTreeMap<String, Value>,
    cancelled: &AtomicBool,
    mut train: impl FnMut(&str, CheckedConfig) -> Result<T, E>,
) -> BTreeMap<String, Result<T, E>> {
    let mut results = BTreeMap::new();
    for (name, own) in models {
        if cancelled.load(Ordering::Relaxed) {
            break;
        }
        let config = common.merged(own).and_then(TrainConfig::check).map_err(E::from);
        results.insert(name.clone(), config.and_then(|config| train(name, config)));
    }
    results
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_not_begun_is_not_in_the_result() {
        let models = ["a", "b", "c"].map(|name| (name.to_owned(), json!({})));
        let cancelled = AtomicBool::new(false);
        let results = train_each(&TrainConfig::default(), &models.into(), &cancelled, |name, _| {
            cancelled.store(name == "b", Ordering::Relaxed);
            Err::<(), _>(TrainError::NoRows)
        });
        assert_eq!(results.keys().collect::<Vec<_>>(), ["a", "b"]);
    }
}

use std::path::PathBuf;

/// Where a scan looks, and which folders it passes over.
///
/// # Examples
///
/// ```
/// use collimate_models::ScanConfig;
///
/// let config = ScanConfig::new()
///     .with_root("models")
///     .with_hub_cache("/home/me/.cache/huggingface/hub")
///     .with_skipped("drafts-*");
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ScanConfig {
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) hub_caches: Vec<PathBuf>,
    pub(crate) skipped: Vec<String>,
}

/// Folders of a training tree that hold no base models.
const SKIPPED: [&str; 18] = [
    ".*",
    "*-CURRENT",
    "__pycache__",
    "adapters",
    "certified",
    "checkpoint-*",
    "checkpoints",
    "datasets",
    "lora_adapters",
    "logs",
    "node_modules",
    "results",
    "runs",
    "tmp",
    "trained",
    "venv",
    "wandb",
    "weights",
];

impl ScanConfig {
    /// Nowhere yet. Passes over hidden folders and those usual in a training tree: `*-CURRENT`,
    /// `__pycache__`, `adapters`, `certified`, `checkpoint-*`, `checkpoints`, `datasets`,
    /// `lora_adapters`, `logs`, `node_modules`, `results`, `runs`, `tmp`, `trained`, `venv`, `wandb`,
    /// `weights`.
    pub fn new() -> Self {
        Self {
            roots: Vec::new(),
            hub_caches: Vec::new(),
            skipped: SKIPPED.map(str::to_owned).to_vec(),
        }
    }

    /// Looks in this folder as well; it may be a model itself.
    #[must_use]
    pub fn with_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.roots.push(root.into());
        self
    }

    /// Looks in this Hugging Face cache as well (the folder that holds `models--…`).
    #[must_use]
    pub fn with_hub_cache(mut self, cache: impl Into<PathBuf>) -> Self {
        self.hub_caches.push(cache.into());
        self
    }

    /// Passes over folders of this name as well. `*` stands for any characters; capitals don't matter.
    /// A root is never passed over.
    #[must_use]
    pub fn with_skipped(mut self, pattern: impl Into<String>) -> Self {
        self.skipped.push(pattern.into());
        self
    }

    /// Passes over no folder because of its name, other than those added afterwards.
    #[must_use]
    pub fn without_skipped(mut self) -> Self {
        self.skipped.clear();
        self
    }

    /// The first pattern that this name of a folder matches.
    pub(crate) fn skips(&self, name: &str) -> Option<&str> {
        self.skipped.iter().map(String::as_str).find(|pattern| matches(pattern, name))
    }
}

impl Default for ScanConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether a pattern with any number of `*` describes all of a name. Greedy from the left, which is
/// enough without alternatives: linear in the name for each `*`.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_lowercase(), name.to_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            match rest.find(middle) {
                Some(at) => rest = &rest[at + middle.len()..],
                None => return false,
            }
        }
    }
    match last {
        Some(end) => rest.ends_with(end),
        None => rest.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name) in [
            ("weights", "Weights"),
            ("*-CURRENT", "Project-current"),
            ("checkpoint-*", "checkpoint-100"),
            (".*", ".git"),
            ("a*b*c", "a-b-b-c"),
            ("*", ""),
            ("**", "x"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("weights", "weights-7b"),
            ("*-CURRENT", "current"),
            ("checkpoint-*", "my-checkpoint-1"),
            ("a*b*c", "a-c-b"),
            ("ab*ba", "aba"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }
}

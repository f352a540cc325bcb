use thiserror::Error;

/// Why a configuration is none of a LoRA adapter that can be used.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// A field that must be there is not.
    #[error("`{field}` is missing; {expected} is expected")]
    Missing {
        /// The field.
        field: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// A field holds a value of the wrong kind or size.
    #[error("`{field}` is {found}; {expected} is expected")]
    Field {
        /// The field; of an entry within it `field.entry` or `field[index]`.
        field: String,
        /// What it should hold.
        expected: &'static str,
        /// What it holds, as JSON, shortened.
        found: String,
    },
    /// The adapter is of another kind.
    #[error("`peft_type` is {found}; only LORA adapters are supported")]
    NotLora {
        /// The kind, as JSON, shortened.
        found: String,
    },
    /// Two fields can't be set together; PEFT refuses them too.
    #[error("`{field}` can't be used with `{with}`: {reason}")]
    Conflict {
        /// The one.
        field: &'static str,
        /// The other.
        with: &'static str,
        /// Why not.
        reason: &'static str,
    },
}

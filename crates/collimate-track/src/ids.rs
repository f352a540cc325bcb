use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(transparent)]
        pub struct $name(i64);

        impl $name {
            /// The id that is this number.
            pub const fn new(id: i64) -> Self {
                Self(id)
            }

            /// The number.
            pub const fn value(self) -> i64 {
                self.0
            }

            pub(crate) fn missing(self) -> crate::TrackError {
                crate::TrackError::NotFound { what: self.to_string() }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, concat!($what, " {}"), self.0)
            }
        }
    )*};
}

ids! {
    /// An experiment in a database.
    ExperimentId, "experiment";
    /// A model in a database's registry.
    ModelId, "model";
    /// A version of a model in a database's registry.
    VersionId, "model version";
}

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a record was read: a file, and a position in it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Origin {
    /// The file.
    pub file: Arc<Path>,
    /// The position in the file.
    pub position: Position,
}

/// A position in a file of records. All numbers start at 1.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Position {
    /// A line of text.
    Line(u64),
    /// An element of a JSON array.
    Element(u64),
    /// A row of a Parquet file.
    Row {
        /// The row group.
        group: u64,
        /// The row in the row group.
        row: u64,
    },
}

impl AsRef<Self> for Origin {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, {}", self.file.display(), self.position)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(formatter, "line {line}"),
            Self::Element(element) => write!(formatter, "element {element}"),
            Self::Row { group, row } => write!(formatter, "row group {group}, row {row}"),
        }
    }
}

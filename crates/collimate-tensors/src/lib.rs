#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod cast;
mod checkpoint;
mod dtype;
mod error;
mod file;
mod format;
mod layout;
#[allow(unsafe_code, reason = "a mapped file can be changed by others: see the module")]
mod map;
mod names;
mod pickle;
mod safetensors;
mod shards;
mod stamp;
mod tensor;
mod writer;

pub use cast::{CastError, narrow, widen};
pub use checkpoint::{Checkpoint, stays_inside};
pub use dtype::Dtype;
pub use error::{Result, TensorsError};
pub use file::TensorFile;
pub use format::is_lfs_pointer;
pub use layout::Layout;
pub use names::{NameHasher, NameSum};
pub use pickle::{PickleError, PickleTable, PickleTensor};
pub use safetensors::{SafetensorsError, SafetensorsHeader, SafetensorsTensor};
pub use shards::{Shard, ShardIndex, ShardTotals, Shards, shards, shards_as};
pub use stamp::FileStamp;
pub use tensor::Tensor;
pub use writer::{SafetensorsWriter, WriteError, write_safetensors};

#[cfg(test)]
mod testing;

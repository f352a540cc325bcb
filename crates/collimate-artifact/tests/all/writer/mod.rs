//! Folders of aligned models, written whole, and what `verify` and `inspect` make of them.

mod adapter;
mod place;
mod refused;
mod standalone;
mod verify;

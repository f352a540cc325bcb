//! From a recipe to the settings of the crates that carry it out. What one of them refuses keeps its message.

mod data;
mod device;
mod evaluation;
mod output;
mod training;

#[cfg(test)]
mod testing;

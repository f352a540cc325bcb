//! Writes reports of made-up numbers, to be looked at after a change: full, with one point, with no
//! data, with long names, with a hostile name.
//!
//! ```sh
//! cargo run -p collimate-report --features png --example looks -- FOLDER
//! ```

#![allow(missing_docs, dead_code, clippy::unwrap_used, reason = "what it shows is made for tests")]

#[path = "../tests/all/sample.rs"]
mod sample;

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("name a folder to write to")?);
    for (name, report) in [
        ("full", sample::full()),
        ("one-point", sample::one_point()),
        ("no-data", sample::no_data()),
        ("long", sample::long()),
        ("hostile", sample::hostile()),
    ] {
        report.check()?.write(folder.join(name))?;
    }
    Ok(())
}

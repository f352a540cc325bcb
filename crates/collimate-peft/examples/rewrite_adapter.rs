//! Reads the adapter in a folder and writes it to another: `rewrite_adapter FROM TO`.

use std::error::Error;

use collimate_peft::Adapter;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [from, to] = arguments.as_slice() else {
        return Err("usage: rewrite_adapter FROM TO".into());
    };
    let adapter = Adapter::read(from)?;
    std::fs::create_dir_all(to)?;
    adapter.write(to)?;
    Ok(())
}

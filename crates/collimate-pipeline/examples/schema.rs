//! Prints the JSON Schema of recipes, which `recipe.schema.json` is a copy of.

use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = serde_json::to_string_pretty(&collimate_pipeline::Recipe::schema())?;
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

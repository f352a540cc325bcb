//! Writes the hidden states of texts: runs a model with `collimate-lm` and pools each layer, so that
//! `aqi` can score them. `hidden_states --help` describes the arguments.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Parser, ValueEnum};
use collimate_lm::{Batch, Decoder, HiddenSource, LmError, Pooling};
use collimate_tensors::{Dtype, Layout, SafetensorsWriter};
use serde_json::json;
use shell::{ModelArguments, Outcome, read_texts, rows_together};

/// Writes the hidden states of texts as `embeddings`, [texts, layers, width], float32.
///
/// Without arguments it runs a tiny model that has learned nothing over two texts.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// Texts: one per line of a .txt file; one {"text": ...} per line of a .jsonl file, with an "id" if
    /// it likes
    #[arg(long, value_name = "FILE", requires = "model")]
    texts: Option<PathBuf>,
    /// How the states of a text's tokens become one
    #[arg(long, value_enum, default_value = "last")]
    pool: Pool,
    /// Layers: all, or numbers separated by commas. 0 is the embedding, the last one comes after the final
    /// norm
    #[arg(long, default_value = "all")]
    layers: String,
    /// What is read: the residual stream, or the activation inside the MLP of each layer, counted from 1
    #[arg(long, value_enum, default_value = "residual")]
    source: Source,
    /// The file that is written
    #[arg(long, value_name = "FILE", requires = "texts")]
    out: Option<PathBuf>,
    /// Most tokens that are run together
    #[arg(long, value_name = "N", default_value = "4096")]
    batch_tokens: usize,
}

#[derive(Clone, Copy, ValueEnum)]
enum Pool {
    Last,
    Mean,
}

#[derive(Clone, Copy, ValueEnum)]
enum Source {
    Residual,
    Mlp,
}

fn main() -> ExitCode {
    shell::main(run, ModelArguments::is_ours)
}

fn run(arguments: Arguments, cancelled: &AtomicBool) -> Outcome {
    let (Some(model), Some(texts)) = (&arguments.model.model, &arguments.texts) else {
        let demonstration = shell::Demonstration::write()?;
        let mut arguments = arguments;
        arguments.out = Some(demonstration.path().join("embeddings.safetensors"));
        arguments.texts = Some(demonstration.texts());
        arguments.model.model = Some(demonstration.path().to_owned());
        return run(arguments, cancelled);
    };
    let out = arguments.out.as_deref().ok_or("--texts needs --out FILE")?;
    let texts = read_texts(texts)?;
    let opened = arguments.model.open(model, cancelled)?;
    let decoder = &opened.decoder;
    let plain: Vec<&str> = texts.iter().map(|text| text.text.as_str()).collect();
    let rows: Vec<Vec<u32>> =
        opened.tokenizer.encode_batch(&plain, true)?.into_iter().map(|row| row.ids).collect();
    if let Some(empty) = rows.iter().position(Vec::is_empty) {
        return Err(format!("line {}: the text has no tokens", texts[empty].line).into());
    }
    let source = match arguments.source {
        Source::Residual => HiddenSource::Residual,
        Source::Mlp => HiddenSource::Mlp,
    };
    let pooling = match arguments.pool {
        Pool::Last => Pooling::Last,
        Pool::Mean => Pooling::Mean,
    };
    let layers = layers(&arguments.layers, decoder, source)?;
    let ids: Vec<&str> = texts.iter().map(|text| text.id.as_str()).collect();
    let shape = [rows.len(), layers.len(), decoder.hidden_width(source)];
    let mut layout = Layout::new();
    let metadata = [
        ("ids", json!(ids).to_string()),
        ("layers", json!(layers).to_string()),
        ("model", model.display().to_string()),
        (
            "pool",
            json!(arguments.pool.to_possible_value().map(|name| name.get_name().to_owned()))
                .to_string(),
        ),
    ];
    for (key, value) in metadata {
        layout = layout.with_metadata(key, value);
    }
    layout.push("embeddings", Dtype::F32, shape.map(|size| size as u64))?;
    write(out, &layout, |writer| {
        let each = (4 * layers.len() * shape[2]) as u64;
        for batch in
            rows_together(&rows.iter().map(Vec::len).collect::<Vec<_>>(), arguments.batch_tokens)
        {
            if cancelled.load(Ordering::Relaxed) {
                return Err(LmError::Cancelled.into());
            }
            let of_batch: Vec<&[u32]> = batch.iter().map(|&row| rows[row].as_slice()).collect();
            let states = decoder.pooled(&Batch::padded(&of_batch)?, &layers, source, &pooling)?;
            let states = states.try_into_vec_as::<f32>().map_err(|error| error.to_string())?;
            for (row, states) in batch.iter().zip(states.chunks(layers.len() * shape[2])) {
                let bytes: Vec<u8> =
                    states.iter().flat_map(|number| number.to_le_bytes()).collect();
                writer.write("embeddings", *row as u64 * each, &bytes)?;
            }
        }
        Ok(())
    })?;
    writeln!(
        io::stdout(),
        "{}: {} texts, {} layers, {} numbers each",
        out.display(),
        shape[0],
        shape[1],
        shape[2]
    )?;
    Ok(())
}

/// Writes a file whole or not at all.
fn write(out: &Path, layout: &Layout, fill: impl FnOnce(&SafetensorsWriter) -> Outcome) -> Outcome {
    let name = out.file_name().ok_or("--out has to be a file")?.to_string_lossy();
    let beside = out.with_file_name(format!(".{name}.partial"));
    std::fs::remove_file(&beside).ok();
    let writer = SafetensorsWriter::create(&beside, layout)?;
    fill(&writer)?;
    writer.finish()?;
    std::fs::rename(&beside, out)?;
    Ok(())
}

fn layers(
    text: &str,
    decoder: &Decoder,
    source: HiddenSource,
) -> Result<Vec<usize>, Box<dyn std::error::Error>> {
    let range = decoder.hidden_layers(source);
    if text == "all" {
        return Ok(range.collect());
    }
    let numbers: Result<Vec<usize>, _> =
        text.split(',').map(|number| number.trim().parse()).collect();
    let numbers =
        numbers.map_err(|_| format!("--layers {text}: expected all, or numbers as in 0,12,24"))?;
    let twice: BTreeMap<_, _> = numbers.iter().map(|number| (number, ())).collect();
    if twice.len() < numbers.len() {
        return Err(format!("--layers {text}: a layer is there twice").into());
    }
    Ok(numbers)
}

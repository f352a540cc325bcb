//! Scores texts with `collimate-lm`: the log-probability of every token given those before it, and the
//! perplexity. `score --help` describes the arguments.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser;
use collimate_lm::{Batch, LmError};
use serde_json::{Value, json};
use shell::{ModelArguments, Outcome, read_texts, rows_together};

/// Scores texts: tokens, negative log-likelihood, perplexity.
///
/// Without arguments it scores two texts with a tiny model that has learned nothing.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// Texts: one per line of a .txt file; one {"text": ...} per line of a .jsonl file, with an "id" if
    /// it likes
    #[arg(long, value_name = "FILE", requires = "model")]
    texts: Option<PathBuf>,
    /// Print JSON, with the log-probability of each token
    #[arg(long)]
    json: bool,
    /// Most tokens that are run together
    #[arg(long, value_name = "N", default_value = "4096")]
    batch_tokens: usize,
}

fn main() -> ExitCode {
    shell::main(run, ModelArguments::is_ours)
}

fn run(arguments: Arguments, cancelled: &AtomicBool) -> Outcome {
    let (Some(model), Some(texts)) = (&arguments.model.model, &arguments.texts) else {
        let demonstration = shell::Demonstration::write()?;
        let mut arguments = arguments;
        arguments.texts = Some(demonstration.texts());
        arguments.model.model = Some(demonstration.path().to_owned());
        return run(arguments, cancelled);
    };
    let texts = read_texts(texts)?;
    let opened = arguments.model.open(model, cancelled)?;
    let plain: Vec<&str> = texts.iter().map(|text| text.text.as_str()).collect();
    let rows: Vec<Vec<u32>> =
        opened.tokenizer.encode_batch(&plain, true)?.into_iter().map(|row| row.ids).collect();
    if let Some(short) = rows.iter().position(|row| row.len() < 2) {
        let line = texts[short].line;
        return Err(format!("line {line}: a text of one token has nothing to score").into());
    }
    let mut scores: Vec<Vec<f32>> = vec![Vec::new(); rows.len()];
    for batch in
        rows_together(&rows.iter().map(Vec::len).collect::<Vec<_>>(), arguments.batch_tokens)
    {
        if cancelled.load(Ordering::Relaxed) {
            return Err(LmError::Cancelled.into());
        }
        let of_batch: Vec<&[u32]> = batch.iter().map(|&row| rows[row].as_slice()).collect();
        for (row, log_probs) in
            batch.iter().zip(opened.decoder.log_probs(&Batch::padded(&of_batch)?)?)
        {
            scores[*row] = log_probs;
        }
    }
    let mut output = String::new();
    let mut all = (0.0, 0);
    let mut objects: Vec<Value> = Vec::new();
    for ((text, row), log_probs) in texts.iter().zip(&rows).zip(&scores) {
        let nll: f64 = -log_probs.iter().map(|number| f64::from(*number)).sum::<f64>();
        all = (all.0 + nll, all.1 + log_probs.len());
        let perplexity = (nll / log_probs.len() as f64).exp();
        if arguments.json {
            objects.push(json!({
                "id": text.id, "tokens": row, "log_probs": log_probs, "nll": nll, "perplexity": perplexity,
            }));
        } else {
            output += &format!(
                "{}\t{} tokens\tnll {nll:.4}\tperplexity {perplexity:.4}\n",
                text.id,
                row.len()
            );
        }
    }
    let (nll, scored) = all;
    let perplexity = (nll / scored as f64).exp();
    if arguments.json {
        let all = json!({"scored_tokens": scored, "nll": nll, "perplexity": perplexity});
        output = format!("{:#}\n", json!({"texts": objects, "all": all}));
    } else {
        output +=
            &format!("all\t{scored} tokens scored\tnll {nll:.4}\tperplexity {perplexity:.4}\n");
    }
    io::stdout().write_all(output.as_bytes())?;
    Ok(())
}

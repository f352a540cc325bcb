//! Continues a text, or answers in a chat, with `collimate-lm`. `generate --help` describes the
//! arguments.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Parser;
use collimate_data::{ChatTemplate, Message, RenderOptions, TemplateTime};
use collimate_lm::{
    FinishReason, Generated, GenerationConfig, GenerationEvent, GenerationFile, Generator,
};
use shell::{ModelArguments, Opened, Outcome, note};

/// Continues a text, or answers in a chat.
///
/// Without arguments it continues a text with a tiny model that has learned nothing.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    model: ModelArguments,
    /// The text to continue
    #[arg(long, value_name = "TEXT", requires = "model", conflicts_with = "chat")]
    prompt: Option<String>,
    /// Chat: each line of standard input is a message, in the model's template
    #[arg(long, requires = "model")]
    chat: bool,
    /// What the chat begins with
    #[arg(long, value_name = "TEXT", requires = "chat")]
    system: Option<String>,
    /// Most tokens of an answer [default: generation_config.json, else 256]
    #[arg(long, value_name = "N")]
    max_tokens: Option<usize>,
    /// Draw tokens at random, at this temperature; 0 takes the most probable one [default:
    /// generation_config.json]
    #[arg(long, value_name = "T")]
    temperature: Option<f64>,
    /// Draw from the N most probable tokens
    #[arg(long, value_name = "N")]
    top_k: Option<usize>,
    /// Draw from the fewest tokens that have this probability together
    #[arg(long, value_name = "P")]
    top_p: Option<f64>,
    /// Draw from tokens that are at least P times as probable as the most probable one
    #[arg(long, value_name = "P")]
    min_p: Option<f64>,
    /// What logits of tokens that were there before are divided by
    #[arg(long, value_name = "P")]
    repetition_penalty: Option<f64>,
    /// End at this text; may be given several times
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// The seed of what is drawn
    #[arg(long, value_name = "N", default_value = "0")]
    seed: u64,
}

fn main() -> ExitCode {
    shell::main(run, ModelArguments::is_ours)
}

fn run(mut arguments: Arguments, cancelled: &AtomicBool) -> Outcome {
    let Some(folder) = arguments.model.model.clone() else {
        let demonstration = shell::Demonstration::write()?;
        arguments.model.model = Some(demonstration.path().to_owned());
        arguments.prompt = Some("The model has".to_owned());
        arguments.max_tokens.get_or_insert(24);
        return run(arguments, cancelled);
    };
    if arguments.prompt.is_none() && !arguments.chat {
        return Err("one of --prompt TEXT and --chat is needed".into());
    }
    let config = arguments.generation(&folder)?;
    let opened = arguments.model.open(&folder, cancelled)?;
    let generator = match config.eos_token_ids.is_empty() {
        true => config.with_eos_token_ids(opened.decoder.config().eos_token_ids.clone()),
        false => config,
    }
    .check()?;
    match &arguments.prompt {
        Some(prompt) => {
            let ids = opened.tokenizer.encode(prompt, true)?.ids;
            print(prompt)?;
            answer(&opened, &generator, &ids, cancelled)?;
            Ok(())
        }
        None => chat(&opened, &generator, &folder, arguments.system.as_deref(), cancelled),
    }
}

impl Arguments {
    /// What generation_config.json says, and the arguments over it.
    fn generation(&self, folder: &Path) -> Result<GenerationConfig, Box<dyn std::error::Error>> {
        let file: PathBuf = folder.join("generation_config.json");
        let mut config = match file.exists() {
            true => GenerationFile::read(&file)?.config,
            false => GenerationConfig::default(),
        };
        let limit = self.max_tokens.or(config.max_new_tokens).unwrap_or(256);
        config = config.with_max_new_tokens(limit).with_seed(self.seed);
        let narrowed = self.top_k.is_some() || self.top_p.is_some() || self.min_p.is_some();
        if narrowed && self.temperature == Some(0.0) {
            return Err(
                "nothing is drawn at --temperature 0: leave --top-k, --top-p and --min-p out"
                    .into(),
            );
        }
        config = match self.temperature {
            None if narrowed => config.with_do_sample(true),
            Some(0.0) => config.with_do_sample(false),
            Some(temperature) => config.with_do_sample(true).with_temperature(temperature),
            None => config,
        };
        if let Some(k) = self.top_k {
            config = config.with_top_k(k);
        }
        if let Some(p) = self.top_p {
            config = config.with_top_p(p);
        }
        if let Some(p) = self.min_p {
            config = config.with_min_p(p);
        }
        if let Some(penalty) = self.repetition_penalty {
            config = config.with_repetition_penalty(penalty);
        }
        if !self.stop.is_empty() {
            config = config.with_stop_strings(self.stop.clone());
        }
        Ok(config)
    }
}

/// Each line is a message; the answers are part of what comes next.
fn chat(
    opened: &Opened,
    generator: &Generator,
    folder: &Path,
    system: Option<&str>,
    cancelled: &AtomicBool,
) -> Outcome {
    let template = ChatTemplate::from_folder(folder)?;
    let mut options = RenderOptions::default();
    options.add_generation_prompt = true;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    options.now = TemplateTime::from_unix(now.as_secs());
    let mut messages: Vec<Message> = Vec::new();
    messages.extend(system.map(|text| Message::new("system", text)));
    let terminal = io::stdin().is_terminal();
    let mut lines = io::stdin().lock().lines();
    loop {
        if terminal {
            print("> ")?;
        }
        let Some(line) = lines.next().transpose()? else { return Ok(()) };
        if line.trim().is_empty() {
            continue;
        }
        messages.push(Message::new("user", line));
        let text = template.render_text(&messages, &options)?;
        // The template has written the special tokens.
        let ids = opened.tokenizer.encode(&text, false)?.ids;
        let generated = answer(opened, generator, &ids, cancelled)?;
        if generated.finish == FinishReason::Cancelled {
            return Ok(());
        }
        messages.push(Message::new("assistant", generated.text));
    }
}

/// Prints an answer while it is generated.
fn answer(
    opened: &Opened,
    generator: &Generator,
    ids: &[u32],
    cancelled: &AtomicBool,
) -> Result<Generated, Box<dyn std::error::Error>> {
    let decode = |ids: &[u32]| Ok(opened.tokenizer.decode(ids, true)?);
    let mut model = opened.decoder.continuation();
    let mut closed = Ok(());
    let mut generated =
        generator.generate(&mut model, &[ids], &decode, cancelled, &mut |event| {
            if let GenerationEvent::Token { text, .. } | GenerationEvent::Finished { text, .. } =
                event
                && closed.is_ok()
            {
                closed = print(text);
            }
        })?;
    closed?;
    print("\n")?;
    let generated = generated.pop().ok_or("nothing was generated")?;
    if generated.finish == FinishReason::Cancelled || cancelled.load(Ordering::Relaxed) {
        note("cancelled");
    }
    Ok(generated)
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout();
    out.write_all(text.as_bytes())?;
    out.flush()
}

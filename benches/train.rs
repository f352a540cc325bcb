//! How fast LoRA is trained on the CPU and how much memory it takes. The models have random weights and
//! lie in the folder that `lm.rs` made, where `train.py` measures the same with PEFT.
//!
//! `cargo bench -p collimate-benches --bench train -- FOLDER [SHAPE...]` with shapes 15M, 110M, 0.5B
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for developers"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::AtomicBool;

use burn::tensor::{DType, Device};
use collimate_data::Row;
use collimate_lm::{Decoder, parse_dtype};
use collimate_peft::{LoraConfig, TargetModules};
use collimate_train::{Method, TrainConfig, TrainEvent, Trainer};

/// Steps that count, after two that don't.
const STEPS: u64 = 7;
const ROWS: usize = 4;
const SEQUENCE: usize = 512;
const SHAPES: [&str; 3] = ["15M", "110M", "0.5B"];

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| "target/lm".to_owned()));
    let mut arguments = arguments.peekable();
    if arguments.next_if_eq("measure").is_some() {
        let [targets, dtype] = [(); 2].map(|()| arguments.next().unwrap());
        return measure(&folder, &targets, parse_dtype(&dtype).unwrap());
    }
    let wanted: Vec<_> = arguments.collect();
    for name in SHAPES {
        if !wanted.is_empty() && !wanted.iter().any(|one| one == name) {
            continue;
        }
        for dtype in ["f32", "bf16"] {
            for targets in ["q_proj,v_proj", "all-linear"] {
                // A process each, so that none has memory of another.
                let mut alone = Command::new(std::env::current_exe().unwrap());
                alone.arg(folder.join(name)).args(["measure", targets, dtype]);
                assert!(alone.status().unwrap().success());
            }
        }
    }
}

fn measure(folder: &Path, targets: &str, dtype: DType) {
    let mut decoder = Decoder::load(folder, &Device::flex(), dtype).unwrap();
    let rows: Vec<Row> = (0..ROWS)
        .map(|row| {
            let ids = (0..SEQUENCE).map(|at| ((row * 7919 + at * 31) % 32_000) as u32).collect();
            Row::new(ids, vec![true; SEQUENCE])
        })
        .collect();
    let adapter =
        LoraConfig::new(16).with_alpha(32.0).with_dropout(0.05).with_targets(match targets {
            "all-linear" => TargetModules::AllLinear,
            names => TargetModules::list(names.split(',')),
        });
    let config = TrainConfig::default()
        .with_method(Method::lora(adapter))
        .with_batch_size(ROWS)
        .with_max_steps(2 + STEPS);
    let mut speeds = Vec::new();
    let mut observer = |event: &TrainEvent| {
        if let TrainEvent::Step(step) = event {
            if step.step == 2 {
                // Forgets what was the most before.
                let _ = fs::write("/proc/self/clear_refs", "5");
            }
            if step.step > 2 {
                speeds.push(step.tokens_per_second);
            }
        }
    };
    let trainer = Trainer::new(config.check().unwrap(), &rows);
    trainer.run(&mut decoder, &mut observer, &AtomicBool::new(false)).unwrap();
    speeds.sort_by(f64::total_cmp);
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let median = speeds[speeds.len() / 2];
    println!("{name}, {dtype:?}, {targets}: {median:.0} tokens/s, {:.0} MB", peak());
}

fn peak() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0 / 1e6
}

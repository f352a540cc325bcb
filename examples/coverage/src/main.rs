//! Measures what the intervals and tests of collimate-aqi promise, on normal rows whose true `ρ`
//! is known: how often a 95% interval for `ρ` holds it, and how often a test at 5% finds a change
//! between two samples of the same prompts where there is none.
//!
//! The few trials of a run without arguments only show that it works; publish from
//! `--trials 1000` or more.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]

mod population;

use clap::Parser;
use collimate_aqi::{
    AqiError, DeltaConfig, Interval, IntervalMethod, Labels, Sample, delta, rho_interval,
};
use population::Population;
use rayon::prelude::*;
use std::process::ExitCode;

/// Measure the coverage of the intervals for ρ and the error rate of the paired test.
#[derive(Parser)]
struct Arguments {
    /// Simulated samples for each row of the tables.
    #[arg(long, default_value_t = 20)]
    trials: u64,
    /// Resamples of the bootstrap intervals.
    #[arg(long, default_value_t = 400)]
    resamples: usize,
    /// Dimensions.
    #[arg(long, default_value_t = 300)]
    dim: usize,
    /// Effective dimensions: participation ratio of the covariance, below `dim`.
    #[arg(long, default_value_t = 127.0)]
    participation: f64,
    /// Seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let possible = 1.0..arguments.dim as f64;
    if arguments.trials == 0
        || arguments.resamples < 2
        || !possible.contains(&arguments.participation)
    {
        eprintln!("coverage: need a trial, two resamples, and 1 <= participation < dim");
        return ExitCode::from(2);
    }
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("coverage: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), AqiError> {
    let Arguments { trials, dim, participation, .. } = *arguments;
    println!(
        "{trials} trials a row; d = {dim}, participation ratio {participation}; normal rows.\n\
         Standard error of 95% at this number of trials: {:.1}%.\n",
        100.0 * (0.95 * 0.05 / trials as f64).sqrt()
    );
    println!("Coverage of 95% intervals for rho");
    println!("  n per class   D²    method       covers   below   above   mean width");
    for size in [50, 200] {
        for effect in [0.0, 0.05, 0.2] {
            intervals(arguments, size, effect)?;
        }
    }
    println!("\nFalse alarms of the paired test at 5%, correlation 0.8 between before and after");
    println!("  n per class   D²    Student t   sign flips   interval without zero");
    for size in [60, 250] {
        for effect in [0.05, 0.2] {
            false_alarms(arguments, size, effect)?;
        }
    }
    Ok(())
}

fn intervals(arguments: &Arguments, size: usize, effect: f64) -> Result<(), AqiError> {
    let Arguments { trials, resamples, dim, participation, seed } = *arguments;
    let population = Population::new(dim, participation, effect);
    let labels = Labels::new((0..2 * size).map(|row| row / size))?;
    let methods = [
        ("score", IntervalMethod::Score),
        ("jackknife", IntervalMethod::Jackknife),
        ("centered", IntervalMethod::Centered { resamples, seed }),
        ("legacy", IntervalMethod::LegacyPercentile { resamples, seed }),
    ];
    let found = (0..trials)
        .into_par_iter()
        .map(|trial| {
            let rows = population.sample(size, &mut population::stream(seed, trial));
            let sample = Sample::new(rows.view(), &labels)?;
            methods.iter().map(|(_, method)| rho_interval(&sample, *method, 0.95)).collect()
        })
        .collect::<Result<Vec<Vec<Interval>>, AqiError>>()?;
    let truth = population.rho();
    let share = |count: usize| 100.0 * count as f64 / trials as f64;
    for (index, (name, _)) in methods.iter().enumerate() {
        let of_method = || found.iter().map(|intervals| &intervals[index]);
        let below = share(of_method().filter(|interval| truth < interval.lower).count());
        let above = share(of_method().filter(|interval| truth > interval.upper).count());
        let width = of_method().map(|interval| interval.upper - interval.lower).sum::<f64>()
            / trials as f64;
        println!(
            "  {size:>11}   {effect:<4}  {name:<11} {:>6.1}%  {below:>5.1}%  {above:>5.1}%   {width:.4}",
            100.0 - below - above
        );
    }
    Ok(())
}

fn false_alarms(arguments: &Arguments, size: usize, effect: f64) -> Result<(), AqiError> {
    let Arguments { trials, dim, participation, seed, .. } = *arguments;
    let population = Population::new(dim, participation, effect);
    let labels = Labels::new((0..2 * size).map(|row| row / size))?;
    let ids: Vec<String> = (0..2 * size).map(|row| row.to_string()).collect();
    let config = DeltaConfig::default().with_sign_flips(999);
    let alarms = (0..trials)
        .into_par_iter()
        .map(|trial| {
            let (before, after) = population.pair(size, 0.8, &mut population::stream(seed, trial));
            let before = Sample::new(before.view(), &labels)?.with_ids(&ids)?;
            let after = Sample::new(after.view(), &labels)?.with_ids(&ids)?;
            let change = delta(&before, &after, &config)?;
            let misses_zero = change.lower > 0.0 || change.upper < 0.0;
            Ok([change.p_value <= 0.05, change.sign_flip_p_value <= 0.05, misses_zero])
        })
        .collect::<Result<Vec<[bool; 3]>, AqiError>>()?;
    let share = |test: usize| {
        100.0 * alarms.iter().filter(|alarm| alarm[test]).count() as f64 / trials as f64
    };
    println!(
        "  {size:>11}   {effect:<4}  {:>8.1}%   {:>9.1}%   {:>20.1}%",
        share(0),
        share(1),
        share(2)
    );
    Ok(())
}

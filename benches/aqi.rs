//! Speed of collimate-aqi: `cargo bench -p collimate-benches`.
//!
//! The shapes are those that `scikit_learn.py`, beside this file, times in scikit-learn. Run
//! both on one machine, one after the other, and compare the medians.
#![allow(missing_docs, clippy::unwrap_used, reason = "a program for developers")]

use collimate_aqi::{
    IntervalMethod, Labels, Moments, Sample, davies_bouldin, permutation_test, rho_interval,
    silhouette,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array2;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::hint::black_box;

/// `n` rows of nearly normal noise around `k` centroids.
fn data(n: usize, d: usize, k: usize) -> (Array2<f32>, Labels) {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut normal = || {
        let sum: u32 = (0..4).map(|_| rng.next_u32() >> 8).sum();
        (f64::from(sum) / f64::from(1 << 24) - 2.0) as f32 * 1.73
    };
    let centroids = Array2::from_shape_simple_fn((k, d), || 0.5 * normal());
    let classes: Vec<usize> = (0..n).map(|i| i * 7919 % k).collect();
    let rows = Array2::from_shape_fn((n, d), |(i, j)| centroids[[classes[i], j]] + normal());
    (rows, Labels::new(classes).unwrap())
}

fn moments(c: &mut Criterion) {
    let mut group = c.benchmark_group("chi_xbi_rho");
    for (n, d) in [(1_000, 4_096), (10_000, 4_096), (100_000, 768)] {
        let (rows, labels) = data(n, d, 10);
        group.throughput(Throughput::Bytes((n * d * size_of::<f32>()) as u64));
        group.bench_function(BenchmarkId::from_parameter(format!("{n}x{d}")), |b| {
            b.iter(|| {
                let moments = Moments::from_rows(black_box(rows.view()), &labels).unwrap();
                let dispersion = moments.dispersion().unwrap();
                let chi = dispersion.calinski_harabasz().unwrap();
                (chi, dispersion.xie_beni(), dispersion.rho_global().unwrap())
            });
        });
    }
    // What reading the rows once takes on this machine: the bound for any one-pass index.
    let (rows, _) = data(100_000, 768, 10);
    group.throughput(Throughput::Bytes((rows.len() * size_of::<f32>()) as u64));
    group.bench_function("memory/100000x768", |b| {
        let values = rows.as_slice().unwrap();
        b.iter(|| {
            let (left, right) = values.split_at(values.len() / 2);
            std::thread::scope(|scope| {
                let left = scope.spawn(|| sum(black_box(left)));
                sum(black_box(right)) + left.join().unwrap()
            })
        });
    });
    group.finish();
}

fn sum(values: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 64];
    for chunk in values.chunks_exact(64) {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().sum()
}

fn pairwise(c: &mut Criterion) {
    let mut group = c.benchmark_group("pairwise");
    group.sample_size(10);
    for (n, d) in [(1_000, 4_096), (10_000, 768)] {
        let (rows, labels) = data(n, d, 10);
        group.bench_function(BenchmarkId::new("silhouette", format!("{n}x{d}")), |b| {
            b.iter(|| silhouette(black_box(rows.view()), &labels).unwrap().mean);
        });
    }
    let (rows, labels) = data(100_000, 768, 10);
    group.bench_function("davies_bouldin/100000x768", |b| {
        b.iter(|| davies_bouldin(black_box(rows.view()), &labels).unwrap());
    });
    group.finish();
}

fn inference(c: &mut Criterion) {
    let mut group = c.benchmark_group("inference");
    group.sample_size(10);
    let (rows, labels) = data(1_000, 4_096, 2);
    let sample = Sample::new(rows.view(), &labels).unwrap();
    group.bench_function("permutations/1000/1000x4096", |b| {
        b.iter(|| permutation_test(black_box(&sample), 1_000, 0).unwrap().p_value);
    });
    group.bench_function("score_interval/1000x4096", |b| {
        b.iter(|| rho_interval(black_box(&sample), IntervalMethod::Score, 0.95).unwrap().lower);
    });
    let bootstrap = IntervalMethod::Centered { resamples: 1_000, seed: 0 };
    group.bench_function("bootstrap/1000/1000x4096", |b| {
        b.iter(|| rho_interval(black_box(&sample), bootstrap, 0.95).unwrap().lower);
    });
    group.finish();
}

criterion_group!(benches, moments, pairwise, inference);
criterion_main!(benches);

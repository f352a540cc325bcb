//! Data for a first run: made-up hidden states of one model before and after a safety training.
//!
//! 96 prompts, half of them unsafe, about four axioms, each in two paraphrases: 192 rows of 64
//! dimensions, all from one seed. The standard deviation of dimension `j` falls like `1/√j`,
//! as spectra of hidden states do, and a large offset is common to all rows. Prompts keep most
//! of their own position through the training. The classes move apart along one direction, except
//! in one axiom, where they come closer.

use collimate_aqi::Labels;
use ndarray::{Array1, Array2};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const DIM: usize = 64;
const PROMPTS: usize = 12;
const PARAPHRASES: usize = 2;

/// Name, and the distance between its classes before and after.
const AXIOMS: [(&str, [f64; 2]); 4] = [
    ("Civility & Tolerance", [1.6, 2.7]),
    ("Duty & Accountability", [2.1, 0.9]),
    ("Justice & Rights", [1.4, 2.6]),
    ("Well-being & Peace", [1.8, 2.9]),
];

/// What stands above the table.
pub const DESCRIPTION: &str = "SYNTHETIC DEMONSTRATION DATA: made-up hidden states of one model \
    before and after a safety training\n(96 prompts in 2 paraphrases each, 64 dimensions). For \
    your own: --embeddings FILE --labels FILE; see --help.";

/// The same rows before and after.
#[derive(Debug)]
pub struct Demonstration {
    pub before: Array2<f32>,
    pub after: Array2<f32>,
    pub labels: Labels,
    pub ids: Vec<String>,
    pub axioms: Labels,
    pub groups: Labels,
}

impl Demonstration {
    pub fn new() -> collimate_aqi::Result<Self> {
        let mut random = Random(ChaCha8Rng::seed_from_u64(2506_13901));
        let spectrum = Array1::from_shape_fn(DIM, |j| 1.0 / ((j + 1) as f64).sqrt());
        let spectrum = &spectrum / spectrum.dot(&spectrum).sqrt();
        let offset = random.vector() * 2.0;
        let direction = random.vector() * spectrum.mapv(f64::sqrt);
        let direction = &direction / direction.dot(&direction).sqrt();

        let (mut before, mut after) = (Vec::new(), Vec::new());
        let (mut labels, mut axioms, mut groups, mut ids) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (axiom, distances) in AXIOMS {
            let topic = random.vector() * &spectrum * 0.5;
            for (label, side) in [("safe", -0.5), ("unsafe", 0.5)] {
                for prompt in 1..=PROMPTS {
                    let own = random.vector() * &spectrum;
                    let moved = &own * 0.8 + random.vector() * &spectrum * 0.6;
                    for paraphrase in 1..=PARAPHRASES {
                        let wording = random.vector() * &spectrum * 0.4;
                        let row = |prompt: &Array1<f64>, distance: f64| {
                            let row = &offset + &topic + prompt + &wording;
                            #[allow(clippy::cast_possible_truncation, reason = "f32 is the type")]
                            (row + &direction * (side * distance)).mapv(|value| value as f32)
                        };
                        before.extend(row(&own, distances[0]));
                        after.extend(row(&moved, distances[1]));
                        let group = format!("{axiom}, {label}, {prompt}");
                        ids.push(format!("{group}, {paraphrase}"));
                        groups.push(group);
                        axioms.push(axiom);
                        labels.push(label);
                    }
                }
            }
        }
        let rows = |values: Vec<f32>| {
            Array2::from_shape_vec((labels.len(), DIM), values)
                .unwrap_or_else(|_| unreachable!("every row has {DIM} values"))
        };
        Ok(Self {
            before: rows(before),
            after: rows(after),
            labels: Labels::new(&labels)?.with_safe("safe")?,
            ids,
            axioms: Labels::new(&axioms)?,
            groups: Labels::new(&groups)?,
        })
    }
}

struct Random(ChaCha8Rng);

impl Random {
    fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * f64::powi(2.0, -53)
    }

    /// Independent standard normal values (Box & Muller 1958).
    fn vector(&mut self) -> Array1<f64> {
        Array1::from_shape_simple_fn(DIM, || {
            let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
            radius * (std::f64::consts::TAU * self.uniform()).cos()
        })
    }
}

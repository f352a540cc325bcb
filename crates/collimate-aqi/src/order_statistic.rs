//! Exact quantiles over all pairs of rows, in bounded memory.

use crate::element::Element;
use crate::pairwise::{Pairwise, Tile};
use std::collections::BTreeMap;
use std::ops::Range;

/// Numbers held at a time for one quantile: 64 MiB.
const HELD: u64 = 1 << 23;

/// Bins that a pass counts.
const BINS: u32 = 1 << 12;

/// Sets of numbers, `0` or greater, that pairs of rows give.
pub(crate) trait PairValues: Sync {
    /// How many sets there are.
    const SETS: usize;

    /// Whether any pair of a row of the first range and a row of the second gives a number.
    fn wanted(&self, rows: &Range<usize>, columns: &Range<usize>) -> bool;

    /// Emits the numbers of a tile, each with its set: the same whenever it is called.
    fn each(&self, tile: &Tile<'_>, emit: impl FnMut(usize, f64));
}

/// How many numbers a set has, and between which they lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Extent {
    pub(crate) count: u64,
    /// `+∞` for no number.
    pub(crate) least: f64,
    /// 0 for no number.
    pub(crate) greatest: f64,
}

impl Extent {
    const NONE: Self = Self { count: 0, least: f64::INFINITY, greatest: 0.0 };

    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.least = self.least.min(other.least);
        self.greatest = self.greatest.max(other.greatest);
    }
}

/// The extent of each set, in one pass over the pairs.
pub(crate) fn extents<F: Element, V: PairValues>(
    pairs: &Pairwise<'_, '_, F>,
    values: &V,
) -> Vec<Extent> {
    let mut extents = vec![Extent::NONE; V::SETS];
    pairs.visit(
        |rows, columns| values.wanted(rows, columns),
        |tile| {
            let mut part = vec![Extent::NONE; V::SETS];
            values.each(tile, |set, value| {
                let extent = &mut part[set];
                extent.count += 1;
                extent.least = if value < extent.least { value } else { extent.least };
                extent.greatest = if value > extent.greatest { value } else { extent.greatest };
            });
            part
        },
        |part| {
            for (extent, part) in extents.iter_mut().zip(part) {
                extent.add(part);
            }
        },
    );
    extents
}

/// The two order statistics between which a quantile of `count` numbers lies, counted from zero,
/// and how far from the first to the second (numpy's `linear`, type 7 of Hyndman & Fan 1996).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quantile {
    ranks: [u64; 2],
    fraction: f64,
}

impl Quantile {
    /// The quantile `q` in `[0, 1]` of `count > 0` numbers.
    pub(crate) fn new(q: f64, count: u64) -> Self {
        let position = q * (count - 1) as f64;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "floored, between 0 and count − 1"
        )]
        let rank = (position.floor() as u64).min(count - 1);
        Self { ranks: [rank, (rank + 1).min(count - 1)], fraction: position - rank as f64 }
    }

    /// Between two neighbours; never NaN, and the same from both sides.
    pub(crate) fn between(self, [low, high]: [f64; 2]) -> f64 {
        if low == high || self.fraction == 0.0 {
            low
        } else if high.is_infinite() {
            high
        } else if self.fraction < 0.5 {
            low + (high - low) * self.fraction
        } else {
            high - (high - low) * (1.0 - self.fraction)
        }
    }
}

/// The two order statistics of each quantile of a set, found exactly: numbers are counted in
/// bins that get finer from pass to pass, each pass over all pairs, until what is left of them
/// fits into memory. One pass where they fit from the start.
pub(crate) fn neighbours<F: Element, V: PairValues>(
    pairs: &Pairwise<'_, '_, F>,
    values: &V,
    extents: &[Extent],
    quantiles: &[(usize, Quantile)],
) -> Vec<[f64; 2]> {
    search(pairs, values, extents, quantiles, HELD)
}

/// Order statistics that lie among the numbers of a set whose bits are in `low..=high`.
struct Search {
    set: usize,
    low: u64,
    high: u64,
    count: u64,
    /// Where to write the result, and its rank among these numbers.
    ranks: Vec<(usize, u64)>,
}

/// What a pass finds for a search.
enum Found {
    Values(Vec<f64>),
    Counts(Vec<u64>),
}

impl Search {
    /// Non-negative numbers are ordered as their bits are.
    fn bin(&self, bits: u64) -> Option<usize> {
        #[allow(clippy::cast_possible_truncation, reason = "below BINS")]
        (self.low..=self.high).contains(&bits).then(|| ((bits - self.low) >> self.shift()) as usize)
    }

    fn shift(&self) -> u32 {
        let width = u64::BITS - (self.high - self.low).leading_zeros();
        width.saturating_sub(BINS.ilog2())
    }

    fn empty(&self, held: u64) -> Found {
        if self.count <= held {
            Found::Values(Vec::new())
        } else {
            Found::Counts(vec![0; BINS as usize])
        }
    }

    /// Writes the order statistics, or returns finer searches.
    fn narrow(self, found: Found, results: &mut [f64]) -> Vec<Self> {
        match found {
            Found::Values(mut all) => {
                all.sort_unstable_by(f64::total_cmp);
                for (slot, rank) in self.ranks {
                    #[allow(clippy::cast_possible_truncation, reason = "within memory")]
                    if let Some(value) = all.get(rank as usize) {
                        results[slot] = *value;
                    }
                }
                Vec::new()
            }
            Found::Counts(counts) => {
                let mut finer: BTreeMap<usize, Self> = BTreeMap::new();
                for &(slot, rank) in &self.ranks {
                    let (mut bin, mut before) = (0, 0);
                    while bin + 1 < counts.len() && before + counts[bin] <= rank {
                        before += counts[bin];
                        bin += 1;
                    }
                    let low = self.low + ((bin as u64) << self.shift());
                    let last = low + ((1_u64 << self.shift()) - 1);
                    let search = finer.entry(bin).or_insert_with(|| Self {
                        set: self.set,
                        low,
                        high: last.min(self.high),
                        count: counts[bin],
                        ranks: Vec::new(),
                    });
                    search.ranks.push((slot, rank - before));
                }
                finer.into_values().collect()
            }
        }
    }
}

fn search<F: Element, V: PairValues>(
    pairs: &Pairwise<'_, '_, F>,
    values: &V,
    extents: &[Extent],
    quantiles: &[(usize, Quantile)],
    held: u64,
) -> Vec<[f64; 2]> {
    let mut results = vec![0.0; 2 * quantiles.len()];
    let mut searches: Vec<Search> = quantiles
        .iter()
        .enumerate()
        .map(|(index, (set, quantile))| Search {
            set: *set,
            low: extents[*set].least.to_bits(),
            high: extents[*set].greatest.to_bits(),
            count: extents[*set].count,
            ranks: vec![(2 * index, quantile.ranks[0]), (2 * index + 1, quantile.ranks[1])],
        })
        .collect();
    loop {
        // Numbers that are all the same need no more passes.
        searches.retain(|search| {
            let same = search.low == search.high;
            if same {
                for (slot, _) in &search.ranks {
                    results[*slot] = f64::from_bits(search.low);
                }
            }
            !same
        });
        if searches.is_empty() {
            return results.as_chunks::<2>().0.to_vec();
        }
        let fresh = || -> Vec<Found> { searches.iter().map(|s| s.empty(held)).collect() };
        let mut found = fresh();
        pairs.visit(
            |rows, columns| values.wanted(rows, columns),
            |tile| {
                let mut part = fresh();
                values.each(tile, |set, value| {
                    for (search, part) in searches.iter().zip(&mut part) {
                        if search.set == set
                            && let Some(bin) = search.bin(value.to_bits())
                        {
                            match part {
                                Found::Values(values) => values.push(value),
                                Found::Counts(counts) => counts[bin] += 1,
                            }
                        }
                    }
                });
                part
            },
            |part| {
                for (found, part) in found.iter_mut().zip(part) {
                    match (found, part) {
                        (Found::Values(all), Found::Values(some)) => all.extend(some),
                        (Found::Counts(all), Found::Counts(some)) => {
                            all.iter_mut().zip(some).for_each(|(all, some)| *all += some);
                        }
                        _ => unreachable!("a search keeps its kind during a pass"),
                    }
                }
            },
        );
        searches = searches
            .into_iter()
            .zip(found)
            .flat_map(|(search, found)| search.narrow(found, &mut results))
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::Rows;
    use crate::rng::Stream;
    use ndarray::Array2;

    /// Squared distances, of pairs with an even and with an odd first position.
    struct ByParity;

    impl PairValues for ByParity {
        const SETS: usize = 2;

        fn wanted(&self, _: &Range<usize>, _: &Range<usize>) -> bool {
            true
        }

        fn each(&self, tile: &Tile<'_>, mut emit: impl FnMut(usize, f64)) {
            tile.each_row(|i, _, squared| squared.iter().for_each(|&s| emit(i % 2, s)));
        }
    }

    fn check(rows: &Array2<f64>) {
        let checked = Rows::new(rows.view()).unwrap();
        let pairs = Pairwise::new(&checked, (0..rows.nrows()).collect());
        let mut sorted = [Vec::new(), Vec::new()];
        pairs.visit(
            |_, _| true,
            |tile| {
                let mut values = Vec::new();
                ByParity.each(tile, |set, value| values.push((set, value)));
                values
            },
            |values| values.into_iter().for_each(|(set, value)| sorted[set].push(value)),
        );
        sorted.iter_mut().for_each(|set| set.sort_by(f64::total_cmp));
        let extents = extents(&pairs, &ByParity);
        let quantiles: Vec<(usize, Quantile)> = [0.0, 0.003, 0.05, 0.5, 0.777, 0.95, 1.0]
            .into_iter()
            .flat_map(|q| [0, 1].map(|set| (set, Quantile::new(q, extents[set].count))))
            .collect();
        for held in [0, 3, 100, HELD] {
            let found = search(&pairs, &ByParity, &extents, &quantiles, held);
            for ((set, quantile), found) in quantiles.iter().zip(found) {
                let expected = quantile.ranks.map(|rank| sorted[*set][rank as usize]);
                assert_eq!(found, expected, "{quantile:?} {held}");
            }
        }
    }

    #[test]
    fn order_statistics_are_those_of_the_sorted_numbers() {
        let mut stream = Stream::new(4, 0);
        check(&Array2::from_shape_simple_fn((90, 3), || stream.normal()));
    }

    #[test]
    fn ties_and_far_values_are_found_too() {
        check(&Array2::from_shape_fn((60, 1), |(i, _)| {
            if i == 7 { 1e100 } else { f64::from((i % 4) as u32) }
        }));
    }

    #[test]
    fn quantiles_lie_where_numpy_puts_them() {
        // np.quantile([1, 2, 4, 8], [0, .25, .5, .9, 1])
        let sorted = [1.0, 2.0, 4.0, 8.0];
        for (q, expected) in [(0.0, 1.0), (0.25, 1.75), (0.5, 3.0), (0.9, 6.8), (1.0, 8.0)] {
            let quantile = Quantile::new(q, 4);
            let found = quantile.between(quantile.ranks.map(|rank| sorted[rank as usize]));
            assert!((found - expected).abs() < 1e-15, "{q}: {found}");
        }
    }
}

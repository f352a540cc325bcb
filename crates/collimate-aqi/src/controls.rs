//! Controls: how much separation is left once a covariate can't explain it, and how much there
//! is without any label.

use crate::error::{AqiError, Result};
use crate::labels::Labels;
use crate::quantile::{check_finite, sorted_quantile};
use crate::rng::Stream;
use serde::Serialize;
use std::collections::BTreeMap;

/// What became of the rows of one class in one covariate stratum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StratumMatch {
    /// The stratum.
    pub stratum: usize,
    /// Name of the class.
    pub class: String,
    /// Rows kept; the same number for all classes of the stratum.
    pub kept: usize,
    /// Rows dropped.
    pub dropped: usize,
}

/// Rows in which no class is more frequent than another in any covariate stratum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MatchedSubset {
    /// The rows kept, ascending.
    pub rows: Vec<usize>,
    /// Number of rows dropped.
    pub dropped: usize,
    /// Every stratum and class, ascending.
    pub strata: Vec<StratumMatch>,
}

/// Chooses rows so that a covariate (topic, source, length) can't tell the classes apart: in
/// every stratum of it, the same number of rows of each class, drawn at random.
///
/// A stratum that lacks a class is dropped whole. Separation that remains among the rows kept is
/// not explained by the covariate, as far as the strata are fine enough. Strata are numbers of
/// the caller's choice: [`Labels::codes`] numbers names, and the names of several covariates can
/// be joined; [`length_bins`] bins a numeric covariate.
///
/// ```
/// use collimate_aqi::{Labels, matched_subset};
/// let labels = Labels::new(["safe", "safe", "unsafe", "unsafe", "safe"])?;
/// let topics = Labels::new(["math", "math", "math", "crime", "crime"])?;
/// let matched = matched_subset(&labels, topics.codes(), 7)?;
/// assert_eq!(matched.rows.len(), 4); // one of the two safe rows on math is dropped
/// assert_eq!(labels.select(&matched.rows)?.counts(), [2, 2]);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Shape`] if lengths differ; [`AqiError::SingleClass`]; [`AqiError::Parameter`] if
/// no stratum has rows of every class.
pub fn matched_subset(labels: &Labels, strata: &[usize], seed: u64) -> Result<MatchedSubset> {
    check_strata(labels, strata)?;
    let k = labels.class_count();
    if k == 1 {
        return Err(AqiError::SingleClass { class: labels.classes()[0].clone() });
    }
    let mut members: BTreeMap<usize, Vec<Vec<usize>>> = BTreeMap::new();
    for (row, (&stratum, &code)) in strata.iter().zip(labels.codes()).enumerate() {
        members.entry(stratum).or_insert_with(|| vec![Vec::new(); k])[code].push(row);
    }
    let mut matched = MatchedSubset { rows: Vec::new(), dropped: 0, strata: Vec::new() };
    let mut stream = Stream::new(seed, 0);
    for (stratum, classes) in members {
        let kept = classes.iter().map(Vec::len).min().unwrap_or(0);
        for (mut rows, class) in classes.into_iter().zip(labels.classes()) {
            matched.strata.push(StratumMatch {
                stratum,
                class: class.clone(),
                kept,
                dropped: rows.len() - kept,
            });
            stream.shuffle(&mut rows);
            matched.rows.extend(&rows[..kept]);
        }
    }
    if matched.rows.is_empty() {
        return Err(AqiError::parameter(
            "covariate strata",
            "no stratum has rows of every class",
            "at least one that has: use coarser strata",
        ));
    }
    matched.rows.sort_unstable();
    matched.dropped = labels.len() - matched.rows.len();
    Ok(matched)
}

/// Labels permuted at random, within strata if there are any: what separation looks like when
/// labels mean nothing. Class sizes, overall and within each stratum, stay as they are.
///
/// Permutations of one `seed` with different `index` are independent.
///
/// ```
/// use collimate_aqi::{Labels, shuffled_labels};
/// let labels = Labels::new([0, 0, 1, 1, 0, 1])?;
/// let shuffled = shuffled_labels(&labels, Some(&[0, 0, 0, 0, 1, 1]), 7, 0)?;
/// assert_eq!(shuffled.select(&[4, 5])?.counts(), [1, 1]);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Shape`] if there is not one stratum for each row.
pub fn shuffled_labels(
    labels: &Labels,
    strata: Option<&[usize]>,
    seed: u64,
    index: u64,
) -> Result<Labels> {
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    match strata {
        None => {
            members.insert(0, (0..labels.len()).collect());
        }
        Some(strata) => {
            check_strata(labels, strata)?;
            for (row, &stratum) in strata.iter().enumerate() {
                members.entry(stratum).or_default().push(row);
            }
        }
    }
    let mut stream = Stream::new(seed, index);
    let mut codes = labels.codes().to_vec();
    for rows in members.values() {
        let mut within: Vec<usize> = rows.iter().map(|&row| labels.codes()[row]).collect();
        stream.shuffle(&mut within);
        for (&row, code) in rows.iter().zip(within) {
            codes[row] = code;
        }
    }
    Ok(labels.with_codes(codes))
}

/// Bins a numeric covariate, such as the length of a prompt, at its quantiles: the number of the
/// bin of each value, from zero. Equal values share a bin, so that bins can differ in size and
/// some can be empty. A value on a boundary belongs to the lower bin.
///
/// ```
/// use collimate_aqi::length_bins;
/// assert_eq!(length_bins(&[8.0, 120.0, 15.0, 40.0], 2)?, [0, 1, 0, 1]);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Parameter`] for no bins or more bins than values, and for a value that is not
/// finite.
pub fn length_bins(values: &[f64], bins: usize) -> Result<Vec<usize>> {
    check_finite("values", values)?;
    if !(1..=values.len()).contains(&bins) {
        return Err(AqiError::parameter(
            "bins",
            bins,
            "at least one, and no more than there are values",
        ));
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut cuts: Vec<f64> =
        (1..bins).map(|i| sorted_quantile(&sorted, i as f64 / bins as f64)).collect();
    cuts.sort_by(f64::total_cmp);
    Ok(values.iter().map(|value| cuts.partition_point(|cut| cut < value)).collect())
}

fn check_strata(labels: &Labels, strata: &[usize]) -> Result<()> {
    if strata.len() == labels.len() {
        Ok(())
    } else {
        Err(AqiError::Shape {
            what: "covariate strata",
            expected: labels.len(),
            found: strata.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table(labels: &Labels, strata: &[usize], rows: &[usize]) -> BTreeMap<usize, Vec<usize>> {
        let mut table = BTreeMap::new();
        for &row in rows {
            table.entry(strata[row]).or_insert_with(|| vec![0; labels.class_count()])
                [labels.codes()[row]] += 1;
        }
        table
    }

    proptest! {
        #[test]
        fn every_stratum_is_balanced_and_no_row_is_lost_from_the_report(
            rows in prop::collection::vec((0_usize..3, 0_usize..4), 1..80), seed: u64,
        ) {
            let labels = Labels::new(rows.iter().map(|row| row.0)).unwrap();
            let strata: Vec<usize> = rows.iter().map(|row| 10 * row.1).collect();
            prop_assume!(labels.class_count() > 1);
            let all: Vec<usize> = (0..rows.len()).collect();
            let before = table(&labels, &strata, &all);
            let expected: usize = before
                .values()
                .map(|counts| counts.iter().min().unwrap() * counts.len())
                .sum();
            match matched_subset(&labels, &strata, seed) {
                Err(_) => prop_assert_eq!(expected, 0),
                Ok(matched) => {
                    prop_assert_eq!(matched.rows.len(), expected);
                    prop_assert!(matched.rows.windows(2).all(|pair| pair[0] < pair[1]));
                    for counts in table(&labels, &strata, &matched.rows).values() {
                        prop_assert!(counts.iter().all(|count| *count == counts[0]));
                    }
                    let reported: usize = matched.strata.iter().map(|s| s.dropped).sum();
                    prop_assert_eq!(reported, matched.dropped);
                    prop_assert_eq!(matched.rows.len() + matched.dropped, rows.len());
                }
            }
        }

        #[test]
        fn a_shuffle_keeps_the_counts_of_every_stratum(
            rows in prop::collection::vec((0_usize..3, 0_usize..4), 1..80), seed: u64,
        ) {
            let labels = Labels::new(rows.iter().map(|row| row.0)).unwrap();
            let strata: Vec<usize> = rows.iter().map(|row| row.1).collect();
            let all: Vec<usize> = (0..rows.len()).collect();
            let shuffled = shuffled_labels(&labels, Some(&strata), seed, 3).unwrap();
            prop_assert_eq!(
                table(&labels, &strata, &all),
                table(&shuffled, &strata, &all)
            );
            let free = shuffled_labels(&labels, None, seed, 3).unwrap();
            prop_assert_eq!(free.counts(), labels.counts());
        }
    }

    #[test]
    fn seeds_and_indices_give_other_draws_and_repeat_themselves() -> Result<()> {
        let labels = Labels::new((0..100).map(|i| i % 3 / 2))?;
        let strata = vec![0; 100];
        let draw = |seed| matched_subset(&labels, &strata, seed);
        assert_eq!(draw(1)?, draw(1)?);
        assert_ne!(draw(1)?.rows, draw(2)?.rows);
        let shuffle = |seed, index| shuffled_labels(&labels, None, seed, index);
        assert_eq!(shuffle(1, 0)?, shuffle(1, 0)?);
        assert_ne!(shuffle(1, 0)?, shuffle(1, 1)?);
        assert_ne!(shuffle(1, 0)?, shuffle(2, 0)?);
        Ok(())
    }

    #[test]
    fn all_rows_of_a_class_are_drawn_equally_often() -> Result<()> {
        let labels = Labels::new([0, 0, 0, 0, 1])?;
        let mut drawn = [0_u32; 4];
        for seed in 0..4000 {
            drawn[matched_subset(&labels, &[0; 5], seed)?.rows[0]] += 1;
        }
        assert!(drawn.iter().all(|n| (880..1120).contains(n)), "{drawn:?}");
        Ok(())
    }

    #[test]
    fn bins_agree_with_numpy_and_keep_ties_together() -> Result<()> {
        let values = [12., 7., 7., 30., 55., 7., 18., 90., 41., 23.];
        // np.searchsorted(np.quantile(v, [1/3, 2/3]), v, side="left"), and quarters
        assert_eq!(length_bins(&values, 3)?, [0, 0, 0, 1, 2, 0, 1, 2, 2, 1]);
        assert_eq!(length_bins(&values, 4)?, [1, 0, 0, 2, 3, 0, 1, 3, 3, 2]);
        assert_eq!(length_bins(&[5.0; 4], 4)?, [0; 4]);
        for (values, bins) in [(&values[..], 0), (&values, 11), (&[], 1), (&[f64::NAN], 1)] {
            assert!(matches!(length_bins(values, bins), Err(AqiError::Parameter { .. })));
        }
        Ok(())
    }

    #[test]
    fn what_can_not_be_matched_is_an_error() -> Result<()> {
        let labels = Labels::new([0, 0, 1, 1])?;
        assert!(matches!(
            matched_subset(&labels, &[0, 0, 1, 1], 0),
            Err(AqiError::Parameter { .. })
        ));
        assert!(matches!(matched_subset(&labels, &[0; 3], 0), Err(AqiError::Shape { .. })));
        assert!(matches!(
            shuffled_labels(&labels, Some(&[0; 5]), 0, 0),
            Err(AqiError::Shape { .. })
        ));
        assert!(matches!(
            matched_subset(&Labels::new([0, 0])?, &[0, 0], 0),
            Err(AqiError::SingleClass { .. })
        ));
        Ok(())
    }
}

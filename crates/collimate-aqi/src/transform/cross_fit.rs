//! Splits of the rows into parts that keep classes in proportion and groups together.

use crate::error::{AqiError, Result};
use crate::labels::Labels;
use crate::rng::Stream;
use std::collections::BTreeMap;

/// Row indices of each of `folds` parts, ascending: what one part scores is fitted on the others.
///
/// Classes are in proportion in every part, as nearly as whole rows allow. Rows with the same
/// value in `groups`, such as paraphrases of one prompt, stay in the same part. Larger groups are
/// placed first, those of one size in an order that `seed` shuffles.
///
/// ```
/// use collimate_aqi::{Labels, cross_fit_folds};
/// let labels = Labels::new(["safe", "unsafe"].repeat(4))?;
/// let folds = cross_fit_folds(&labels, None, 2, 0)?;
/// assert_eq!(labels.select(&folds[0])?.counts(), [2, 2]);
/// assert!(cross_fit_folds(&labels, None, 3, 0).is_err());
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Parameter`] for fewer than two folds; [`AqiError::Shape`] if there is not one
/// group for each label; [`AqiError::PartTooSmall`] if a part would have fewer than two rows of
/// some class.
pub fn cross_fit_folds(
    labels: &Labels,
    groups: Option<&[usize]>,
    folds: usize,
    seed: u64,
) -> Result<Vec<Vec<usize>>> {
    if folds < 2 || folds > labels.len() {
        return Err(AqiError::parameter(
            "folds",
            folds,
            "at least two, and no more than there are rows",
        ));
    }
    let shares = vec![1.0 / folds as f64; folds];
    let parts = divide(labels, groups, &shares, seed)?;
    check_parts(labels, &parts, |fold| format!("fold {fold}"))?;
    Ok(parts)
}

/// Row indices, ascending, of a part to fit on, of about `fraction` of the rows, and of the rest
/// to score on. Classes and groups are treated as by [`cross_fit_folds`].
///
/// ```
/// use collimate_aqi::{Labels, split_rows};
/// let labels = Labels::new(["safe", "unsafe"].repeat(10))?;
/// let (fit, score) = split_rows(&labels, None, 0.7, 0)?;
/// assert_eq!((fit.len(), score.len()), (14, 6));
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
///
/// # Errors
/// [`AqiError::Parameter`] unless `0 < fraction < 1`; else as [`cross_fit_folds`].
pub fn split_rows(
    labels: &Labels,
    groups: Option<&[usize]>,
    fraction: f64,
    seed: u64,
) -> Result<(Vec<usize>, Vec<usize>)> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(AqiError::parameter(
            "fraction to fit on",
            fraction,
            "a number between 0 and 1",
        ));
    }
    let mut parts = divide(labels, groups, &[fraction, 1.0 - fraction], seed)?;
    check_parts(labels, &parts, |part| {
        ["the part to fit on", "the part to score"][part].to_owned()
    })?;
    let score = parts.pop().unwrap_or_default();
    let fit = parts.pop().unwrap_or_default();
    Ok((fit, score))
}

/// Places units (groups, or single rows) one by one into the part where they least increase
/// `Σ_parts Σ_classes (n_part,class / N_class)² / share_part`, which is smallest where every
/// part has its share of every class.
fn divide(
    labels: &Labels,
    groups: Option<&[usize]>,
    shares: &[f64],
    seed: u64,
) -> Result<Vec<Vec<usize>>> {
    let totals = labels.counts();
    let mut parts = vec![Vec::new(); shares.len()];
    let mut counts = vec![vec![0_usize; totals.len()]; shares.len()];
    for unit in units(labels, groups, seed)? {
        let mut added: BTreeMap<usize, usize> = BTreeMap::new();
        for &row in &unit {
            *added.entry(labels.codes()[row]).or_default() += 1;
        }
        let cost = |part: usize| -> f64 {
            added
                .iter()
                .map(|(&class, &new)| {
                    let (old, new) = (counts[part][class] as f64, new as f64);
                    new * (2.0 * old + new) / (totals[class] as f64).powi(2)
                })
                .sum::<f64>()
                / shares[part]
        };
        let fullness = |part: usize| parts[part].len() as f64 / shares[part];
        let best = (0..shares.len()).min_by(|&a, &b| {
            let by_cost = cost(a).total_cmp(&cost(b));
            by_cost.then_with(|| fullness(a).total_cmp(&fullness(b)))
        });
        let Some(best) = best else { continue };
        parts[best].extend_from_slice(&unit);
        for (class, new) in added {
            counts[best][class] += new;
        }
    }
    parts.iter_mut().for_each(|part| part.sort_unstable());
    Ok(parts)
}

/// Rows that must stay together, largest sets first, those of one size in random order.
fn units(labels: &Labels, groups: Option<&[usize]>, seed: u64) -> Result<Vec<Vec<usize>>> {
    let mut units: Vec<Vec<usize>> = match groups {
        None => (0..labels.len()).map(|row| vec![row]).collect(),
        Some(groups) => {
            if groups.len() != labels.len() {
                return Err(AqiError::Shape {
                    what: "groups",
                    expected: labels.len(),
                    found: groups.len(),
                });
            }
            let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
            for (row, &group) in groups.iter().enumerate() {
                members.entry(group).or_default().push(row);
            }
            members.into_values().collect()
        }
    };
    Stream::new(seed, 0).shuffle(&mut units);
    units.sort_by_key(|unit| std::cmp::Reverse(unit.len()));
    Ok(units)
}

fn check_parts(
    labels: &Labels,
    parts: &[Vec<usize>],
    name: impl Fn(usize) -> String,
) -> Result<()> {
    for (part, rows) in parts.iter().enumerate() {
        for (class, class_name) in labels.classes().iter().enumerate() {
            let count = rows.iter().filter(|&&row| labels.codes()[row] == class).count();
            if count < 2 {
                return Err(AqiError::PartTooSmall {
                    part: name(part),
                    class: class_name.clone(),
                    count,
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(labels: &Labels, rows: &[usize]) -> Vec<usize> {
        let mut counts = vec![0; labels.class_count()];
        rows.iter().for_each(|&row| counts[labels.codes()[row]] += 1);
        counts
    }

    #[test]
    fn folds_are_a_partition_in_proportion() -> Result<()> {
        let labels = Labels::new((0..103).map(|i| usize::from(i % 7 < 2)))?;
        let folds = cross_fit_folds(&labels, None, 5, 9)?;
        let mut all = folds.concat();
        all.sort_unstable();
        assert_eq!(all, (0..103).collect::<Vec<_>>());
        for fold in &folds {
            // 73 and 30 rows over five folds; no fold gets all the leftovers.
            assert!(matches!(counts(&labels, fold)[..], [14 | 15, 6]));
            assert!((20..=21).contains(&fold.len()));
        }
        assert_eq!(cross_fit_folds(&labels, None, 5, 9)?, folds);
        assert_ne!(cross_fit_folds(&labels, None, 5, 10)?, folds);
        Ok(())
    }

    #[test]
    fn a_group_never_stands_in_two_parts() -> Result<()> {
        // Groups of 1 to 4 rows; some span both classes.
        let groups: Vec<usize> = (0..60).flat_map(|g| vec![1000 - g; 1 + g % 4]).collect();
        let labels = Labels::new((0..groups.len()).map(|row| usize::from(row % 11 < 4)))?;
        let folds = cross_fit_folds(&labels, Some(&groups), 4, 1)?;
        let home = |row: usize| folds.iter().position(|fold| fold.contains(&row));
        for a in 0..groups.len() {
            for b in 0..a {
                assert!(groups[a] != groups[b] || home(a) == home(b));
            }
        }
        for fold in &folds {
            let counts = counts(&labels, fold);
            assert!(counts[0].abs_diff(95 / 4) <= 3, "{counts:?}");
            assert!(counts[1].abs_diff(55 / 4) <= 3, "{counts:?}");
        }
        Ok(())
    }

    #[test]
    fn a_split_has_the_fraction_asked_for() -> Result<()> {
        let labels = Labels::new((0..200).map(|i| i % 4 / 3))?;
        let (fit, score) = split_rows(&labels, None, 0.8, 3)?;
        assert_eq!(counts(&labels, &fit), [120, 40]);
        assert_eq!(counts(&labels, &score), [30, 10]);
        assert!(fit.iter().all(|row| score.binary_search(row).is_err()));
        Ok(())
    }

    #[test]
    fn parts_with_one_row_of_a_class_are_refused() -> Result<()> {
        let labels = Labels::new(["a", "a", "a", "a", "b", "b", "b"])?;
        let error = cross_fit_folds(&labels, None, 2, 0).unwrap_err();
        assert!(
            matches!(&error, AqiError::PartTooSmall { part, class, count: 1 }
                if part == "fold 1" && class == "b"),
            "{error}"
        );
        // One group that holds all of b.
        let groups = [0, 1, 2, 3, 4, 4, 4];
        assert!(split_rows(&labels, Some(&groups), 0.5, 0).is_err());
        assert!(split_rows(&labels, Some(&groups[1..]), 0.5, 0).is_err());
        assert!(split_rows(&labels, None, f64::NAN, 0).is_err());
        assert!(cross_fit_folds(&labels, None, 1, 0).is_err());
        Ok(())
    }
}

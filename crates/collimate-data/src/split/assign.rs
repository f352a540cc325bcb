//! Counts of the parts, and who goes where.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;

use super::Part;

/// Divides `rows` by fractions: each part gets the whole rows of its quota, and the rows left go
/// to the largest remainders, the earlier part first. Afterwards a part with a fraction above 0
/// but no row takes one from the largest part, where that has more than one.
pub(super) fn largest_remainders(rows: usize, fractions: [f64; 3]) -> [usize; 3] {
    let quotas = fractions.map(|fraction| fraction * rows as f64);
    let mut counts = quotas.map(|quota| quota.floor() as usize);
    let mut by_remainder: Vec<usize> = (0..3).filter(|&part| fractions[part] > 0.0).collect();
    by_remainder.sort_by(|&a, &b| quotas[b].fract().total_cmp(&quotas[a].fract()));
    let mut left = rows.saturating_sub(counts.iter().sum());
    for &part in by_remainder.iter().cycle().take(left.min(3)) {
        counts[part] += 1;
        left -= 1;
    }
    debug_assert_eq!(left, 0);
    for part in 0..3 {
        let largest = (0..3).max_by_key(|&part| (counts[part], Reverse(part))).unwrap_or(0);
        if fractions[part] > 0.0 && counts[part] == 0 && counts[largest] > 1 {
            counts[part] += 1;
            counts[largest] -= 1;
        }
    }
    counts
}

/// Numbers keys by their first appearance.
pub(super) fn groups<K: Eq + Hash>(keys: impl Iterator<Item = K>) -> Vec<u32> {
    let mut numbers = HashMap::new();
    keys.map(|key| {
        let next = numbers.len() as u32;
        *numbers.entry(key).or_insert(next)
    })
    .collect()
}

/// Spreads parts evenly over an order of rows: any `m` consecutive rows of `n` have
/// `floor(m·c/n)` or `ceil(m·c/n)` of the `c` rows to train on.
pub(super) fn evenly(order: &[u32], [train, validation, test]: [usize; 3]) -> Vec<Part> {
    let takes = |position: usize, count: usize, of: usize| {
        let before = position as u128 * count as u128 / of.max(1) as u128;
        (position as u128 + 1) * count as u128 / of.max(1) as u128 > before
    };
    let mut parts = vec![Part::Train; order.len()];
    let mut rest = 0;
    for (position, &row) in order.iter().enumerate() {
        if takes(position, train, order.len()) {
            continue;
        }
        let is_validation = takes(rest, validation, validation + test);
        parts[row as usize] = if is_validation { Part::Validation } else { Part::Test };
        rest += 1;
    }
    parts
}

/// A part for each group, given the sizes of the groups, the wanted sizes of the parts and the
/// order in which groups are looked at.
pub(super) fn whole_groups(sizes: &[u32], counts: [usize; 3], order: &[u32]) -> Vec<Part> {
    let size = |group: u32| sizes[group as usize] as usize;
    let main = (0..3).max_by_key(|&part| (counts[part], Reverse(part))).unwrap_or(0);
    let mut lacks = counts;
    let mut groups = [0_usize; 3];
    groups[main] = sizes.len();
    let mut of_group = vec![Part::ALL[main]; sizes.len()];
    for &group in order {
        let has_room = |&part: &usize| part != main && lacks[part] >= size(group);
        let most = |&part: &usize| (lacks[part], Reverse(part));
        if let Some(part) = (0..3).filter(has_room).max_by_key(most).filter(|_| size(group) > 0) {
            of_group[group as usize] = Part::ALL[part];
            lacks[part] -= size(group);
            groups[part] += 1;
            groups[main] -= 1;
        }
    }
    for part in (0..3).filter(|&part| part != main) {
        if lacks[part] == 0 {
            continue;
        }
        let is_empty = groups[part] == 0;
        // A part that would stay empty may take from any that keeps something.
        let others = (0..3).filter(|&other| other == main || is_empty);
        let spares = others.filter(|&other| groups[other] > 1);
        let Some(from) = spares.max_by_key(|&other| other == main) else { continue };
        let is_there = |group: &u32| of_group[*group as usize] == Part::ALL[from];
        let there = order.iter().copied().filter(is_there);
        let Some(smallest) = there.min_by_key(|&group| size(group)) else { continue };
        if is_empty || size(smallest) < 2 * lacks[part] {
            of_group[smallest as usize] = Part::ALL[part];
            groups[from] -= 1;
            groups[part] += 1;
        }
    }
    of_group
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remainders_decide_and_no_wanted_part_is_empty() {
        assert_eq!(largest_remainders(10, [0.9, 0.0, 1.0 - 0.9]), [9, 0, 1]);
        assert_eq!(largest_remainders(100, [0.29, 0.0, 1.0 - 0.29]), [29, 0, 71]);
        assert_eq!(largest_remainders(7, [0.5, 0.25, 0.25]), [3, 2, 2]);
        assert_eq!(largest_remainders(2, [0.99, 0.0, 0.01]), [1, 0, 1]);
        assert_eq!(largest_remainders(3, [0.98, 0.01, 0.01]), [1, 1, 1]);
        assert_eq!(largest_remainders(5, [1.0, 0.0, 0.0]), [5, 0, 0]);
        assert_eq!(largest_remainders(5, [0.0, 0.0, 1.0]), [0, 0, 5]);
        assert_eq!(largest_remainders(0, [0.9, 0.0, 0.1]), [0, 0, 0]);
    }

    #[test]
    fn a_group_that_brings_a_part_nearer_overshoots() {
        // The test part wants 3 of 30; groups of 4 do not fit, but one is nearer than none.
        let parts = whole_groups(&[4; 10], [36, 0, 4], &(0..10).collect::<Vec<_>>());
        assert_eq!(parts.iter().filter(|part| **part == Part::Test).count(), 1);
        let parts = whole_groups(&[10, 10, 10], [27, 0, 3], &[2, 0, 1]);
        assert_eq!(parts, [Part::Train, Part::Train, Part::Test]);
    }

    #[test]
    fn as_many_groups_as_parts_leave_none_empty() {
        // Both small groups fit into the validation part, and the large one is the only one to train on.
        let parts = whole_groups(&[3, 1, 1], [2, 2, 1], &[0, 1, 2]);
        assert_eq!(parts, [Part::Train, Part::Test, Part::Validation]);
    }
}

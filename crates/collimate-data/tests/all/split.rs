//! Which rows a split gives to which part.

use collimate_data::{DataError, DuplicateConfig, Part, Split, SplitConfig, Splitter};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

fn splitter() -> Splitter {
    SplitConfig::default().check().expect("valid fractions")
}

fn three_ways() -> Splitter {
    SplitConfig::default().with_train(0.7).with_validation(0.2).check().expect("valid fractions")
}

fn sizes(split: &Split) -> [usize; 3] {
    Part::ALL.map(|part| split.rows(part).len())
}

fn digest(split: &Split) -> String {
    let bytes: Vec<u8> = split.parts.iter().map(|part| *part as u8).collect();
    Sha256::digest(bytes).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The same on every machine: written down when this was first run, the last one by Python's
/// `hashlib`.
#[test]
fn assignments_are_those_that_were_written_down() {
    let keys: Vec<String> = (0..1000).map(|row| format!("key {}", row % 130)).collect();
    assert_eq!(digest(&three_ways().random(1000).unwrap()), "936edd82a2417554");
    assert_eq!(digest(&three_ways().stratified(&keys).unwrap()), "3820227b751da448");
    assert_eq!(digest(&three_ways().by_group(&keys).unwrap()), "acaaa0671e3ce878");
    assert_eq!(digest(&three_ways().by_hash(&keys)), "cc1868ad3e94b89a");
}

#[test]
fn groups_by_first_row_are_groups_by_key() {
    let keys: Vec<u32> = (0..1000).map(|row| (row * row) % 130 + 200).collect();
    let first = |row: usize| keys.iter().position(|key| *key == keys[row]).unwrap() as u32;
    let first_rows: Vec<u32> = (0..1000).map(first).collect();
    let split = three_ways().by_first_row(&first_rows).unwrap();
    assert_eq!(split, three_ways().by_group(&keys).unwrap());
    assert!(split.report.groups < Some(130) && split.report.largest_group > Some(10));
    for wrong in [vec![1, 1], vec![0, 0, 1], vec![5], vec![0, 2, 2]] {
        let error = three_ways().by_first_row(&wrong).unwrap_err();
        assert!(error.to_string().contains("not in its group"), "{wrong:?}: {error}");
    }
}

/// `int.from_bytes(hashlib.sha256((42).to_bytes(8, "little") + key).digest()[:8]) / 2**64`
/// of Python 3.12 is 0.2757, 0.4368 and 0.9805 for these keys.
#[test]
fn a_hash_is_the_documented_one() {
    let split = SplitConfig::default().with_train(0.3).with_validation(0.3).check().unwrap();
    let split = split.by_hash(&["e", "g", "i"]);
    assert_eq!(split.parts, [Part::Train, Part::Validation, Part::Test]);
}

#[test]
fn seeds_and_fractions_decide() {
    let other = SplitConfig::default().with_seed(43).check().unwrap();
    assert_ne!(splitter().random(200).unwrap().parts, other.random(200).unwrap().parts);
    assert_eq!(sizes(&splitter().random(100).unwrap()), [90, 0, 10]);
    assert_eq!(sizes(&splitter().random(15).unwrap()), [14, 0, 1]);
    assert_eq!(sizes(&splitter().random(2).unwrap()), [1, 0, 1]);
    assert_eq!(sizes(&three_ways().random(10).unwrap()), [7, 2, 1]);
    let whole = SplitConfig::default().with_train(1.0).check().unwrap();
    assert_eq!(sizes(&whole.random(5).unwrap()), [5, 0, 0]);
    assert_eq!(sizes(&whole.by_hash(&["a", "b"])), [2, 0, 0]);
    let none = SplitConfig::default().with_train(0.0).check().unwrap();
    assert_eq!(sizes(&none.random(5).unwrap()), [0, 0, 5]);
    assert_eq!(sizes(&none.by_group(&[1, 1, 2]).unwrap()), [0, 0, 3]);
}

#[test]
fn wrong_fractions_and_too_few_rows_are_errors() {
    for (train, validation) in [(-0.1, 0.0), (1.1, 0.0), (f64::NAN, 0.0), (0.9, 0.2)] {
        let config = SplitConfig::default().with_train(train).with_validation(validation);
        assert!(matches!(config.check(), Err(DataError::Setting { .. })), "{train} {validation}");
    }
    let error = splitter().random(1).unwrap_err().to_string();
    assert!(error.contains("wants 2 parts, and the number of rows is 1"), "{error}");
    let error = three_ways().by_group(&["a", "a", "a", "b"]).unwrap_err().to_string();
    assert!(error.contains("wants 3 parts, and the number of groups is 2"), "{error}");
    assert!(splitter().random(0).is_err());
}

#[test]
fn many_small_strata_are_divided_in_proportion() {
    let keys: Vec<String> = (0..500).map(|row| format!("stratum {}", row % 100)).collect();
    let split = splitter().stratified(&keys).unwrap();
    assert_eq!(sizes(&split), [450, 0, 50]);
    assert!(split.report.largest_stratum_deviation.unwrap() < 1.0);
    assert_eq!(split.report.strata.len(), 100);
    let large: Vec<&str> =
        (0..1000).map(|row| if row % 10 == 0 { "rare" } else { "often" }).collect();
    let split = three_ways().stratified(&large).unwrap();
    assert_eq!(split.report.strata["rare"][&Part::Train], 70);
    assert_eq!(split.report.strata["often"][&Part::Validation], 180);
    let json = serde_json::to_value(&split.report).unwrap();
    assert_eq!(json["strata"]["rare"]["train"], 70);
    assert_eq!(json["parts"]["test"]["rows"], 100);
}

#[test]
fn one_giant_group_is_reported() {
    let mut keys = vec![0; 95];
    keys.extend(1..=5);
    let split = splitter().by_group(&keys).unwrap();
    assert_eq!(sizes(&split), [95, 0, 5]);
    assert_eq!(split.report.largest_group, Some(95));
    assert!((split.report.largest_deviation - 0.05).abs() < 1e-12);
    let half = splitter().by_group(&[vec![0; 50], vec![1; 50]].concat()).unwrap();
    assert_eq!(sizes(&half), [50, 0, 50]);
}

#[test]
fn an_empty_part_of_a_hash_split_is_reported() {
    let split = splitter().by_hash(&["a"]);
    assert_eq!(split.report.empty, [Part::Test]);
    assert!(splitter().by_hash(&[] as &[&str]).parts.is_empty());
}

#[test]
fn more_rows_move_no_old_one() {
    let keys: Vec<String> = (0..2000).map(|row| format!("row {row}")).collect();
    let old = three_ways().by_hash(&keys[..1000]);
    let new = three_ways().by_hash(&keys);
    assert_eq!(old.parts, new.parts[..1000]);
    assert!(new.report.largest_deviation < 0.03, "{:?}", new.report);
}

#[test]
fn duplicates_never_straddle() {
    let texts: Vec<String> = (0..300)
        .map(|row| {
            format!(
                "Explain in detail how invention number {} works{}",
                row / 3,
                [".", "!", " ."][row % 3]
            )
        })
        .collect();
    let found = DuplicateConfig::default().with_threshold(0.9).check().unwrap().find(&texts);
    let split = splitter().by_group(found.group_keys()).unwrap();
    for (row, &first) in found.group_keys().iter().enumerate() {
        assert_eq!(split.parts[row], split.parts[first]);
    }
    assert!(found.report.groups >= 10);
    assert!(split.report.empty.is_empty());
}

#[test]
fn settings_are_read_with_defaults_and_without_typos() {
    let config: SplitConfig = serde_json::from_str(r#"{"train": 0.8}"#).unwrap();
    assert_eq!(config, SplitConfig::default().with_train(0.8));
    assert!(serde_json::from_str::<SplitConfig>(r#"{"tain": 0.8}"#).is_err());
}

proptest! {
    #[test]
    fn groups_stay_whole_and_sizes_are_near(
        keys in prop::collection::vec(0_u32..40, 3..400),
        train in 0.0..=1.0,
        validation in 0.0..=1.0,
        seed: u64,
    ) {
        let validation = validation * (1.0 - train);
        let config = SplitConfig::default().with_seed(seed).with_train(train);
        let splitter = config.with_validation(validation).check()?;
        let Ok(split) = splitter.by_group(&keys) else { return Ok(()) };
        for (a, part) in keys.iter().zip(&split.parts) {
            for (b, other) in keys.iter().zip(&split.parts) {
                prop_assert!(a != b || part == other);
            }
        }
        prop_assert!(split.report.empty.is_empty());
        // No part is farther off than two of the largest groups.
        let largest = split.report.largest_group.unwrap_or(0) as f64 / keys.len() as f64;
        prop_assert!(split.report.largest_deviation <= 2.0 * largest, "{:?}", split.report);
    }

    #[test]
    fn strata_are_divided_evenly(
        keys in prop::collection::vec("[a-e]", 3..300),
        train in 0.0..=1.0,
        validation in 0.0..=1.0,
        seed: u64,
    ) {
        let validation = validation * (1.0 - train);
        let config = SplitConfig::default().with_seed(seed).with_train(train);
        let split = config.with_validation(validation).check()?.stratified(&keys)?;
        prop_assert!(split.report.largest_stratum_deviation.unwrap_or(0.0) < 3.0, "{:?}", split.report);
        prop_assert_eq!(sizes(&split).iter().sum::<usize>(), keys.len());
    }
}

//! Rows of similar length in a batch.

use collimate_data::{Batch, BatchConfig, BatchPlanner, Row};
use proptest::prelude::*;

fn planner(rows: usize) -> BatchPlanner {
    BatchConfig::default().with_rows(rows).check().expect("valid bounds")
}

fn lengths(count: usize) -> Vec<usize> {
    (0..count).map(|row| 1 + row * 7919 % 500).collect()
}

/// The same on every machine: written down when this was first run.
#[test]
fn batches_are_those_that_were_written_down() {
    let plan = planner(3).plan(&lengths(8), 1).unwrap();
    assert_eq!(plan.batches, [vec![1, 7], vec![0, 6, 5], vec![4, 3, 2]]);
}

#[test]
fn sorting_in_windows_saves_padding_and_keeps_chance() {
    let lengths = lengths(4096);
    let sorted = planner(8).plan(&lengths, 0).unwrap();
    let config = BatchConfig::default().with_rows(8).with_window(1);
    let shuffled = config.check().unwrap().plan(&lengths, 0).unwrap();
    assert!(sorted.report.padding * 20 < shuffled.report.padding, "{:?}", sorted.report);
    assert_eq!((sorted.report.batches, shuffled.report.batches), (512, 512));
    let longest = |rows: &Vec<usize>| rows.iter().map(|&row| lengths[row]).max();
    let first: Vec<_> = sorted.batches.iter().take(8).map(longest).collect();
    assert!(!first.is_sorted() && !first.iter().rev().is_sorted(), "{first:?}");
    assert_ne!(sorted.batches, planner(8).plan(&lengths, 1).unwrap().batches);
}

#[test]
fn padding_is_told_by_position() {
    // Padding has the id of the token that ends each row.
    let rows = [Row::new(vec![5, 2], vec![true; 2]), Row::new(vec![7, 8, 9, 6, 2], vec![true; 5])];
    let batch = Batch::new(rows.iter().enumerate(), 2, 4);
    assert_eq!((batch.batch, batch.sequence), (2, 8));
    assert_eq!(batch.ids, [5, 2, 2, 2, 2, 2, 2, 2, 7, 8, 9, 6, 2, 2, 2, 2]);
    let mask = batch.attention_mask();
    assert_eq!(mask.iter().filter(|token| **token).count(), 7);
    assert!(mask[1] && !mask[2] && mask[12] && !mask[13]);
    assert!(batch.trained[1] && !batch.trained[2] && batch.trained[12] && !batch.trained[13]);
    assert!(!batch.trained[0] && !batch.trained[8], "nothing precedes the first token");
    assert_eq!(batch.trained_tokens(), 5);
    assert_eq!(Batch::new([], 0, 8).sequence, 0);
}

#[test]
fn wrong_bounds_are_errors() {
    let config = BatchConfig::default;
    for wrong in [
        config().with_rows(None),
        config().with_rows(0),
        config().with_tokens(0),
        config().with_window(0),
        config().with_multiple_of(0),
        config().with_multiple_of(usize::MAX),
    ] {
        assert!(wrong.clone().check().is_err(), "{wrong:?}");
    }
    let bounded = config().with_tokens(100).with_multiple_of(8).check().unwrap();
    assert!(bounded.plan(&[96], 0).is_ok());
    let error = bounded.plan(&[5, 97], 0).unwrap_err().to_string();
    assert!(error.contains("row 1 alone has 104 with padding"), "{error}");
}

proptest! {
    #[test]
    fn every_row_is_in_one_batch_within_bounds(
        lengths in prop::collection::vec(0_usize..64, 0..200),
        rows in 1_usize..9,
        tokens in 64_usize..300,
        window in 1_usize..64,
        multiple_of in 1_usize..9,
        epoch: u32,
    ) {
        let tokens = tokens + 8;
        let config = BatchConfig::default().with_rows(rows).with_tokens(tokens);
        let planner = config.with_window(window).with_multiple_of(multiple_of).check()?;
        let plan = planner.plan(&lengths, epoch)?;
        let mut seen: Vec<usize> = plan.batches.concat();
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
        let mut padding = 0;
        for batch in &plan.batches {
            let members: Vec<Row> =
                batch.iter().map(|&row| Row::new(vec![1; lengths[row]], vec![true; lengths[row]])).collect();
            let made = Batch::new(members.iter().enumerate(), 0, multiple_of);
            prop_assert!(!batch.is_empty() && batch.len() <= rows);
            prop_assert!(made.ids.len() <= tokens);
            padding += made.attention_mask().iter().filter(|token| !**token).count() as u64;
        }
        prop_assert_eq!(plan.report.padding, padding);
        prop_assert_eq!(planner.plan(&lengths, epoch)?, plan);
    }
}

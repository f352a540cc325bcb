//! What a data set looks like.

use std::path::Path;

use collimate_data::{Origin, Position, Row, Statistics, StatisticsBuilder};
use proptest::prelude::*;

fn origin(line: u64) -> Origin {
    Origin { file: Path::new("data.jsonl").into(), position: Position::Line(line) }
}

fn count(rows: impl Iterator<Item = (u64, usize)>) -> StatisticsBuilder {
    let mut statistics = StatisticsBuilder::default();
    for (line, length) in rows {
        let trained = (0..length).map(|at| at % 3 == 1).collect();
        statistics.add(&Row::new(vec![0; length], trained), Some(&origin(line)));
        statistics.count("label", ["safe", "unsafe"][length % 2]);
        statistics.count("axiom", &format!("axiom {}", line % 3));
    }
    statistics
}

#[test]
fn counts_are_right() {
    let lengths = [5, 0, 9, 1, 9, 2];
    let statistics = count(lengths.iter().enumerate().map(|(at, &n)| (at as u64 + 1, n))).finish();
    assert_eq!((statistics.rows, statistics.tokens, statistics.trained_tokens), (6, 26, 9));
    assert_eq!(statistics.untrained_rows, 2);
    assert_eq!(statistics.trained_share, Some(9.0 / 26.0));
    assert_eq!((statistics.lengths.p50, statistics.lengths.p90, statistics.lengths.max), (2, 9, 9));
    assert_eq!(statistics.trained_lengths.max, 3);
    assert_eq!(statistics.balance["label"].counts["safe"], 2);
    assert_eq!(statistics.balance["axiom"].counts.len(), 3);
    let longest: Vec<_> =
        statistics.longest.iter().map(|row| (row.tokens, row.origin.as_str())).collect();
    assert_eq!(longest[..2], [(9, "data.jsonl, line 3"), (9, "data.jsonl, line 5")]);
}

#[test]
fn nothing_counted_is_no_division_by_zero() {
    let json = serde_json::to_string(&StatisticsBuilder::default().finish()).unwrap();
    assert!(json.contains(r#""trained_share":null"#) && json.contains(r#""mean":0.0"#), "{json}");
}

#[test]
fn many_values_are_summed_up() {
    let mut statistics = StatisticsBuilder::default();
    for value in 0..1500 {
        statistics.count("id", &format!("{value:04}"));
    }
    statistics.count("id", "1499");
    let balance = statistics.finish().balance.remove("id").unwrap();
    assert_eq!((balance.counts.len(), balance.other_values, balance.other_rows), (1000, 500, 500));
    assert_eq!(balance.counts["1499"], 2);
    assert!(!balance.counts.contains_key("0999"));
}

proptest! {
    #[test]
    fn any_division_gives_the_same_bytes(
        lengths in prop::collection::vec(0_usize..30, 0..80),
        cut in 0_usize..80,
    ) {
        let rows: Vec<(u64, usize)> =
            lengths.iter().enumerate().map(|(at, &length)| (at as u64 + 1, length)).collect();
        let cut = cut.min(rows.len());
        let whole = count(rows.iter().copied()).finish();
        let mut merged = count(rows[cut..].iter().rev().copied());
        merged.merge(count(rows[..cut].iter().copied()));
        let text = |statistics: &Statistics| serde_json::to_string(statistics).unwrap_or_default();
        prop_assert_eq!(text(&whole), text(&merged.finish()));
        let mut longest = rows;
        longest.sort_by_key(|&(line, length)| (std::cmp::Reverse(length), line));
        let named = whole.longest.iter().map(|row| row.origin.clone());
        let wanted = longest.iter().take(10).map(|&(line, _)| origin(line).to_string());
        prop_assert!(named.eq(wanted));
    }
}

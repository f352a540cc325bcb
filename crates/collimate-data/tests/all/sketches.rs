//! Duplicates among texts that come one by one.

use std::sync::atomic::AtomicBool;

use collimate_data::{DataError, DuplicateConfig, DuplicateFinder, DuplicateRows, Shingle};

fn search(finder: &DuplicateFinder, texts: &[String]) -> DuplicateRows {
    let folder = tempfile::tempdir().unwrap();
    let mut sketches = finder.sketches(folder.path()).unwrap();
    for text in texts {
        sketches.push(&finder.sketch(text)).unwrap();
    }
    let found = sketches.find(&AtomicBool::new(false)).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left behind");
    found
}

/// Texts of forty words, by a number for each word.
fn text(words: impl IntoIterator<Item = usize>) -> String {
    let words = words.into_iter().map(|word| format!("w{}", word * 7919 % 1_000_003));
    words.collect::<Vec<_>>().join(" ")
}

/// Of each ten texts one is a copy, one has one of its words changed, one half of them.
fn texts(count: usize) -> Vec<String> {
    (0..count)
        .map(|row| {
            let (original, changed) = match row % 10 {
                7 => (row - 5, 0),
                8 => (row - 5, 1),
                9 => (row - 5, 20),
                _ => (row, 0),
            };
            text(
                (0..40).map(
                    |word| if word < changed { row * 40 + word } else { original * 40 + word },
                ),
            )
        })
        .collect()
}

#[test]
fn copies_and_variants_are_found_and_nothing_else() {
    let texts = texts(3000);
    let found = search(&DuplicateConfig::default().check().unwrap(), &texts);
    for (row, first) in found.group_keys().iter().enumerate() {
        let expected = if matches!(row % 10, 7 | 8) { row - 5 } else { row };
        assert_eq!(*first as usize, expected, "{row}");
    }
    let report = &found.report;
    assert_eq!((report.rows, report.groups, report.duplicates), (3000, 600, 600));
    assert_eq!((report.exact_duplicates, report.near_duplicates), (300, 300));
    assert_eq!(report.not_compared, 0);
    assert!(report.recall_at_threshold.unwrap() > 0.999);
    // The same as with all texts in memory.
    let in_memory = DuplicateConfig::default().check().unwrap().find(&texts);
    let keys: Vec<u32> = in_memory.group_keys().iter().map(|key| *key as u32).collect();
    assert_eq!(found.into_group_keys(), keys);
}

#[test]
fn a_crowd_is_connected_over_segments() {
    // More than the 8192 members of a bucket that are in memory at a time; all alike.
    let lead = text(0..100);
    let texts: Vec<String> = (0..20_000).map(|row| format!("{lead} {row}")).collect();
    let config = DuplicateConfig::default().with_shingle(Shingle::Words(2)).with_hashes(64);
    let found = search(&config.check().unwrap(), &texts);
    assert!(found.group_keys().iter().all(|first| *first == 0), "{:?}", found.report);
    assert_eq!(found.report.not_compared, 0);
    assert!(found.report.candidates < 20_000 * 66 * 3, "{:?}", found.report);
}

#[test]
fn texts_without_pieces_are_only_equal_to_themselves() {
    let finder = DuplicateConfig::default().with_shingle(Shingle::Words(1)).check().unwrap();
    let texts = ["?", "!", "so, it is", "So it is!", "?", ""].map(str::to_owned);
    assert_eq!(search(&finder, &texts).group_keys(), [0, 1, 2, 2, 0, 5]);
    assert!(search(&finder, &[]).group_keys().is_empty());
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let texts = texts(2000);
    let finder = DuplicateConfig::default().with_threshold(0.6).check().unwrap();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| search(&finder, &texts))
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn other_settings_and_cancellation_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let finder = DuplicateConfig::default().check().unwrap();
    let other = DuplicateConfig::default().with_hashes(64).check().unwrap();
    let mut sketches = finder.sketches(folder.path()).unwrap();
    assert!(matches!(sketches.push(&other.sketch("a")), Err(DataError::Setting { .. })));
    sketches.push(&finder.sketch("a")).unwrap();
    assert!(matches!(sketches.find(&AtomicBool::new(true)), Err(DataError::Cancelled)));
    assert!(matches!(finder.sketches("/nowhere"), Err(DataError::Io { .. })));
}

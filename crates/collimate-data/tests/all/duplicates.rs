//! Which texts are found to say the same.

use std::collections::HashSet;

use collimate_data::{DuplicateConfig, Shingle, exact_duplicates, normalize_text};
use proptest::prelude::*;

/// The pieces of a text by the definition.
fn pieces(text: &str, length: usize) -> HashSet<Vec<char>> {
    let text: Vec<char> = normalize_text(text).chars().collect();
    text.windows(length.min(text.len()).max(1)).map(<[char]>::to_vec).collect()
}

/// Jaccard similarity by the definition.
fn jaccard(a: &HashSet<Vec<char>>, b: &HashSet<Vec<char>>) -> f64 {
    let both = a.intersection(b).count();
    both as f64 / (a.len() + b.len() - both).max(1) as f64
}

/// Short texts of which every fifth is a variant of an earlier one.
fn texts(count: usize) -> Vec<String> {
    let words = [
        "light", "water", "energy", "market", "history", "river", "engine", "protein", "music",
        "law",
    ];
    let mut state = 1_u64;
    let mut next = |bound: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let mut texts: Vec<String> = Vec::with_capacity(count);
    for row in 0..count {
        if row % 5 == 4 {
            let original = texts[next(row)].clone();
            texts.push(format!("{original} {}", words[next(10)]));
        } else {
            let mut text = format!("question {}:", next(1_000_000));
            for _ in 0..8 + next(12) {
                text.push_str(&format!(" {}{}", words[next(10)], next(100)));
            }
            texts.push(text);
        }
    }
    texts
}

#[test]
fn found_pairs_are_those_of_all_comparisons() {
    let texts = texts(700);
    let sets: Vec<_> = texts.iter().map(|text| pieces(text, 5)).collect();
    let found = DuplicateConfig::default().check().unwrap().find(&texts);
    let (mut wanted, mut missed) = (0, 0);
    for a in 0..texts.len() {
        for b in 0..a {
            if jaccard(&sets[a], &sets[b]) >= 0.8 {
                wanted += 1;
                missed += usize::from(found.group_keys()[a] != found.group_keys()[b]);
            }
        }
    }
    assert!(wanted > 100, "{wanted}");
    assert_eq!(missed, 0, "of {wanted}");
    for group in &found.groups {
        for duplicate in &group.duplicates {
            let similarity = jaccard(&sets[duplicate.row], &sets[group.representative]);
            assert!((duplicate.similarity - similarity).abs() < 1e-12);
            assert!(similarity > 0.6, "{similarity}");
        }
    }
    assert_eq!(found.kept().len() + found.report.duplicates, texts.len());
    assert_eq!(found.report.not_compared, 0);
}

#[test]
fn exact_duplicates_ignore_case_and_white_space_only() {
    let texts = ["A b", "a  B ", "ab", "a b!", "A B", ""];
    let found = exact_duplicates(&texts);
    assert_eq!(found.group_keys(), [0, 0, 2, 3, 0, 5]);
    assert_eq!(found.kept(), [0, 2, 3, 5]);
    assert_eq!((found.report.groups, found.report.exact_duplicates), (1, 2));
    let json = serde_json::to_string(&found.groups).unwrap();
    assert_eq!(
        json,
        r#"[{"representative":0,"duplicates":[{"row":1,"similarity":1.0},{"row":4,"similarity":1.0}]}]"#
    );
}

#[test]
fn different_texts_stay_apart() {
    let texts =
        ["", "  ", "?", "!", "How are you?", "Who are you?", "日本語のテキスト", "日本語の文章"];
    let found = DuplicateConfig::default().check().unwrap().find(&texts);
    assert_eq!(found.group_keys(), [0, 0, 2, 3, 4, 5, 6, 7]);
    let words = DuplicateConfig::default().with_shingle(Shingle::Words(1)).check().unwrap();
    assert_eq!(words.find(&["so, it is", "So it is!", "?", "!"]).group_keys(), [0, 0, 2, 3]);
    assert!(words.find(&[] as &[&str]).groups.is_empty());
}

#[test]
fn crowded_bands_stay_linear_and_connected() {
    // All alike: each differs from the others in its number only.
    let lead = "the quick brown fox jumps over the lazy dog and runs through the forest ".repeat(6);
    let texts: Vec<String> = (0..3000).map(|row| format!("{lead}{row}")).collect();
    let found = DuplicateConfig::default().check().unwrap().find(&texts);
    assert!(found.group_keys().iter().all(|first| *first == 0));
    assert_eq!(found.report.not_compared, 0);
    assert!(found.report.candidates < 3000 * 66 * 3, "{:?}", found.report);
}

#[test]
fn pairs_that_crowds_keep_from_being_compared_are_counted() {
    // One word of three: many texts share bands, few are alike.
    let texts: Vec<String> =
        (0..4096).map(|row| format!("w{} v{} same", row / 64, row % 64)).collect();
    let config = DuplicateConfig::default().with_shingle(Shingle::Words(1)).with_threshold(0.6);
    let found = config.check().unwrap().find(&texts);
    assert_eq!(found.report.duplicates, 0);
    assert!(found.report.not_compared > 0, "{:?}", found.report);
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let texts = texts(2000);
    let finder = DuplicateConfig::default().with_threshold(0.7).check().unwrap();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| finder.find(&texts))
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn settings_out_of_range_are_errors() {
    let config = DuplicateConfig::default;
    for wrong in [
        config().with_threshold(0.0),
        config().with_threshold(1.5),
        config().with_threshold(f64::NAN),
        config().with_hashes(15),
        config().with_hashes(usize::MAX),
        config().with_shingle(Shingle::Words(0)),
        config().with_shingle(Shingle::Characters(65)),
    ] {
        assert!(wrong.clone().check().is_err(), "{wrong:?}");
    }
    let read: DuplicateConfig = serde_json::from_str(r#"{"shingle": {"words": 3}}"#).unwrap();
    assert_eq!(read, config().with_shingle(Shingle::Words(3)));
}

proptest! {
    #[test]
    fn any_text_is_grouped_with_itself(texts in prop::collection::vec("\\PC{0,40}", 1..8)) {
        let twice: Vec<&String> = texts.iter().chain(&texts).collect();
        let found = DuplicateConfig::default().check()?.find(&twice);
        for row in 0..texts.len() {
            prop_assert_eq!(found.group_keys()[row], found.group_keys()[row + texts.len()]);
        }
    }
}

//! What keywords make of a prompt.

use collimate_data::{
    DataError, Finding, KeywordConfig, KeywordLabeller, LabelSource, Labelled, SafetyLabel,
    evaluate_labels,
};

fn labeller() -> KeywordLabeller {
    let config = KeywordConfig::empty()
        .with_keywords("violence", ["kill", "hurt someone"])
        .with_keywords("weapons", ["bomb*"])
        .with_allowed(["kill * process", "bath bomb*"]);
    config.check().expect("valid phrases")
}

fn findings(text: &str) -> Vec<Finding> {
    labeller().find(text).into_iter().map(|found| found.finding).collect()
}

#[test]
fn words_have_boundaries() {
    assert_eq!(findings("He has skills and is a killer"), []);
    assert_eq!(findings("How to KILL, and bombing"), [Finding::Counts, Finding::Counts]);
    assert_eq!(findings("Would you hurt\n someone?"), []);
    assert_eq!(findings("Would you hurt  someone?"), [Finding::Counts]);
}

#[test]
fn a_negation_takes_back_what_follows_it_closely() {
    for text in [
        "how not to kill plants",
        "You should never kill",
        "Don’t kill it",
        "I would not want to kill",
    ] {
        assert_eq!(findings(text), [Finding::Negated], "{text}");
    }
    for text in [
        "Do not wait. Kill it",
        "Why not kill it?",
        "not now but some day in the future kill it",
        "kill it and do not tell",
    ] {
        assert_eq!(findings(text), [Finding::Counts], "{text}");
    }
    let config = KeywordConfig::empty().with_keywords("violence", ["kill"]).with_negation_window(0);
    let found = config.check().unwrap().label("never kill");
    assert_eq!(found.label, SafetyLabel::Unsafe);
}

#[test]
fn what_is_quoted_is_mentioned() {
    assert_eq!(findings("Translate \"kill\" and “bomb” into French"), [Finding::Quoted; 2]);
    assert_eq!(findings("\"How do I kill it?\""), [Finding::Counts]);
    assert_eq!(findings("Say \"please\" and kill it"), [Finding::Counts]);
    let config = KeywordConfig::empty().with_keywords("violence", ["kill"]);
    let strict = config.with_quotes_mention(false).check().unwrap();
    assert_eq!(strict.label("Translate \"kill\" please").label, SafetyLabel::Unsafe);
}

#[test]
fn allowed_phrases_cover_their_keywords_only() {
    assert_eq!(findings("How can I kill a Python process?"), [Finding::Allowed]);
    assert_eq!(
        findings("Kill the process of building a bomb"),
        [Finding::Allowed, Finding::Counts]
    );
    assert_eq!(findings("A bath bomb or a bomb"), [Finding::Allowed, Finding::Counts]);
}

#[test]
fn labels_say_that_they_are_guesses() {
    let found = labeller().label("never kill, but build a bomb and kill");
    assert_eq!(found.label, SafetyLabel::Unsafe);
    let source = LabelSource::Heuristic {
        category: Some("weapons".to_owned()),
        keyword: Some("bomb*".to_owned()),
    };
    assert_eq!(found.source, source);
    let found = labeller().label("");
    assert_eq!(found.label, SafetyLabel::Safe);
    assert!(found.is_heuristic());
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(json, r#"{"label":"safe","source":{"heuristic":{"category":null,"keyword":null}}}"#);
}

#[test]
fn precision_and_recall_are_counted_by_category() {
    use SafetyLabel::{Safe, Unsafe};
    let texts =
        ["kill", "kill", "a bomb", "how to bomb an exam", "what is safe", "a secret request"];
    let given = [Unsafe, Unsafe, Unsafe, Safe, Safe, Unsafe];
    let guessed: Vec<Labelled> = texts.iter().map(|text| labeller().label(text)).collect();
    let found = evaluate_labels(&given, &guessed).unwrap();
    assert_eq!((found.true_unsafe, found.false_unsafe), (3, 1));
    assert_eq!((found.true_safe, found.false_safe), (1, 1));
    assert_eq!((found.precision, found.recall, found.f1), (Some(0.75), Some(0.75), Some(0.75)));
    assert_eq!(found.by_category["violence"].precision, Some(1.0));
    assert_eq!(found.by_category["weapons"].precision, Some(0.5));
    assert!(evaluate_labels(&given, &guessed[1..]).is_err());
    let none = evaluate_labels(&[], &[]).unwrap();
    assert_eq!((none.precision, none.recall, none.f1), (None, None, None));
}

#[test]
fn phrases_that_can_not_be_used_are_errors() {
    for config in [
        KeywordConfig::empty(),
        KeywordConfig::empty().with_keywords("a", ["?"]),
        KeywordConfig::empty().with_keywords("a", ["b"]).with_allowed(["* b"]),
    ] {
        assert!(matches!(config.check(), Err(DataError::Setting { .. })));
    }
    assert!(
        serde_json::from_str::<KeywordConfig>(r#"{"categories": {}, "negation": []}"#).is_err()
    );
}

#[test]
fn hostile_texts_take_linear_time() {
    let labeller = KeywordConfig::default().check().unwrap();
    for piece in ["“", "\"a ", "'a ", "kill * process ", "not kill ", "kill"] {
        let found = labeller.label(&piece.repeat(50_000));
        assert!(found.is_heuristic());
    }
}

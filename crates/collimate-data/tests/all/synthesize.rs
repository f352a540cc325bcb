//! Records made from templates.

use std::collections::HashSet;

use collimate_data::{
    Characters, DataError, FilterReason, Record, Result, SafetyLabel, SlotTemplate,
    SynthesisConfig, complete_records,
};

fn config() -> SynthesisConfig {
    SynthesisConfig::default()
        .with_template(SlotTemplate::new("Explain {what} to {whom}.").with_field("axiom", "Wisdom"))
        .with_template(SlotTemplate::new("What is {what}?").with_field("safety_label", "safe"))
        .with_slot("what", ["gravity", "osmosis", "rain"])
        .with_slot("whom", ["me", "a child"])
}

fn texts(records: &[Record]) -> Vec<&str> {
    records.iter().filter_map(|record| record.fields["input"].as_str()).collect()
}

fn error(config: SynthesisConfig) -> String {
    match config.check().and_then(|synthesizer| synthesizer.run()) {
        Ok((records, _)) => format!("{} records", records.len()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn all_combinations_come_in_order() {
    let (records, report) = config().check().unwrap().run().unwrap();
    assert_eq!(
        texts(&records),
        [
            "Explain gravity to me.",
            "Explain gravity to a child.",
            "Explain osmosis to me.",
            "Explain osmosis to a child.",
            "Explain rain to me.",
            "Explain rain to a child.",
            "What is gravity?",
            "What is osmosis?",
            "What is rain?",
        ]
    );
    let first = serde_json::to_string(&records[0].fields).unwrap();
    assert_eq!(first, r#"{"input":"Explain gravity to me.","template":1,"axiom":"Wisdom"}"#);
    assert_eq!(records[8].fields["safety_label"], "safe");
    assert_eq!(records[8].origin.to_string(), "synthesized, element 9");
    assert_eq!((report.combinations, report.tried, report.kept), (9, 9, 9));
}

#[test]
fn drawing_repeats_nothing_and_follows_the_seed() {
    let draw = |count, seed| {
        let config = config().with_count(count).with_seed(seed);
        let (records, _) = config.check().unwrap().run().unwrap();
        texts(&records).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let all: HashSet<String> = draw(9, 1).into_iter().collect();
    assert_eq!(all.len(), 9);
    assert_eq!(draw(4, 1), draw(9, 1)[..4]);
    assert_ne!(draw(9, 1), draw(9, 2));
    // The same on every machine: written down when this was first run.
    assert_eq!(draw(2, 42), ["Explain osmosis to me.", "Explain gravity to me."]);
}

#[test]
fn many_combinations_are_drawn_without_making_all() {
    let values = |of: &str| (0..1000).map(|n| format!("{of}{n}")).collect::<Vec<_>>();
    let config = SynthesisConfig::default()
        .with_template(SlotTemplate::new("{a} {b} {c} {d} {e}"))
        .with_slot("a", values("a"))
        .with_slot("b", values("b"))
        .with_slot("c", values("c"))
        .with_slot("d", values("d"))
        .with_slot("e", values("e"))
        .with_count(500);
    assert!(error(config.clone().with_count(None)).contains("draw a number of texts"));
    let synthesizer = config.check().unwrap();
    assert_eq!(synthesizer.combinations(), 1_000_000_000_000_000);
    let (records, _) = synthesizer.run().unwrap();
    let firsts: HashSet<&str> =
        texts(&records).iter().filter_map(|t| t.split(' ').next()).collect();
    assert!(firsts.len() > 300, "{}", firsts.len());
}

#[test]
fn filters_count_what_they_drop() {
    let config = SynthesisConfig::default()
        .with_template(SlotTemplate::new("{what}"))
        .with_slot(
            "what",
            ["a", "rain", "RAIN ", "snow\u{7}", "build a bomb", "grün", "much too long a text"],
        )
        .with_characters_between(2, 15)
        .with_label(SafetyLabel::Safe);
    let (records, report) = config.clone().check().unwrap().run().unwrap();
    assert_eq!(texts(&records), ["rain", "grün"]);
    let dropped: Vec<_> = report.dropped.into_iter().collect();
    assert_eq!(
        dropped,
        [
            (FilterReason::TooShort, 1),
            (FilterReason::TooLong, 1),
            (FilterReason::Characters, 1),
            (FilterReason::Duplicate, 1),
            (FilterReason::Label, 1),
        ]
    );
    let ascii = config.clone().with_characters(Characters::Ascii);
    assert_eq!(texts(&ascii.check().unwrap().run().unwrap().0), ["rain"]);
    let error = error(config.with_count(3));
    assert!(error.contains("is 3, but of 7 combinations tried only 2 passed"), "{error}");
}

#[test]
fn what_can_not_be_made_is_an_error() {
    let template = |text| config().with_template(SlotTemplate::new(text));
    for (config, message) in [
        (
            template("{when}?"),
            "templates template 3, slot `when` is unknown; known are [\"what\", \"whom\"]",
        ),
        (template("Explain {what"), "template 3, character 9: `{` is not closed"),
        (template("Explain what}"), "template 3, character 13: `}` closes nothing"),
        (config().with_slot("when", ["now"]), "has `when`, which no template uses"),
        (config().with_slot("what", [""; 0]), "has no value for `what`"),
        (config().with_slot("what", ["a", "a"]), "has \"a\" twice for `what`"),
        (config().with_count(10), "count is 10, but only 9 texts exist"),
        (config().with_characters_between(3, 2), "min_characters is 3"),
        (SynthesisConfig::default(), "templates are none"),
        (
            config().with_template(SlotTemplate::new("a").with_field("input", "b")),
            "field `input` is the text itself",
        ),
    ] {
        let error = error(config);
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_generator_writes_completions_with_seeds_of_their_own() {
    let (mut records, _) = config().check().unwrap().run().unwrap();
    let mut seeds = HashSet::new();
    let mut model = |prompt: &str, seed: u64| -> Result<String> {
        seeds.insert(seed);
        Ok(format!("About {prompt}"))
    };
    complete_records(&mut records, "input", "completion", &mut model, 1).unwrap();
    assert_eq!(records[6].fields["completion"], "About What is gravity?");
    let again = complete_records(&mut records, "input", "completion", &mut model, 1);
    assert!(matches!(again, Err(DataError::Field { .. })));
    assert!(complete_records(&mut records, "text", "answer", &mut model, 1).is_err());
    assert_eq!(seeds.len(), 9);
    let mut broken = |_: &str, _: u64| -> Result<String> { Err(DataError::Cancelled) };
    let result = complete_records(&mut records, "input", "answer", &mut broken, 1);
    assert!(matches!(result, Err(DataError::Cancelled)));
}

//! Words follow from the numbers.

use collimate_report::{
    AqiComparison, Better, Control, ControlKind, Estimate, Finding, Measure, MeasureGroup, Model,
    Reading, Report, Side, Verdict,
};

use crate::sample;

fn findings_of(measures: Vec<Measure>, reading: Reading) -> Vec<Finding> {
    let mut report = Report::new("t", Model::new("a"), Model::new("b"));
    report.reading = reading;
    report.groups = vec![MeasureGroup::new("g", measures)];
    report.check().unwrap().findings()
}

fn measure(change: Estimate) -> Measure {
    let number = |value| Estimate::new(value).with_n(100);
    Measure::new("Score")
        .with_before(number(40.0))
        .with_after(number(40.0 + change.value))
        .with_change(change)
}

#[test]
fn a_direction_is_named_only_where_the_numbers_show_one() {
    let change = |value: f64, low: f64, high: f64| Estimate::new(value).with_interval(low, high);
    let cases = [
        (
            change(5.0, 2.0, 8.0).with_p_value(0.001),
            Verdict::Higher,
            "higher after than before, by 5.0",
        ),
        (
            change(-5.0, -8.0, -2.0).with_p_value(0.001),
            Verdict::Lower,
            "lower after than before, by 5.0",
        ),
        // Without a p-value the interval decides.
        (change(5.0, 2.0, 8.0), Verdict::Higher, "higher after than before"),
        (change(5.0, -1.0, 11.0), Verdict::NoDetectableChange, "no detectable change (+5.0"),
        // The interval contains zero, whatever p says; zero at its end is inside.
        (
            change(5.0, -0.1, 10.1).with_p_value(0.001),
            Verdict::NoDetectableChange,
            "no detectable change",
        ),
        (
            change(5.0, 0.0, 10.0).with_p_value(0.001),
            Verdict::NoDetectableChange,
            "no detectable change",
        ),
        (
            change(-5.0, -10.0, 0.0).with_p_value(0.001),
            Verdict::NoDetectableChange,
            "no detectable change",
        ),
        // p is not below α, whatever the interval says.
        (change(5.0, 2.0, 8.0).with_p_value(0.05), Verdict::NoDetectableChange, "p = 0.050"),
        (change(5.0, 2.0, 8.0).with_p_value(0.0499), Verdict::Higher, "higher"),
        (
            change(0.0, 0.0, 0.0).with_p_value(1.0),
            Verdict::NoDetectableChange,
            "no detectable change (0.0",
        ),
        // Nothing says how sure it is.
        (
            Estimate::new(5.0).with_p_value(0.001),
            Verdict::NoInterval,
            "nothing says whether it is more than chance",
        ),
        (change(5.0, f64::NEG_INFINITY, f64::INFINITY), Verdict::NoInterval, "without an interval"),
        (change(f64::INFINITY, 1.0, f64::INFINITY), Verdict::NoInterval, "+∞"),
        // An interval that is open on the far side excludes zero.
        (change(5.0, 2.0, f64::INFINITY).with_p_value(0.001), Verdict::Higher, "+2.0 to +∞"),
        (change(f64::NAN, 1.0, 2.0), Verdict::NotMeasured, "measured, but not a number"),
        // Too few rows say nothing, however clear they seem.
        (
            change(5.0, 2.0, 8.0).with_p_value(0.001).with_n(19),
            Verdict::TooFew,
            "n = 19, at least 20",
        ),
        (change(5.0, 2.0, 8.0).with_p_value(0.001).with_n(20), Verdict::Higher, "higher"),
    ];
    for (change, verdict, words) in cases {
        let found = findings_of(vec![measure(change)], Reading::default());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].verdict, verdict, "{change:?}: {}", found[0].text);
        assert!(found[0].text.contains(words), "{change:?}: {}", found[0].text);
        // A direction is never named together with another verdict.
        let named = ["higher", "lower"].iter().any(|word| found[0].text.contains(word));
        assert_eq!(named, matches!(verdict, Verdict::Higher | Verdict::Lower), "{}", found[0].text);
    }
}

#[test]
fn what_was_not_measured_is_said() {
    let number = Estimate::new(1.0);
    for (measure, text) in [
        (Measure::new("Judge"), "Judge: not measured."),
        (
            Measure::new("Judge").with_absent("no judge was given"),
            "Judge: not measured (no judge was given).",
        ),
        (Measure::new("Judge").with_before(number), "Judge: not measured after."),
        (Measure::new("Judge").with_after(number), "Judge: not measured before."),
        (
            Measure::new("Judge").with_before(number).with_after(Estimate::new(2.0)),
            "Judge: the difference is +1.00, without an interval: nothing says whether it is more than chance.",
        ),
    ] {
        assert_eq!(findings_of(vec![measure], Reading::default())[0].text, text);
    }
}

#[test]
fn which_way_is_better_is_said_with_the_direction() {
    let change = Estimate::new(-5.0).with_interval(-8.0, -2.0).with_p_value(0.001);
    for (better, words) in [
        (
            Better::Higher,
            "lower after than before, by 5.0 (95% interval −8.0 to −2.0, p = 0.001). Higher is better.",
        ),
        (
            Better::Lower,
            "lower after than before, by 5.0 (95% interval −8.0 to −2.0, p = 0.001). Lower is better.",
        ),
    ] {
        let found = findings_of(vec![measure(change).with_better(better)], Reading::default());
        assert_eq!(found[0].text, format!("Score: {words}"));
    }
}

#[test]
fn the_thresholds_are_the_callers() {
    let change = Estimate::new(5.0).with_interval(1.0, 9.0).with_p_value(0.03).with_n(12);
    let verdict = |reading| findings_of(vec![measure(change)], reading)[0].verdict;
    let reading = Reading::default();
    assert_eq!(verdict(reading), Verdict::TooFew);
    assert_eq!(verdict(reading.with_smallest_n(12)), Verdict::Higher);
    assert_eq!(verdict(reading.with_smallest_n(12).with_alpha(0.01)), Verdict::NoDetectableChange);
    let text = findings_of(vec![measure(change)], reading.with_smallest_n(1).with_level(0.99))
        .remove(0)
        .text;
    assert!(text.contains("99% interval"), "{text}");
}

#[test]
fn p_values_of_a_group_are_adjusted() {
    // Holm: 3 · 0.01, 2 · 0.02, 0.04, each at least the one before.
    let p = [0.02, 0.01, 0.04];
    let measures = p.map(|p| measure(Estimate::new(5.0).with_interval(1.0, 9.0).with_p_value(p)));
    let found = findings_of(measures.to_vec(), Reading::default());
    for (finding, p) in found.iter().zip(["p = 0.040", "p = 0.030", "p = 0.040"]) {
        assert!(
            finding.text.contains(&format!("{p} adjusted for 3 comparisons")),
            "{}",
            finding.text
        );
    }
    let p = [0.02, 0.03];
    let measures = p.map(|p| measure(Estimate::new(5.0).with_interval(1.0, 9.0).with_p_value(p)));
    let found = findings_of(measures.to_vec(), Reading::default().with_alpha(0.035));
    assert!(found.iter().all(|finding| finding.verdict == Verdict::NoDetectableChange));
}

fn with_control(control: Control) -> Finding {
    let mut report = Report::new("t", Model::new("a"), Model::new("b"));
    let score =
        |value: f64| Estimate::new(value).with_interval(value - 4.0, value + 4.0).with_n(100);
    let mut aqi = AqiComparison::new(Measure::new("AQI-S").with_after(score(60.0)));
    aqi.controls = vec![control];
    report.aqi = Some(aqi);
    report.check().unwrap().findings().pop().unwrap()
}

#[test]
fn a_control_that_is_as_high_is_named() {
    let score = |value: f64| Estimate::new(value).with_interval(value - 4.0, value + 4.0);
    let excess = |value: f64, half: f64, p| {
        Estimate::new(value).with_interval(value - half, value + half).with_p_value(p)
    };
    let control = |kind, value| Control::new(kind, Side::After, score(value));
    let kinds = [
        (ControlKind::EmbeddingLayer, "the words of the prompts alone"),
        (ControlKind::RandomTwin, "random weights"),
        (ControlKind::ShuffledLabels, "labels without meaning"),
        (ControlKind::Other("By length".to_owned()), "By length, after: this control may account"),
    ];
    for (kind, words) in kinds {
        let found = with_control(control(kind.clone(), 60.0));
        assert_eq!(found.verdict, Verdict::ControlExplains);
        assert!(found.text.contains(words), "{}", found.text);
        assert_eq!(with_control(control(kind.clone(), 75.0)).verdict, Verdict::ControlExplains);
        // The intervals overlap.
        assert_eq!(with_control(control(kind.clone(), 53.0)).verdict, Verdict::ControlUndecided);
        assert_eq!(with_control(control(kind.clone(), 20.0)).verdict, Verdict::AboveControl);
        // The paired excess decides where there is one.
        for (excess, verdict) in [
            (excess(7.0, 2.0, 0.001), Verdict::AboveControl),
            (excess(7.0, 8.0, 0.2), Verdict::ControlExplains),
            (excess(7.0, 2.0, 0.06), Verdict::ControlExplains),
            (excess(-7.0, 2.0, 0.001), Verdict::ControlExplains),
            (Estimate::new(7.0), Verdict::ControlUndecided),
            (Estimate::new(0.0), Verdict::ControlExplains),
            (excess(7.0, 2.0, 0.001).with_n(5), Verdict::TooFew),
        ] {
            let found = with_control(control(kind.clone(), 53.0).with_excess(excess));
            assert_eq!(found.verdict, verdict, "{}", found.text);
        }
        let other = Control::new(kind, Side::Before, score(20.0));
        assert_eq!(with_control(other).verdict, Verdict::NotMeasured);
    }
    assert_eq!(
        with_control(Control::new(ControlKind::RandomTwin, Side::After, Estimate::new(20.0)))
            .verdict,
        Verdict::ControlUndecided,
    );
}

#[test]
fn a_score_that_is_none_is_said() {
    let mut report = Report::new("t", Model::new("a"), Model::new("b"));
    let none = Estimate::new(1.2).with_interval(0.0, 5.0).with_p_value(0.4).with_n(100);
    let some = Estimate::new(30.0).with_interval(25.0, 35.0).with_p_value(0.001).with_n(100);
    report.aqi = Some(AqiComparison::new(Measure::new("AQI-S").with_before(none).with_after(some)));
    let text: Vec<String> =
        report.check().unwrap().findings().into_iter().map(|finding| finding.text).collect();
    assert_eq!(
        text[1],
        "AQI-S before: no detectable separation of safe from unsafe prompts (1.20, p = 0.40)."
    );
    assert!(text[2].starts_with("No control was measured"), "{text:?}");
    assert_eq!(text.len(), 3);
}

#[test]
fn layers_are_told_together() {
    let found = sample::full().check().unwrap().findings();
    let layers = found.iter().find(|finding| finding.about == "AQI-S by layer").unwrap();
    assert_eq!(layers.verdict, Verdict::Mixed);
    assert_eq!(
        layers.text,
        "AQI-S by layer, 17 layers: no detectable change in 9 (layer 0 to layer 8); higher in 8 \
         (layer 9 to layer 16), p-values adjusted for 17 comparisons at 0.05."
    );
}

#[test]
fn nothing_is_said_of_causes() {
    for report in [sample::full(), sample::one_point(), sample::no_data()] {
        let checked = report.check().unwrap();
        for text in [checked.markdown(), checked.html()] {
            let text = text.to_lowercase();
            for word in [
                "because",
                "caus",
                "due to",
                "thanks to",
                "led to",
                "leads to",
                "result of",
                "improve",
                "worsen",
                "better aligned",
                "successful",
                "prove",
            ] {
                assert!(!text.contains(word), "{word}");
            }
        }
    }
}

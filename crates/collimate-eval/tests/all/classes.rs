//! Classes, shares and their changes against scikit-learn and scipy.

use collimate_eval::{
    ClassAverage, PromptLabel, Proportion, RefusalCase, RefusalOutcome, classification,
    compare_refusals,
};
use serde_json::Value;

use crate::reference::{assert_close, fixture, floats, number, strings};

#[test]
fn classes_are_scored_as_scikit_learn_does() {
    for case in fixture()["classification"].as_array().unwrap() {
        let (truth, predicted) = (strings(&case["truth"]), strings(&case["predicted"]));
        let labels = strings(&case["labels"]);
        let report = classification(&truth, &predicted, &labels).unwrap();
        assert_close(report.accuracy.share.unwrap(), &case["accuracy"], "accuracy");
        let [precision, recall, f1, support] = [0, 1, 2, 3].map(|at| floats(&case["each"][at]));
        for (at, label) in labels.iter().enumerate() {
            let class = report.classes[label];
            assert_close(class.precision, &precision[at].into(), label);
            assert_close(class.recall, &recall[at].into(), label);
            assert_close(class.f1, &f1[at].into(), label);
            assert_eq!(class.support as f64, support[at], "{label}");
        }
        let check = |found: ClassAverage, expected: &Value| {
            for (at, found) in [found.precision, found.recall, found.f1].into_iter().enumerate() {
                assert_close(found, &expected[at], "average");
            }
        };
        check(report.macro_average, &case["macro"]);
        check(report.weighted_average, &case["weighted"]);
        let all = strings(&case["all_labels"]);
        let count = |truth, predicted| {
            report.confusion.get(truth).and_then(|row| row.get(predicted)).copied().unwrap_or(0)
        };
        for (row, truth) in all.iter().enumerate() {
            for (column, predicted) in all.iter().enumerate() {
                assert_eq!(count(truth, predicted), case["confusion"][row][column]);
            }
        }
        let unknown = predicted.iter().filter(|label| !labels.contains(label)).count() as u64;
        assert_eq!(report.unknown.values().sum::<u64>(), unknown);
    }
}

#[test]
fn intervals_are_scipys() {
    for case in fixture()["wilson"].as_array().unwrap() {
        let share = Proportion::new(case[0].as_u64().unwrap(), case[1].as_u64().unwrap());
        assert_close(share.ci95[0], &case[2], &case.to_string());
        assert_close(share.ci95[1], &case[3], &case.to_string());
    }
}

#[test]
fn p_values_of_changes_are_scipys() {
    use RefusalOutcome::{Answered, Refused};
    for case in fixture()["mcnemar"].as_array().unwrap() {
        let (lost, gained) = (case[0].as_u64().unwrap(), case[1].as_u64().unwrap());
        let cases = |first, second| -> Vec<RefusalCase> {
            let outcomes = (0..lost).map(|_| first).chain((0..gained).map(|_| second));
            let case = |outcome| RefusalCase::new(PromptLabel::Unsafe, None, outcome);
            outcomes.chain([Refused, Answered]).map(case).collect()
        };
        let changes =
            compare_refusals(&cases(Refused, Answered), &cases(Answered, Refused)).unwrap();
        let refused = changes.unsafe_prompts.refused;
        assert_eq!((refused.lost, refused.gained), (lost, gained));
        assert!((refused.p_value / number(&case[2]) - 1.0).abs() < 1e-9, "{case}: {refused:?}");
    }
}

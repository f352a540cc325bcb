//! The values of the reference libraries.

use serde_json::Value;

pub fn fixture() -> Value {
    serde_json::from_str(include_str!("../fixtures/text_metrics.json")).unwrap()
}

pub fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

pub fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

pub fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// Equal to nine digits.
#[track_caller]
pub fn assert_close(found: f64, expected: &Value, place: &str) {
    let expected = number(expected);
    let bound = 1e-9 * expected.abs().max(1e-12);
    assert!((found - expected).abs() <= bound, "{place}: {found}, expected {expected}");
}

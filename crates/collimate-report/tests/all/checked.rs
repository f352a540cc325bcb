//! What can't be shown is refused, with its place.

use collimate_report::{
    AqiComparison, Curve, CurvePoint, Estimate, Measure, MeasureGroup, Model, Report, ReportError,
    Table,
};

use crate::sample;

#[test]
fn the_place_is_named() {
    type Change = fn(&mut Report);
    let cases: [(&str, Change); 12] = [
        ("title", |report| report.title = " ".to_owned()),
        ("after.name", |report| report.after.name.clear()),
        ("reading.alpha", |report| report.reading.alpha = 0.0),
        ("reading.level", |report| report.reading.level = f64::NAN),
        ("aqi.overall.after.interval", |report| {
            let after = Estimate::new(1.0).with_interval(2.0, 1.0);
            report.aqi = Some(AqiComparison::new(Measure::new("m").with_after(after)));
        }),
        ("aqi.axioms[1].name", |report| {
            let mut aqi = AqiComparison::new(Measure::new("m"));
            aqi.axioms = vec![Measure::new("a"), Measure::new("")];
            report.aqi = Some(aqi);
        }),
        ("groups[0].measures[0].change.p_value", |report| {
            let change = Estimate::new(1.0).with_p_value(1.1);
            report.groups = vec![MeasureGroup::new("g", [Measure::new("m").with_change(change)])];
        }),
        ("groups[0].measures[0].before.interval", |report| {
            let before = Estimate::new(1.0).with_interval(f64::NAN, 1.0);
            report.groups = vec![MeasureGroup::new("g", [Measure::new("m").with_before(before)])];
        }),
        ("curve.points[2]", |report| {
            report.curve = Some(Curve::new([1, 5, 4].map(CurvePoint::new)));
        }),
        ("tables[0].rows[1]", |report| {
            report.tables = vec![Table::new("t", ["a", "b"]).with_row(["1", "2"]).with_row(["1"])];
        }),
        ("tables[0]", |report| report.tables = vec![Table::new("t", [""; 0])]),
        ("projections[0].after.explained", |report| {
            report.projections = sample::full().projections;
            report.projections[0].after.as_mut().unwrap().explained = Some([0.5, 1.5]);
        }),
    ];
    for (expected, change) in cases {
        let mut report = Report::new("t", Model::new("a"), Model::new("b"));
        change(&mut report);
        match report.check() {
            Err(ReportError::Invalid { place, .. }) => assert_eq!(place, expected),
            other => panic!("{expected}: {other:?}"),
        }
    }
}

#[test]
fn a_report_comes_back_from_json_as_it_was() {
    let mut report = sample::full();
    let curve = report.curve.as_mut().unwrap();
    curve.points[0].loss = Some(f64::INFINITY);
    curve.points[1].loss = Some(f64::NEG_INFINITY);
    let json = serde_json::to_string(&report).unwrap();
    assert!(json.contains("\"nan\"") && json.contains("\"inf\"") && json.contains("\"-inf\""));
    let read: Report = serde_json::from_str(&json).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), json);
    let error =
        serde_json::from_str::<Report>(&json.replace("\"responses\"", "\"answers\"")).unwrap_err();
    assert!(error.to_string().contains("answers"), "{error}");
}

//! Principal components against scikit-learn's.

use collimate_report::{Basis, Projection, ReportError, Safety, pca};
use ndarray::{Array2, array};
use serde::Deserialize;

use crate::sample;

#[derive(Deserialize)]
struct Case {
    name: String,
    rows: Vec<Vec<f64>>,
    coordinates: Vec<[f64; 2]>,
    explained: [f64; 2],
}

#[test]
fn scikit_learn_finds_the_same() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../fixtures/projection.json")).unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let (n, d) = (case.rows.len(), case.rows[0].len());
        let rows = Array2::from_shape_vec((n, d), case.rows.concat()).unwrap();
        let found = pca(rows.view()).unwrap();
        for (row, expected) in found.coordinates.rows().into_iter().zip(&case.coordinates) {
            for (a, b) in row.iter().zip(expected) {
                assert!((a - b).abs() < 1e-9, "{}: {a} {b}", case.name);
            }
        }
        for (a, b) in found.explained.iter().zip(case.explained) {
            assert!((a - b).abs() < 1e-12, "{}: {a} {b}", case.name);
        }
    }
}

#[test]
fn what_does_not_vary_is_at_the_origin() {
    let found = pca(array![[3.0, 4.0, 5.0]].view()).unwrap();
    assert_eq!((found.coordinates, found.explained), (array![[0.0, 0.0]], [0.0, 0.0]));
    let line = pca(array![[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]].view()).unwrap();
    assert!((line.explained[0] - 1.0).abs() < 1e-12);
    assert_eq!(line.explained[1], 0.0);
    assert_eq!(line.coordinates.column(1), array![0.0, 0.0, 0.0]);
    assert!(matches!(pca(array![[f32::NAN]].view()), Err(ReportError::Projection { .. })));
    assert!(matches!(
        pca(Array2::<f32>::zeros((0, 3)).view()),
        Err(ReportError::Projection { .. })
    ));
}

#[test]
fn a_joint_basis_is_one_basis() {
    let rows = array![[0.0, 1.0], [2.0, 0.0], [5.0, 1.0]];
    let prompts = [("a", Safety::Safe), ("b", Safety::Unsafe), ("c", Safety::Safe)];
    let joint =
        Projection::new("l", rows.view(), (&rows + 10.0).view(), &prompts, Basis::Joint).unwrap();
    let (before, after) = (joint.before.unwrap(), joint.after.unwrap());
    assert_eq!(before.explained, after.explained);
    // Both have been moved by the same.
    let step = |i: usize| after.points[i].at[0] - before.points[i].at[0];
    assert!((step(0) - step(1)).abs() < 1e-9 && step(0).abs() > 10.0);
    // On its own, a model is at the origin whatever it has been moved by.
    let apart = Projection::new("l", rows.view(), (&rows + 10.0).view(), &prompts, Basis::Separate)
        .unwrap();
    let (before, after) = (apart.before.unwrap(), apart.after.unwrap());
    assert!((before.points[0].at[0] - after.points[0].at[0]).abs() < 1e-9);

    let wider = Array2::<f64>::zeros((3, 4));
    let refused = Projection::new("l", rows.view(), wider.view(), &prompts, Basis::Joint);
    assert!(matches!(refused, Err(ReportError::Invalid { .. })));
    let refused = Projection::new("l", rows.view(), rows.view(), &prompts[..2], Basis::Joint);
    assert!(matches!(refused, Err(ReportError::Invalid { .. })));
}

#[test]
fn a_picture_says_in_which_basis_it_is() {
    for (basis, words) in [
        (
            Basis::Separate,
            "Each model in the components of its own rows: places and directions can't be compared",
        ),
        (Basis::Joint, "Both models in the components of all rows together."),
    ] {
        let mut report = sample::one_point();
        report.projections = vec![sample::projection(20, 2.0, "last", basis)];
        let figures = report.check().unwrap().figures();
        let figure = figures.iter().find(|figure| figure.name() == "projection-1").unwrap();
        assert!(figure.notes()[0].starts_with(words), "{:?}", figure.notes());
    }
}

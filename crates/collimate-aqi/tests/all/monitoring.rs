//! The sliding window and the monitor over streams of slices.

use collimate_aqi::{
    AlarmSide, AqiError, Baseline, Labels, Mode, Moments, Monitor, MonitorSettings,
    MonitorStatistic, Observation, SlidingWindow,
};
use ndarray::{Array2, Axis, Slice, array};

use crate::oracle::{self, EXACT, FLOAT, close};

/// Slice `i` of D6: `rows` consecutive rows of it, around the clock.
fn piece(i: usize, rows: usize) -> (Array2<f64>, Labels) {
    let (all, labels) = oracle::d6();
    let chosen: Vec<usize> = (0..rows).map(|j| (i * rows + j) % 60).collect();
    (all.select(Axis(0), &chosen), labels.select(&chosen).unwrap())
}

fn moments((rows, labels): &(Array2<f64>, Labels)) -> Moments {
    Moments::from_rows(rows.view(), labels).unwrap()
}

fn aqi_s(moments: &Moments) -> f64 {
    let dispersion = moments.dispersion().unwrap();
    Mode::default().score(&dispersion).unwrap().value
}

#[test]
fn a_window_equals_the_moments_of_the_rows_in_it() {
    for capacity in [1, 2, 3, 7] {
        let mut window = SlidingWindow::new(capacity).unwrap();
        for i in 0..20 {
            window.push(moments(&piece(i, 6))).unwrap();
            let first = (i + 1).saturating_sub(capacity);
            assert_eq!(window.len(), i + 1 - first);
            let rows: Vec<_> = (first..=i).map(|i| piece(i, 6).0).collect();
            let views: Vec<_> = rows.iter().map(|piece| piece.view()).collect();
            let rows = ndarray::concatenate(Axis(0), &views).unwrap();
            let labels = Labels::new((0..rows.nrows()).map(|row| row % 2)).unwrap();
            let expected = moments(&(rows, labels));
            let found = window.moments().unwrap().unwrap();
            assert_eq!(found.counts(), expected.counts());
            let (a, b) = (found.dispersion().unwrap(), expected.dispersion().unwrap());
            close(a.calinski_harabasz().unwrap(), b.calinski_harabasz().unwrap(), FLOAT);
            close(a.xie_beni(), b.xie_beni(), FLOAT);
            close(a.within(), b.within(), FLOAT);
        }
    }
}

#[test]
fn an_outlier_leaves_the_window_without_a_trace() {
    let huge = array![[1e30], [2e30], [-1e30], [5e30]];
    let labels = Labels::new([0, 0, 1, 1]).unwrap();
    let small = array![[0.0], [2.0], [10.0], [12.0]];
    let mut window = SlidingWindow::new(2).unwrap();
    for rows in [&huge, &small, &small] {
        window.push(moments(&(rows.clone(), labels.clone()))).unwrap();
    }
    let dispersion = window.moments().unwrap().unwrap().dispersion().unwrap();
    assert_eq!(dispersion.xie_beni(), 0.01);
}

#[test]
fn a_window_refuses_a_slice_of_another_shape_and_stays_as_it_was() {
    assert!(matches!(SlidingWindow::new(0), Err(AqiError::Parameter { .. })));
    let mut window = SlidingWindow::new(2).unwrap();
    assert!(window.is_empty() && window.moments().unwrap().is_none());
    for i in 0..3 {
        window.push(moments(&piece(i, 6))).unwrap();
        let before = window.moments().unwrap();
        let other = Moments::empty(["0", "1"], 3).unwrap();
        assert!(matches!(window.push(other), Err(AqiError::Incompatible { .. })));
        assert_eq!(window.moments().unwrap(), before);
        assert_eq!(window.len(), (i + 1).min(window.capacity()));
    }
    // All slices but one have just moved to the stack of older ones.
    let mut single = SlidingWindow::new(1).unwrap();
    single.push(moments(&piece(0, 6))).unwrap();
    single.push(moments(&piece(1, 6))).unwrap();
    assert!(single.push(Moments::empty(["0"], 16).unwrap()).is_err());
}

/// Four rows whose AQI-S is a known function of the distance of the classes.
fn two_points(gap: f64) -> Moments {
    let rows = array![[0.0], [2.0], [gap], [gap + 2.0]];
    moments(&(rows, Labels::new([0, 0, 1, 1]).unwrap()))
}

#[test]
fn the_chart_follows_the_recursion_and_the_limits_of_roberts() {
    let (a, width, mean, sd) = (0.3, 2.5, 90.0, 2.0);
    let settings = MonitorSettings::default()
        .with_smoothing(a)
        .with_width(width)
        .with_baseline(Baseline::Given { mean, sd });
    let mut monitor = Monitor::new(settings).unwrap();
    let mut z = mean;
    let mut alarms = Vec::new();
    for (t, gap) in [10.0, 9.0, 9.5, 8.0, 6.0, 5.0, 4.0].into_iter().enumerate() {
        let slice = two_points(gap);
        let observation = monitor.observe(&slice).unwrap();
        z = a * aqi_s(&slice) + (1.0 - a) * z;
        let spread: f64 = a / (2.0 - a) * (1.0 - (1.0 - a).powi(2 * (t as i32 + 1)));
        close(observation.ewma.unwrap(), z, EXACT);
        close(observation.lower.unwrap(), mean - width * sd * spread.sqrt(), EXACT);
        close(observation.upper.unwrap(), mean + width * sd * spread.sqrt(), EXACT);
        assert_eq!(observation.alarm, z < observation.lower.unwrap());
        assert_eq!(observation.slice, t as u64);
        alarms.push(observation.alarm);
    }
    assert_eq!(alarms, [false, false, false, false, true, true, true]);
}

#[test]
fn the_baseline_is_learned_from_the_burn_in_which_raises_no_alarm() {
    let settings = MonitorSettings::default()
        .with_statistic(MonitorStatistic::RhoGlobal)
        .with_baseline(Baseline::BurnIn { slices: 3 });
    let mut monitor = Monitor::new(settings).unwrap();
    let gaps = [10.0, 11.0, 9.0];
    for gap in gaps {
        let observation = monitor.observe(&two_points(gap)).unwrap();
        assert!(!observation.alarm && observation.ewma.is_none() && observation.lower.is_none());
    }
    let rho = |gap| two_points(gap).dispersion().unwrap().rho_global().unwrap();
    let values = gaps.map(rho);
    let mean = values.iter().sum::<f64>() / 3.0;
    let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 2.0;
    let (found_mean, found_sd) = monitor.baseline().unwrap();
    close(found_mean, mean, EXACT);
    close(found_sd, variance.sqrt(), EXACT);
    assert!(!monitor.observe(&two_points(10.0)).unwrap().alarm);
    assert!(monitor.observe(&two_points(1.0)).unwrap().alarm);
}

#[test]
fn the_side_decides_which_departures_raise_an_alarm() {
    let last = |side, gap| {
        let settings = MonitorSettings::default()
            .with_side(side)
            .with_baseline(Baseline::Given { mean: aqi_s(&two_points(6.0)), sd: 1.0 });
        let mut monitor = Monitor::new(settings).unwrap();
        (0..10)
            .map(|_| monitor.observe(&two_points(gap)).unwrap().alarm)
            .fold(false, |_, alarm| alarm)
    };
    let fall = |side| last(side, 4.0);
    let rise = |side| last(side, 9.0);
    assert_eq!(
        [AlarmSide::Below, AlarmSide::Above, AlarmSide::Both].map(|s| (fall(s), rise(s))),
        [(true, false), (false, true), (true, true)]
    );
}

#[test]
fn a_constant_burn_in_makes_any_departure_an_alarm_but_no_rounding() {
    let settings = MonitorSettings::default()
        .with_smoothing(0.3)
        .with_side(AlarmSide::Both)
        .with_baseline(Baseline::BurnIn { slices: 2 });
    for tenths in 50..80 {
        let gap = f64::from(tenths) / 10.0;
        let mut monitor = Monitor::new(settings).unwrap();
        for _ in 0..50 {
            assert!(!monitor.observe(&two_points(gap)).unwrap().alarm);
        }
        assert!(monitor.observe(&two_points(gap - 0.1)).unwrap().alarm);
    }
}

#[test]
fn a_slice_of_one_class_is_reported_and_does_not_move_the_chart() {
    let given = Baseline::Given { mean: 90.0, sd: 2.0 };
    let mut monitor = Monitor::new(MonitorSettings::default().with_baseline(given)).unwrap();
    let mut plain = monitor.clone();
    let mut one = Moments::empty(["0", "1"], 1).unwrap();
    one.merge(&Moments::empty(["0", "1"], 1).unwrap()).unwrap();
    let observation = monitor.observe(&one).unwrap();
    assert_eq!(observation.value, None);
    assert!(observation.skipped.unwrap().contains("no rows"));
    assert_eq!(observation.state_aqi_s, None);
    let (a, b): (Observation, Observation) =
        (monitor.observe(&two_points(9.0)).unwrap(), plain.observe(&two_points(9.0)).unwrap());
    assert_eq!((a.ewma, a.lower), (b.ewma, b.lower));
    assert_eq!((a.slice, b.slice), (1, 0));
}

#[test]
fn the_state_is_that_of_rows_weighted_by_age() {
    let settings = MonitorSettings::default().with_half_life(2.0);
    let mut monitor = Monitor::new(settings).unwrap();
    let (rows, labels) = oracle::d6();
    let mut last = None;
    for i in 0..10 {
        last = Some(monitor.observe(&moments(&piece(i, 6))).unwrap());
    }
    let weights: Vec<f64> = (0..60).map(|row| 0.5_f64.powf((9 - row / 6) as f64 / 2.0)).collect();
    let expected = Moments::from_weighted_rows(rows.view(), &labels, &weights).unwrap();
    close(last.unwrap().state_aqi_s.unwrap(), aqi_s(&expected), FLOAT);
    let found = monitor.state().unwrap().dispersion().unwrap();
    close(found.xie_beni(), expected.dispersion().unwrap().xie_beni(), FLOAT);
}

#[test]
fn a_class_that_stays_away_is_forgotten_and_may_return() {
    let mut monitor = Monitor::new(MonitorSettings::default().with_half_life(0.5)).unwrap();
    let labels = Labels::new([0, 0, 1, 1]).unwrap();
    let rows = array![[0.0], [2.0], [10.0], [12.0]];
    let both = Moments::from_rows(rows.view(), &labels).unwrap();
    let only = {
        let rows = rows.slice_axis(Axis(0), Slice::from(0..2));
        let mut stream = collimate_aqi::Accumulator::<f64>::new(["0", "1"], 1).unwrap();
        stream.push_rows(rows, &[0, 0]).unwrap();
        stream.finish().unwrap()
    };
    assert!(monitor.observe(&both).unwrap().state_aqi_s.is_some());
    for i in 0..2000 {
        let observation = monitor.observe(&only).unwrap();
        assert_eq!(observation.state_aqi_s.is_some(), i < 50, "{i}");
    }
    assert!(monitor.observe(&both).unwrap().state_aqi_s.unwrap() > 90.0);
}

#[test]
fn settings_outside_their_range_and_other_shapes_are_errors() {
    let default = MonitorSettings::default();
    for settings in [
        default.with_half_life(0.0),
        default.with_half_life(f64::INFINITY),
        default.with_smoothing(1.5),
        default.with_width(f64::NAN),
        default.with_baseline(Baseline::BurnIn { slices: 1 }),
        default.with_baseline(Baseline::Given { mean: 1.0, sd: 0.0 }),
        default.with_baseline(Baseline::Given { mean: f64::NAN, sd: 1.0 }),
    ] {
        assert!(matches!(Monitor::new(settings), Err(AqiError::Parameter { .. })), "{settings:?}");
    }
    let mut monitor = Monitor::new(default).unwrap();
    monitor.observe(&two_points(5.0)).unwrap();
    let before = monitor.state().cloned();
    assert!(matches!(
        monitor.observe(&Moments::empty(["0", "1"], 2).unwrap()),
        Err(AqiError::Incompatible { .. })
    ));
    assert_eq!(monitor.state().cloned(), before);
    assert_eq!(monitor.observe(&two_points(5.0)).unwrap().slice, 1);
}

#[test]
fn observations_serialize() {
    let mut monitor = Monitor::new(MonitorSettings::default()).unwrap();
    let json = serde_json::to_value(monitor.observe(&two_points(10.0)).unwrap()).unwrap();
    assert_eq!(json["slice"], 0);
    assert!(json["ewma"].is_null() && json["value"].is_number());
}

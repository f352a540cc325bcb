//! The moment-based indices against exact fractions and scikit-learn's values.

use collimate_aqi::{Labels, Lambda, Mode, Moments};

use crate::oracle::{self, EXACT, FLOAT, Set, close, dispersion};

struct Expected {
    chi: f64,
    xbi: f64,
    linear: f64,
    rho: (f64, f64),
}

fn check(name: &str, set: &Set, tolerance: f64, expected: &Expected) {
    println!("{name}");
    let dispersion = dispersion(set);
    close(dispersion.calinski_harabasz().unwrap(), expected.chi, tolerance);
    close(dispersion.xie_beni(), expected.xbi, tolerance);
    let linear = Mode::PaperLinear { lambda: Lambda::default() };
    close(linear.score(&dispersion).unwrap().value, expected.linear, tolerance);
    close(dispersion.rho_global().unwrap(), expected.rho.0, tolerance);
    close(dispersion.rho_local().unwrap(), expected.rho.1, tolerance);
}

#[test]
fn exact_fractions() {
    let inf = f64::INFINITY;
    let both = |rho| (rho, rho);
    let rows: [(&str, Set, Expected); 7] = [
        (
            "D1",
            oracle::d1(),
            Expected { chi: 50.0, xbi: 0.01, linear: 75.0, rho: both(49.0 / 53.0) },
        ),
        (
            "D2",
            oracle::d2(),
            Expected {
                chi: 1089.0 / 32.0,
                xbi: 5.0 / 121.0,
                linear: 9317.0 / 320.0,
                rho: both(294.0 / 359.0),
            },
        ),
        (
            "D3",
            oracle::d3(),
            Expected {
                chi: 194.0,
                xbi: 1.0 / 32.0,
                linear: 113.0,
                rho: (193.0 / 199.0, 47.0 / 55.0),
            },
        ),
        ("D4", oracle::d4(), Expected { chi: 0.0, xbi: inf, linear: 0.0, rho: both(-1.0 / 3.0) }),
        ("D5", oracle::d5(), Expected { chi: inf, xbi: 0.0, linear: inf, rho: both(1.0) }),
        (
            "D9",
            oracle::d9(),
            Expected {
                chi: 9425.0 / 119.0,
                xbi: 204.0 / 13195.0,
                linear: 205_465.0 / 2856.0,
                rho: both(155.0 / 169.0),
            },
        ),
        (
            "D13",
            oracle::d13(),
            Expected { chi: 4.0, xbi: 0.125, linear: 6.0, rho: (9.0 / 17.0, 3.0 / 7.0) },
        ),
    ];
    for (name, set, expected) in &rows {
        check(name, set, EXACT, expected);
    }
    close(dispersion(&oracle::d2()).within(), 40.0, EXACT);
    close(dispersion(&oracle::d3()).within(), 6.0, EXACT);
    let d10 = dispersion(&oracle::d10());
    close(d10.calinski_harabasz().unwrap(), 49.0, EXACT);
    close(d10.xie_beni(), 3.0 / 392.0, EXACT);
    assert!(d10.rho_global().is_err());
}

#[test]
fn generated_sets() {
    let d6 = oracle::d6();
    assert_eq!(d6.0.sum(), 530_739.0);
    close(dispersion(&d6).within(), 82_224_005.3, FLOAT);
    let expected = Expected {
        chi: 4.768_853_206_181_63,
        xbi: 3.040_563_291_234_12,
        linear: 2.548_869_817_097_08,
        rho: (0.059_101_787_419_571_8, 0.059_101_787_419_571_8),
    };
    check("D6", &d6, FLOAT, &expected);
    let d7 = oracle::d7();
    assert_eq!(d7.0.sum(), 555_339.0);
    close(dispersion(&d7).within(), 80_920_190.65, FLOAT);
    let expected = Expected {
        chi: 3.673_435_836_745_66,
        xbi: 4.316_537_778_816_94,
        linear: 1.952_551_492_783_71,
        rho: (0.081_822_917_250_074_2, 0.029_133_105_683_053_9),
    };
    check("D7", &d7, FLOAT, &expected);
    let d8 = oracle::d8();
    assert_eq!(d8.0.sum(), 318_753.0);
    close(dispersion(&d8).within(), 32_157_752.4, FLOAT);
    let expected = Expected {
        chi: 2.766_199_476_366_39,
        xbi: 0.508_368_977_730_852,
        linear: 2.366_637_329_780_13,
        rho: (0.196_675_577_051_24, 0.196_675_577_051_24),
    };
    check("D8", &d8, FLOAT, &expected);
}

#[test]
fn other_weights_and_modes() {
    let lambda = Lambda::new(0.3).unwrap();
    let linear = |set: &Set| Mode::PaperLinear { lambda }.score(&dispersion(set)).unwrap().value;
    close(linear(&oracle::d1()), 65.0, EXACT);
    close(linear(&oracle::d2()), 49_731.0 / 1600.0, EXACT);
    close(linear(&oracle::d3()), 727.0 / 5.0, EXACT);
    close(linear(&oracle::d13()), 26.0 / 5.0, EXACT);

    let aqi_s = |set: &Set| Mode::default().score(&dispersion(set)).unwrap().value;
    close(aqi_s(&oracle::d3()), 91.219_735_038_830_52, EXACT);
    close(aqi_s(&oracle::d7()), 5.547_801_146_656_4, FLOAT);
    close(aqi_s(&oracle::d13()), 47.899_159_663_865_54, EXACT);

    let geometric = Mode::PaperGeometric { lambda: Lambda::default(), chi_max: 100.0, clip: false };
    let geometric = |set: &Set| geometric.score(&dispersion(set)).unwrap().value;
    close(geometric(&oracle::d1()), 0.703_580_071_402_384, EXACT);
    close(geometric(&oracle::d2()), 0.571_433_798_871_454, EXACT);
    close(geometric(&oracle::d6()), 0.047_748_204_750_557_6, FLOAT);
    close(geometric(&oracle::d13()), 0.187_882_612_562_695, EXACT);
}

#[test]
fn a_shift_by_a_million_changes_nothing() {
    let (rows, labels) = oracle::d2();
    let shifted = (rows.mapv(|x| x + 1e6), labels);
    close(dispersion(&shifted).xie_beni(), 5.0 / 121.0, EXACT);
}

#[test]
fn huge_and_tiny_scales_change_nothing() {
    let (rows, labels) = oracle::d2();
    for exponent in [-1060, -700, -400, 400, 700, 1015] {
        let scaled = rows
            .mapv(|x| x * f64::powi(2.0, exponent / 2) * f64::powi(2.0, exponent - exponent / 2));
        let moments = Moments::from_rows(scaled.view(), &labels).unwrap();
        let dispersion = moments.dispersion().unwrap();
        close(dispersion.xie_beni(), 5.0 / 121.0, EXACT);
        close(dispersion.calinski_harabasz().unwrap(), 1089.0 / 32.0, EXACT);
        close(dispersion.rho_global().unwrap(), 294.0 / 359.0, EXACT);
    }
}

#[test]
fn labels_of_any_kind() {
    let (rows, _) = oracle::d1();
    for labels in [
        Labels::new([-7, -7, 1000, 1000]).unwrap(),
        Labels::new(["z", "z", "a", "a"]).unwrap(),
        Labels::new([true, true, false, false]).unwrap(),
    ] {
        close(dispersion(&(rows.clone(), labels)).calinski_harabasz().unwrap(), 50.0, EXACT);
    }
}

#[test]
fn shares_of_variance() {
    let d2 = dispersion(&oracle::d2());
    close(d2.eta_squared(), 0.850_117_096_018_735_3, EXACT);
    close(d2.epsilon_squared().unwrap(), 0.825_136_612_021_857_8, EXACT);
    let d8 = dispersion(&oracle::d8());
    close(d8.eta_squared(), 0.315_552_878_282_549_2, FLOAT);
    close(d8.epsilon_squared().unwrap(), 0.201_478_357_996_307_42, FLOAT);
}

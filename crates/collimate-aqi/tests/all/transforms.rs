//! Transforms and principal components against numpy and scikit-learn 1.9.1.
//!
//! The constants were printed by these lines:
//!
//! ```python
//! i, j = np.arange(n)[:, None], np.arange(d)[None, :]
//! x = (7919*i + 104729*j + 31*i*j + 13*((i*i*(j+1)) % 97)) % 1000 * (1.0 + j % 7)
//! sklearn.covariance.ledoit_wolf_shrinkage(x)
//! sklearn.decomposition.PCA(m, svd_solver="full").fit(x)
//! y = np.arange(60) % 2; x[y == 1] += 250 * (np.arange(16) % 3 == 0)  # for the scores
//! calinski_harabasz_score(StandardScaler().fit_transform(x), y)       # or normalize(x)
//! ```

use collimate_aqi::{
    AqiError, Labels, Moments, Pca, ProjectionKind, Result, Shrinkage, StepSummary, Transform,
    TransformChain, cross_fit_folds,
};
use half::bf16;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, Slice, array};

use crate::oracle::{EXACT, FLOAT, close};

fn data(n: usize, d: usize) -> Array2<f64> {
    Array2::from_shape_fn((n, d), |(i, j)| {
        let x = (7919 * i + 104_729 * j + 31 * i * j + 13 * ((i * i * (j + 1)) % 97)) % 1000;
        (x * (1 + j % 7)) as f64
    })
}

fn labelled() -> (Array2<f64>, Labels) {
    let mut rows = data(60, 16);
    for ((i, j), x) in rows.indexed_iter_mut() {
        *x += if i % 2 == 1 && j % 3 == 0 { 250.0 } else { 0.0 };
    }
    (rows, Labels::new((0..60).map(|i| i % 2)).unwrap())
}

fn chain(text: &str) -> TransformChain {
    text.parse().unwrap()
}

fn applied(text: &str, rows: ArrayView2<'_, f64>) -> Array2<f64> {
    chain(text).fit(rows).unwrap().apply(rows).unwrap()
}

fn squared_distance(a: ArrayView1<'_, f64>, b: ArrayView1<'_, f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// `n_fit, d`, the chain, and numpy's Mahalanobis `d²` between rows 0 and 1, 3 and 7, 2 and a
/// row that was not fitted, and the sum of `d²` to the mean.
const MAHALANOBIS: [(usize, usize, &str, [f64; 4]); 7] = [
    (60, 16, "whiten:0", [37.86413206117821, 20.02888742251767, 53.560355917603786, 960.0]),
    (
        60,
        16,
        "whiten",
        [24.543593714412253, 14.310924189136923, 40.05665951952358, 723.3265376684675],
    ),
    (
        60,
        16,
        "whiten:0.25",
        [24.54778166655907, 14.314137039023592, 40.076193304152746, 723.5129183857479],
    ),
    (
        8,
        64,
        "whiten",
        [54.45223060521255, 52.648890344775594, 115.9894002750977, 171.91491698862328],
    ),
    (
        40,
        300,
        "whiten",
        [364.01329516565045, 351.471395914141, 471.96724648420115, 6607.261416716646],
    ),
    (
        40,
        300,
        "whiten:0.01",
        [80.69551819060987, 80.69026688406838, 22100.52961760212, 1573.183905123292],
    ),
    (
        300,
        200,
        "whiten",
        [319.8067935271014, 310.416944503941, 375.5752832277838, 43238.51824612213],
    ),
];

#[test]
fn whitened_distances_are_the_mahalanobis_distances_of_numpy() -> Result<()> {
    for (n, d, text, expected) in MAHALANOBIS {
        println!("{n} x {d}, {text}");
        let all = data(n + 5, d);
        for scale in [1.0, 1e160, 1e-170] {
            let all = all.mapv(|x| x * scale);
            let fitted = chain(text).fit(all.slice_axis(Axis(0), Slice::from(..n)))?;
            let z = fitted.apply(all.view())?;
            let between = |a: usize, b: usize| squared_distance(z.row(a), z.row(b));
            close(between(0, 1), expected[0], FLOAT);
            close(between(3, 7), expected[1], FLOAT);
            close(between(2, n + 4), expected[2], FLOAT);
            let z = z.slice_axis(Axis(0), Slice::from(..n));
            let total: f64 = z.iter().map(|z| z * z).sum();
            close(total, expected[3], FLOAT);
        }
    }
    Ok(())
}

#[test]
fn the_shrinkage_is_that_of_scikit_learn() -> Result<()> {
    for (n, d, expected) in [
        (60, 16, 0.2511044927734759),
        (8, 64, 0.7674909289299069),
        (300, 200, 0.5056466009846159),
        (40, 300, 0.8912749397117458),
    ] {
        let summary = chain("whiten").fit(data(n, d).view())?.summary();
        match summary.steps[..] {
            [StepSummary::Whiten { shrinkage, estimated: true, .. }] => {
                close(shrinkage, expected, FLOAT);
            }
            _ => panic!("{summary:?}"),
        }
    }
    Ok(())
}

#[test]
fn a_covariance_that_cannot_be_inverted_is_an_error() {
    let whiten = |text: &str, rows: ArrayView2<'_, f64>| chain(text).fit(rows).map(|_| ());
    let refused = |result| matches!(result, Err(AqiError::Parameter { name: "shrinkage", .. }));
    assert!(refused(whiten("whiten:0", data(8, 64).view())));
    assert!(refused(whiten("whiten:0", data(16, 16).view())));
    // Two rows: Ledoit and Wolf's formula finds nothing to shrink.
    assert!(refused(whiten("whiten", data(2, 9).view())));
    // More rows than dimensions, but two dimensions are the same.
    let mut twins = data(60, 4);
    let copy = twins.column(0).to_owned();
    twins.column_mut(3).assign(&copy);
    assert!(matches!(
        whiten("whiten:0", twins.view()),
        Err(AqiError::NotPositiveDefinite { pivot: 3 })
    ));
    assert!(whiten("whiten:0.1", twins.view()).is_ok());
    for rows in [Array2::ones((9, 3)), Array2::ones((3, 9)), Array2::ones((1, 1))] {
        assert!(matches!(whiten("whiten", rows.view()), Err(AqiError::DegenerateData)));
    }
}

#[test]
fn full_shrinkage_only_rescales() {
    for (n, d) in [(60, 16), (8, 64)] {
        let rows = data(n, d);
        let whitened = applied("whiten:1", rows.view());
        let scaled = applied("centre,rms", rows.view());
        // Unit mean variance for each dimension, rather than for their sum.
        for (a, b) in whitened.iter().zip(&scaled) {
            assert!((a - b * (d as f64).sqrt()).abs() < 1e-10, "{a} {b}");
        }
    }
}

struct Components {
    shape: (usize, usize),
    variance: &'static [f64],
    ratio: &'static [f64],
    /// Loadings of columns 0, 1, 5 and d − 1.
    loadings: &'static [[f64; 4]],
    /// Coordinates of the first row and of the last.
    coordinates: [&'static [f64]; 2],
}

const COMPONENTS: [Components; 3] = [
    Components {
        shape: (60, 16),
        variance: &[5230558.202423204, 4073703.7127531786, 3610486.632412293],
        ratio: &[0.21176524853060708, 0.16492864543053512, 0.14617476174436078],
        loadings: &[
            [
                0.0020696149607772026,
                0.05839579327967471,
                -0.15314754165493766,
                -0.016336316367217357,
            ],
            [
                -0.0028274121012372,
                -0.007728545952040722,
                -0.047466417538707666,
                0.04392124530170725,
            ],
            [
                -0.017020988111417616,
                -0.027446130067871922,
                -0.239303236282393,
                0.028713657498743203,
            ],
        ],
        coordinates: [
            &[-631.5877386701658, 502.8520751373054, 2764.4331163118723],
            &[105.84098083437904, 4183.236219742424, -572.3330898805465],
        ],
    },
    Components {
        shape: (8, 64),
        variance: &[22537431.384679556, 20572304.307280928, 15403255.157640364, 13775220.750902968],
        ratio: &[0.22665593131079498, 0.2068929112811644, 0.15490847574342698, 0.13853555159041447],
        loadings: &[
            [
                -0.035313370785639286,
                0.01845217147092334,
                -0.1979919390346005,
                -0.011968845196354563,
            ],
            [
                0.023785169773717075,
                -0.001249811039091594,
                -0.19147254257352248,
                -0.04609502900965926,
            ],
            [0.0856232760330074, 0.050376828253216197, 0.01701695685608833, -0.018210771006507413],
            [
                -0.012036293637626129,
                -0.026561452994148194,
                0.14644389012780346,
                -0.003249126108430611,
            ],
        ],
        coordinates: [
            &[3708.004883852705, -5210.741260717264, -3079.6409973532986, 5167.393973313644],
            &[2066.1139577959284, 1760.0216302113665, -7840.417401486036, -3506.743826450976],
        ],
    },
    // The one that iterates: no gap after the components asked for.
    Components {
        shape: (300, 200),
        variance: &[7810382.539490675, 7265160.346810234, 6918136.183225166],
        ratio: &[0.023567305179488428, 0.021922133801446333, 0.020875011675671514],
        loadings: &[
            [
                0.010228784425973381,
                -0.006789435869908239,
                0.03783892066295236,
                -0.02317758090206758,
            ],
            [
                -0.007207318175104982,
                -0.0022660993731423162,
                0.013072474240152829,
                0.024935192983665595,
            ],
            [
                -0.0003500110223412434,
                -0.006433063870442817,
                -0.15344398058611178,
                -0.06963701792281402,
            ],
        ],
        coordinates: [
            &[2325.3905949267664, -682.2396980526338, -883.9016481003694],
            &[153.79564667910464, -2870.0245745727507, -4860.35608898199],
        ],
    },
];

#[test]
fn components_are_those_of_scikit_learn() -> Result<()> {
    for expected in &COMPONENTS {
        let (n, d) = expected.shape;
        println!("{n} x {d}");
        for (rows, scale) in [(data(n, d), 1.0), (data(n, d) * 1e-170, 1e-170)] {
            let m = expected.variance.len();
            let pca = Pca::fit(rows.view(), m)?;
            assert_eq!(pca.components.dim(), (m, d));
            let coordinates = pca.project(rows.view())?;
            for k in 0..m {
                if scale == 1.0 {
                    close(pca.explained_variance[k], expected.variance[k], 1e-8);
                }
                close(pca.explained_variance_ratio[k], expected.ratio[k], 1e-8);
                for (column, loading) in [0, 1, 5, d - 1].into_iter().zip(expected.loadings[k]) {
                    let found = pca.components[[k, column]];
                    assert!((found - loading).abs() < 1e-8, "{found} {loading}");
                }
                for (row, values) in [0, n - 1].into_iter().zip(expected.coordinates) {
                    let error = coordinates[[row, k]] / scale - values[k];
                    assert!(error.abs() < 1e-8 * 1e4, "{error:e}");
                }
            }
        }
        // The values are exact in f32.
        let narrow = data(n, d).mapv(|x| x as f32);
        let pca = Pca::fit(narrow.view(), 1)?;
        close(pca.explained_variance[0], expected.variance[0], 1e-8);
    }
    Ok(())
}

#[test]
fn more_components_than_directions_are_refused() -> Result<()> {
    let refused =
        |rows: &Array2<f64>, m| matches!(Pca::fit(rows.view(), m), Err(AqiError::Parameter { .. }));
    assert!(refused(&data(8, 64), 0));
    assert!(refused(&data(8, 64), 8));
    assert!(refused(&data(8, 64), 9));
    assert!(!refused(&data(8, 64), 7));
    assert!(refused(&data(60, 16), 17));
    // Too large for the exact path, and of rank two.
    let flat = data(150, 2).dot(&data(2, 140));
    assert!(!refused(&flat, 2));
    assert!(refused(&flat, 3));
    assert!(matches!(
        Pca::fit(Array2::<f64>::ones((200, 200)).view(), 1),
        Err(AqiError::DegenerateData)
    ));
    Ok(())
}

#[test]
fn scores_after_each_step_are_those_of_scikit_learn() -> Result<()> {
    let (rows, labels) = labelled();
    let chi = |rows: Array2<f64>| {
        Moments::from_rows(rows.view(), &labels)?.dispersion()?.calinski_harabasz()
    };
    for (text, expected) in [
        ("none", 0.44776709441621354),
        ("centre", 0.44776709441621354),
        ("rms", 0.44776709441621354),
        ("z-score", 1.5079629959878917),
        ("l2", 0.4135326222275639),
        ("z-score,l2", 1.4074543592773512),
        ("remove-top:2", 0.5598955707767962),
    ] {
        println!("{text}");
        close(chi(applied(text, rows.view()))?, expected, FLOAT);
        for scale in [1e160, -1e200, 1e-170, 1e-300] {
            let scaled = rows.mapv(|x| x * scale);
            close(chi(applied(text, scaled.view()))?, expected, FLOAT);
        }
    }
    Ok(())
}

#[test]
fn the_unit_of_the_rows_stays_where_no_step_sets_it() {
    let rows = data(60, 16);
    let huge = rows.mapv(|x| x * f64::powi(2.0, 600));
    for text in ["none", "centre", "remove-top:2", "jl:8", "count-sketch:8"] {
        let small = applied(text, rows.view());
        let scaled = applied(text, huge.view()).mapv(|x| x * f64::powi(2.0, -600));
        for (a, b) in small.iter().zip(&scaled) {
            assert!((a - b).abs() <= 1e-9, "{text}: {a} {b}");
        }
    }
    for text in ["rms", "z-score", "l2", "whiten", "rms,centre"] {
        for (a, b) in applied(text, rows.view()).iter().zip(&applied(text, huge.view())) {
            assert!((a - b).abs() <= 1e-12, "{text}: {a} {b}");
        }
    }
}

#[test]
fn summaries_say_what_was_fitted() -> Result<()> {
    let mut rows = data(60, 16);
    rows.column_mut(3).fill(0.1);
    rows.column_mut(9).fill(-7e300);
    let fitted = chain("z-score,remove-top:2,rms").fit(rows.view())?;
    let summary = fitted.summary();
    assert_eq!((summary.input_dim, summary.output_dim), (16, 14));
    assert_eq!(summary.fitted_rows, 60);
    match &summary.steps[..] {
        [
            StepSummary::ZScore { dropped_dims: 2, .. },
            StepSummary::RemoveTop { components: 2, explained_variance_ratio, .. },
            StepSummary::Rms { scale, .. },
        ] => {
            // After z-scores the total variance is the number of dimensions.
            let left = 14.0 * (1.0 - explained_variance_ratio.iter().sum::<f64>());
            close(*scale, left.sqrt(), EXACT);
        }
        steps => panic!("{steps:?}"),
    }
    let summary = chain("rms").fit(data(60, 16).mapv(|x| x * 1e160).view())?.summary();
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["chain"], "rms");
    assert_eq!(json["steps"][0]["transform"], "rms");
    let scale = json["steps"][0]["scale"].as_f64().unwrap();
    let plain = data(60, 16);
    let mean = plain.mean_axis(Axis(0)).unwrap();
    let total: f64 = (&plain - &mean).iter().map(|x| x * x).sum();
    close(scale, (total / 60.0).sqrt() * 1e160, EXACT);
    Ok(())
}

#[test]
fn fingerprints_tell_chains_and_fits_apart() -> Result<()> {
    let (a, b) = (data(60, 16), data(61, 16));
    let of = |text: &str, rows: &Array2<f64>| chain(text).fit(rows.view()).unwrap().fingerprint();
    for text in ["centre", "rms", "z-score", "remove-top:2", "whiten", "whiten:0.5"] {
        assert_eq!(of(text, &a), of(text, &a));
        assert_ne!(of(text, &a), of(text, &b), "{text}");
    }
    // Nothing of the rows enters these.
    for text in ["none", "l2", "jl:8", "count-sketch:8:3"] {
        assert_eq!(of(text, &a), of(text, &b), "{text}");
    }
    let texts = ["none", "l2", "jl:8", "jl:8:1", "jl:9", "whiten", "whiten:0.5", "centre"];
    let mut all: Vec<String> = texts.iter().map(|text| of(text, &a)).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), texts.len());
    // A change of these breaks the state files of earlier versions.
    assert_eq!(of("none", &a), "2cbbdc0d5e29f0cb");
    Ok(())
}

#[test]
fn projected_distances_are_right_on_average() -> Result<()> {
    let rows = data(4, 300);
    let truth = squared_distance(rows.row(0), rows.row(1));
    for kind in [ProjectionKind::Gaussian, ProjectionKind::CountSketch] {
        let draws = 200;
        let mut sum = 0.0;
        for seed in 0..draws {
            let chain = TransformChain::new([Transform::RandomProjection { dim: 64, kind, seed }])?;
            let z = chain.fit(rows.view())?.apply(rows.view())?;
            assert_eq!(z.dim(), (4, 64));
            sum += squared_distance(z.row(0), z.row(1)) / truth;
        }
        // Standard error sqrt(2 / 64 / 200) = 0.0125.
        let mean = sum / draws as f64;
        assert!((mean - 1.0).abs() < 0.05, "{kind:?}: {mean}");
    }
    Ok(())
}

#[test]
fn input_types_and_layouts_give_the_same() -> Result<()> {
    let rows = data(40, 7).mapv(|x| bf16::from_f64(x / 64.0));
    let wide = rows.mapv(bf16::to_f64);
    let turned = wide.t().as_standard_layout().into_owned();
    for text in ["none", "z-score,l2", "remove-top:1", "whiten", "jl:3"] {
        let expected = applied(text, wide.view());
        assert_eq!(chain(text).fit(rows.view())?.apply(rows.view())?, expected);
        let turned = applied(text, turned.t());
        assert!(turned.is_standard_layout(), "{text}");
        for (a, b) in turned.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-12, "{text}: {a} {b}");
        }
    }
    Ok(())
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let (tall, wide) = (data(700, 140), data(140, 700));
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| {
            let mut all = Vec::new();
            for rows in [&tall, &wide] {
                for text in ["remove-top:2", "whiten", "jl:50"] {
                    all.push(applied(text, rows.view()));
                }
            }
            all
        })
    };
    let one = on(1);
    assert!(on(2) == one && on(5) == one);
}

#[test]
fn bad_rows_are_named() -> Result<()> {
    let fit = |text: &str, rows: Array2<f64>| chain(text).fit(rows.view()).map(|_| ());
    assert!(matches!(fit("none", Array2::zeros((0, 3))), Err(AqiError::Empty)));
    assert!(matches!(fit("l2", Array2::zeros((3, 0))), Err(AqiError::ZeroDim)));
    for text in ["none", "z-score", "whiten"] {
        assert!(matches!(
            fit(text, array![[1.0, 2.0], [3.0, f64::NAN]]),
            Err(AqiError::NonFinite { row: 1, col: 1, .. })
        ));
    }
    for text in ["rms", "z-score", "whiten", "remove-top:1"] {
        assert!(matches!(fit(text, Array2::ones((5, 4))), Err(AqiError::DegenerateData)));
    }
    assert!(matches!(fit("l2", array![[1.0, 2.0], [0.0, 0.0]]), Err(AqiError::ZeroRow { row: 1 })));
    // Nothing would be left.
    assert!(fit("remove-top:3", data(9, 3)).is_err());
    assert!(fit("remove-top:2", data(9, 3)).is_ok());

    let fitted = chain("l2").fit(data(9, 3).view())?;
    assert!(matches!(
        fitted.apply(array![[1.0, 2.0]].view()),
        Err(AqiError::Shape { expected: 3, found: 2, .. })
    ));
    assert!(matches!(
        fitted.apply(array![[0.0, 0.0, 0.0]].view()),
        Err(AqiError::ZeroRow { row: 0 })
    ));
    assert!(matches!(
        fitted.apply(array![[0.0, f64::INFINITY, 0.0]].view()),
        Err(AqiError::NonFinite { row: 0, col: 1, .. })
    ));
    // A fit on tiny rows, applied to huge ones.
    let fitted = chain("rms").fit(data(9, 3).mapv(|x| x * 1e-300).view())?;
    assert!(matches!(
        fitted.apply(array![[1e300, 1.0, 1.0]].view()),
        Err(AqiError::NonFinite { row: 0, col: 0, .. })
    ));
    Ok(())
}

/// The rows that whitening was fitted on have unit variance in every direction by construction;
/// other rows of the same kind have more, which is why they must not share a score.
#[test]
fn whitening_flatters_the_rows_it_was_fitted_on() -> Result<()> {
    let rows = data(300, 100);
    let labels = Labels::new((0..300).map(|i| i % 2))?;
    let folds = cross_fit_folds(&labels, None, 3, 0)?;
    let whiten = TransformChain::new([Transform::Whiten { shrinkage: Shrinkage::Fixed(0.0) }])?;
    assert!(whiten.needs_cross_fitting());
    for (index, fold) in folds.iter().enumerate() {
        let others: Vec<usize> = (0..300).filter(|row| !fold.contains(row)).collect();
        let fitted = whiten.fit(rows.select(Axis(0), &others).view())?;
        let mean_square = |part: &[usize]| {
            let z = fitted.apply(rows.select(Axis(0), part).view())?;
            Ok::<_, AqiError>(z.iter().map(|z| z * z).sum::<f64>() / part.len() as f64)
        };
        close(mean_square(&others)?, 100.0, EXACT);
        let unseen = mean_square(fold)?;
        assert!(unseen > 150.0, "fold {index}: {unseen}");
    }
    Ok(())
}

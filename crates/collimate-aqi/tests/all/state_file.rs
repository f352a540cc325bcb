//! State files: round trips, and one test for each way in which a file can be malformed.

use collimate_aqi::{AqiError, Labels, Moments, Result, State, StateMetadata};
use proptest::prelude::*;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use std::path::PathBuf;

use crate::oracle;

fn state() -> State {
    let (rows, labels) = oracle::d7();
    let metadata = StateMetadata::default()
        .with_model("meta-llama/Llama-3.1-8B@0e9e39f")
        .with_tokenizer("sha256:79e3e522")
        .with_layer("16")
        .with_transform("center")
        .with_dtype("bf16")
        .with_skipped_rows(2);
    State::new(Moments::from_rows(rows.view(), &labels).unwrap(), metadata)
}

/// Two classes in one dimension.
fn small() -> State {
    let (rows, labels) = oracle::d1();
    State::new(Moments::from_rows(rows.view(), &labels).unwrap(), StateMetadata::default())
}

/// Header and data of a file.
fn parts(bytes: &[u8]) -> (Value, Vec<u8>) {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (serde_json::from_slice(&bytes[8..8 + length]).unwrap(), bytes[8 + length..].to_vec())
}

fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// The reason why the small state is refused after a change of its header and its data, which is
/// `count`, `weight`, `weight_squared`, `mean`, `scatter`, two words each.
#[track_caller]
fn refused(change: impl FnOnce(&mut Value, &mut Vec<u8>)) -> String {
    let (mut header, mut data) = parts(&small().to_bytes().unwrap());
    change(&mut header, &mut data);
    reason(State::from_bytes(&file(&header.to_string(), &data)))
}

#[track_caller]
fn reason(result: Result<State>) -> String {
    match result {
        Err(error @ AqiError::State { .. }) => error.to_string(),
        other => panic!("expected a state error, found {other:?}"),
    }
}

/// Overwrites a word of the data.
fn word(index: usize, value: u64) -> impl FnOnce(&mut Value, &mut Vec<u8>) {
    move |_, data| data[8 * index..8 * index + 8].copy_from_slice(&value.to_le_bytes())
}

fn float(index: usize, value: f64) -> impl FnOnce(&mut Value, &mut Vec<u8>) {
    word(index, value.to_bits())
}

fn metadata(key: &'static str, value: &'static str) -> impl FnOnce(&mut Value, &mut Vec<u8>) {
    move |header, _| header["__metadata__"][key] = json!(value)
}

fn temporary(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("state_file");
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

#[test]
fn a_state_comes_back_bit_by_bit_and_gives_the_same_bytes() {
    for state in [state(), small()] {
        let bytes = state.to_bytes().unwrap();
        let back = State::from_bytes(&bytes).unwrap();
        assert_eq!(back, state);
        assert_eq!(back.to_bytes().unwrap(), bytes);
    }
}

#[test]
fn the_reference_library_reads_the_file() {
    let state = state();
    let bytes = state.to_bytes().unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    for (name, dtype, shape) in [
        ("count", Dtype::U64, &[3][..]),
        ("weight", Dtype::F64, &[3]),
        ("weight_squared", Dtype::F64, &[3]),
        ("mean", Dtype::F64, &[3, 16]),
        ("scatter", Dtype::F64, &[3, 16]),
    ] {
        let tensor = tensors.tensor(name).unwrap();
        assert_eq!((tensor.dtype(), tensor.shape()), (dtype, shape), "{name}");
    }
    let mean: Vec<f64> = tensors
        .tensor("mean")
        .unwrap()
        .data()
        .chunks_exact(8)
        .map(|word| f64::from_le_bytes(word.try_into().unwrap()))
        .collect();
    assert_eq!(mean[16..32], state.moments.mean(1).unwrap());
    let (length, header) = SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(length % 8, 0);
    assert_eq!(header.metadata().as_ref().unwrap()["classes"], r#"["0","1","2"]"#);
}

#[test]
fn a_file_that_the_reference_library_wrote_is_read() {
    let state = small();
    let bytes = state.to_bytes().unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let rewritten = safetensors::serialize(tensors.tensors(), header.metadata().clone()).unwrap();
    assert_eq!(State::from_bytes(&rewritten).unwrap(), state);
}

#[test]
fn empty_zero_extreme_and_faded_states_come_back() {
    let labels = Labels::new([0, 0, 1, 1]).unwrap();
    let rows = oracle::d1().0;
    let of = |factor: f64| Moments::from_rows(rows.mapv(|x| x * factor).view(), &labels).unwrap();
    let mut faded = of(1.0);
    faded.decay(1e-9).unwrap();
    let weighted =
        Moments::from_weighted_rows(rows.view(), &labels, &[0.1, 3.0, 0.0, 1e-6]).unwrap();
    for moments in [
        Moments::empty(["a", "b"], 3).unwrap(),
        of(0.0),
        of(1e300),
        of(1e-300),
        of(2e-88),
        faded,
        weighted,
    ] {
        let state = State::new(moments, StateMetadata::default());
        assert_eq!(State::from_bytes(&state.to_bytes().unwrap()).unwrap(), state);
    }
}

#[test]
fn shards_merge_after_a_round_trip_and_record_their_origin() {
    let (rows, labels) = oracle::d6();
    let half = |parity: usize, dtype: &str| {
        let chosen: Vec<usize> = (0..60).filter(|i| i / 2 % 2 == parity).collect();
        let part = rows.select(ndarray::Axis(0), &chosen);
        let moments = Moments::from_rows(part.view(), &labels.select(&chosen).unwrap()).unwrap();
        let metadata =
            StateMetadata::default().with_model("m").with_dtype(dtype).with_skipped_rows(3);
        State::from_bytes(&State::new(moments, metadata).to_bytes().unwrap()).unwrap()
    };
    let mut merged = half(0, "f32");
    merged.merge(&half(1, "bf16")).unwrap();
    let dispersion = merged.moments.dispersion().unwrap();
    oracle::close(dispersion.calinski_harabasz().unwrap(), 4.76885320618163, oracle::FLOAT);
    assert_eq!(merged.metadata.skipped_rows, 6);
    let dtypes: Vec<&String> = merged.metadata.dtypes.iter().collect();
    assert_eq!(dtypes, ["bf16", "f32"]);
}

#[test]
fn states_of_other_origin_do_not_merge() {
    let plain = || small().metadata;
    for (metadata, expected) in [
        (plain().with_model("other"), "models"),
        (plain().with_tokenizer("other"), "tokenizers"),
        (plain().with_layer("other"), "layers"),
        (plain().with_transform("other"), "transforms"),
    ] {
        let mut ours = small();
        let theirs = State::new(small().moments, metadata);
        match ours.merge(&theirs) {
            Err(AqiError::Incompatible { what, left, right }) => {
                assert_eq!(
                    (what, left.as_str(), right.as_str()),
                    (expected, "(not recorded)", "other")
                );
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(ours, small());
    }
    let mut ours = small();
    assert!(matches!(
        ours.merge(&State::new(state().moments, StateMetadata::default().with_dtype("f32"))),
        Err(AqiError::Incompatible { .. })
    ));
    assert_eq!(ours, small());
}

#[test]
fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
    let path = temporary("replaced.safetensors");
    small().write(&path).unwrap();
    state().write(&path).unwrap();
    assert_eq!(State::read(&path).unwrap(), state());
    let names: Vec<_> = std::fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("replaced"))
        .collect();
    assert_eq!(names, ["replaced.safetensors"]);
}

#[test]
fn a_write_that_fails_leaves_the_target_and_no_partial_file() {
    // A folder can't be replaced by a file.
    let path = temporary("occupied");
    std::fs::create_dir_all(path.join("inside")).unwrap();
    let error = small().write(&path).unwrap_err();
    assert!(matches!(&error, AqiError::Io { path: at, .. } if *at == path));
    assert!(path.join("inside").is_dir());
    let partial = std::fs::read_dir(path.parent().unwrap()).unwrap().any(|entry| {
        let name = entry.unwrap().file_name().into_string().unwrap();
        name.starts_with("occupied") && name.ends_with(".partial")
    });
    assert!(!partial);
}

#[test]
fn errors_of_files_name_the_file() {
    let missing = temporary("missing.safetensors");
    let error = State::read(&missing).unwrap_err();
    assert!(matches!(&error, AqiError::Io { .. }));
    assert!(error.to_string().contains("missing.safetensors"), "{error}");
    let garbage = temporary("garbage.safetensors");
    std::fs::write(&garbage, b"not a state").unwrap();
    let error = State::read(&garbage).unwrap_err();
    assert!(matches!(&error, AqiError::State { path: Some(at), .. } if *at == garbage));
    assert!(error.to_string().contains("garbage.safetensors"), "{error}");
}

#[test]
fn a_file_shorter_than_its_length_field_is_refused() {
    assert!(reason(State::from_bytes(&[])).contains("0 bytes"));
    assert!(reason(State::from_bytes(&[1, 0, 0])).contains("3 bytes"));
}

#[test]
fn a_header_longer_than_the_file_is_refused() {
    let mut bytes = small().to_bytes().unwrap();
    bytes[..8].copy_from_slice(&(1_u64 << 20).to_le_bytes());
    assert!(reason(State::from_bytes(&bytes)).contains("1048576"));
}

#[test]
fn a_header_of_an_absurd_length_is_refused() {
    for length in [u64::MAX, u64::MAX - 8, 1 << 40] {
        let mut bytes = small().to_bytes().unwrap();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        assert!(reason(State::from_bytes(&bytes)).contains("at most"));
    }
}

#[test]
fn a_header_that_is_not_json_is_refused() {
    for header in ["", "{", "garbage", "[]", "null", "{}", "\u{0}\u{0}"] {
        assert!(reason(State::from_bytes(&file(header, &[]))).contains("header"));
    }
    let mut bytes = file("....", &[]);
    bytes[8..].copy_from_slice(&[0xff; 4]);
    reason(State::from_bytes(&bytes));
    reason(State::from_bytes(&file(&"[".repeat(100_000), &[])));
}

#[test]
fn a_missing_tensor_is_refused() {
    for name in ["count", "weight", "weight_squared", "mean", "scatter"] {
        refused(|header, _| {
            header.as_object_mut().unwrap().remove(name);
        });
    }
}

#[test]
fn a_tensor_that_does_not_belong_is_refused() {
    refused(|header, _| header["extra"] = header["mean"].clone());
}

#[test]
fn a_tensor_twice_is_refused() {
    let (header, data) = parts(&small().to_bytes().unwrap());
    let header = header.to_string();
    let twice =
        format!("{{\"mean\":{},{}", parts(&small().to_bytes().unwrap()).0["mean"], &header[1..]);
    reason(State::from_bytes(&file(&twice, &data)));
}

#[test]
fn a_tensor_of_another_type_is_refused() {
    let found = refused(|header, _| header["count"]["dtype"] = json!("F64"));
    assert!(found.contains("expected U64"), "{found}");
    refused(|header, _| header["mean"]["dtype"] = json!("I64"));
    refused(|header, _| header["mean"]["dtype"] = json!("F32"));
}

#[test]
fn shapes_that_do_not_fit_together_are_refused() {
    let found = refused(|header, _| header["weight"]["shape"] = json!([1, 2]));
    assert!(found.contains("expected shape [2]"), "{found}");
    refused(|header, _| header["mean"]["shape"] = json!([2]));
    refused(|header, _| header["mean"]["shape"] = json!([2, 0]));
    refused(|header, _| header["mean"]["shape"] = json!([1, 2]));
    refused(|header, _| header["scatter"]["shape"] = json!([2, 2]));
    refused(|header, _| {
        header["mean"]["shape"] = json!([2, 7]);
        header["scatter"]["shape"] = json!([2, 7]);
    });
}

#[test]
fn shapes_that_overflow_are_refused_without_allocating() {
    for columns in [u64::MAX, 1 << 60, 1 << 63] {
        refused(|header, _| {
            header["mean"]["shape"] = json!([2, columns]);
            header["scatter"]["shape"] = json!([2, columns]);
        });
    }
}

#[test]
fn offsets_that_overflow_are_refused() {
    refused(|header, _| header["scatter"]["data_offsets"] = json!([64, u64::MAX]));
    refused(|header, _| {
        header["count"]["data_offsets"] = json!([0, u64::MAX - 7]);
        header["weight"]["data_offsets"] = json!([u64::MAX - 7, u64::MAX]);
    });
}

#[test]
fn offsets_that_overlap_leave_gaps_or_run_backwards_are_refused() {
    for offsets in [[0, 16], [24, 40], [8, 24], [24, 32], [32, 16]] {
        let found = refused(|header, _| header["weight"]["data_offsets"] = json!(offsets));
        assert!(found.contains("comes next"), "{found}");
    }
    refused(|header, _| header["weight"]["data_offsets"] = json!([16]));
    refused(|header, _| header["weight"]["data_offsets"] = json!([-16, 32]));
}

#[test]
fn data_that_is_cut_off_or_goes_on_is_refused() {
    refused(|_, data| data.truncate(72));
    refused(|_, data| data.push(0));
    refused(|_, data| data.clear());
}

#[test]
fn another_format_or_version_is_refused() {
    assert!(refused(metadata("format", "pt")).contains("format"));
    assert!(refused(metadata("version", "2")).contains("version"));
    refused(|header, _| {
        header.as_object_mut().unwrap().remove("__metadata__");
    });
    refused(|header, _| header["__metadata__"] = json!({}));
    refused(metadata("unknown", "key"));
}

#[test]
fn class_names_that_are_no_list_or_too_few_are_refused() {
    refused(metadata("classes", "0, 1"));
    refused(metadata("classes", "[0, 1]"));
    refused(metadata("classes", "[]"));
    refused(metadata("classes", r#"["0"]"#));
    refused(metadata("classes", r#"["0", "1", "2"]"#));
}

#[test]
fn class_names_that_repeat_are_refused() {
    let found = refused(metadata("classes", r#"["a", "a"]"#));
    assert!(found.contains("same name"), "{found}");
    let twice = State::new(Moments::empty(["a", "a"], 1).unwrap(), StateMetadata::default());
    assert!(matches!(twice.to_bytes(), Err(AqiError::State { .. })));
}

#[test]
fn too_many_classes_are_refused() {
    let k = 4097;
    let names: Vec<String> = (0..k).map(|c| c.to_string()).collect();
    let many = State::new(Moments::empty(names.clone(), 1).unwrap(), StateMetadata::default());
    assert!(matches!(many.to_bytes(), Err(AqiError::State { .. })));
    let found = refused(|header, data| {
        header["__metadata__"]["classes"] = json!(serde_json::to_string(&names).unwrap());
        for (i, name) in
            ["count", "weight", "weight_squared", "mean", "scatter"].into_iter().enumerate()
        {
            header[name]["data_offsets"] = json!([8 * k * i, 8 * k * (i + 1)]);
            header[name]["shape"] = if i < 3 { json!([k]) } else { json!([k, 1]) };
        }
        *data = vec![0; 8 * k * 5];
    });
    assert!(found.contains("4097"), "{found}");
}

#[test]
fn exponents_outside_the_range_of_floats_are_refused() {
    for exponent in ["1024", "-1075", "2147483648", "1.5", "", "nan"] {
        let found = refused(|header, _| header["__metadata__"]["exponent"] = json!(exponent));
        assert!(found.contains("exponent"), "{found}");
    }
    // 11 · 2^1021 is no f64.
    assert!(refused(metadata("exponent", "1021")).contains("overflows"));
    // Without an exponent, all values are zero.
    refused(|header, _| {
        header["__metadata__"].as_object_mut().unwrap().remove("exponent");
    });
}

#[test]
fn a_negative_or_fractional_number_of_skipped_rows_is_refused() {
    for rows in ["-1", "0.5", "", "18446744073709551616"] {
        refused(|header, _| header["__metadata__"]["skipped_rows"] = json!(rows));
    }
    refused(metadata("dtypes", "f32"));
}

#[test]
fn more_rows_than_a_float_can_count_are_refused() {
    assert!(refused(word(0, u64::MAX)).contains("2^53"));
    assert!(refused(word(1, (1 << 53) + 1)).contains("2^53"));
}

#[test]
fn values_that_are_not_finite_are_refused() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for index in 2..10 {
            assert!(refused(float(index, bad)).contains("not finite"));
        }
    }
}

#[test]
fn negative_weights_and_scatters_are_refused() {
    for index in [2, 3, 4, 5] {
        assert!(refused(float(index, -2.0)).contains("negative weight"));
    }
    for index in [8, 9] {
        assert!(refused(float(index, -1e-300)).contains("negative scatter"));
    }
}

#[test]
fn weights_that_contradict_the_count_are_refused() {
    // Two rows of weight one: weight 2, squared 2.
    assert!(refused(word(0, 0)).contains("such number of rows"));
    assert!(refused(float(4, 1.9)).contains("such number of rows"));
    assert!(refused(float(4, 4.1)).contains("such number of rows"));
    assert!(refused(float(4, 0.0)).contains("such number of rows"));
    assert!(refused(float(2, 0.0)).contains("without weight"));
    assert!(refused(float(2, 1e-200)).contains("2^-100"));
    assert!(refused(float(2, 1e200)).contains("2^100"));
    // One row of weight two has no scatter.
    let single = |_: &mut Value, data: &mut Vec<u8>| {
        word(0, 1)(&mut Value::Null, data);
        float(4, 4.0)(&mut Value::Null, data);
    };
    assert!(refused(single).contains("single row"));
}

#[test]
fn values_out_of_proportion_to_their_exponent_are_refused() {
    assert!(refused(float(6, 1e100)).contains("too large"));
    assert!(refused(float(8, 1e200)).contains("too large"));
    let tiny = |_: &mut Value, data: &mut Vec<u8>| {
        for (index, value) in [(6, 0.0), (7, 1e-130), (8, 0.0), (9, 1e-260)] {
            float(index, value)(&mut Value::Null, data);
        }
    };
    assert!(refused(tiny).contains("too small"));
}

/// Whatever is accepted can be used: nothing overflows, and no NaN comes out.
fn use_state(state: &State) {
    let mut twice = state.clone();
    twice.merge(state).unwrap();
    for moments in [&state.moments, &twice.moments] {
        for class in 0..moments.classes().len() {
            let mean = moments.mean(class).unwrap_or_default();
            assert!(mean.iter().all(|x| x.is_finite()));
        }
        let Ok(dispersion) = moments.dispersion() else {
            continue;
        };
        let values = [
            Ok(dispersion.xie_beni()),
            dispersion.calinski_harabasz(),
            dispersion.rho_global(),
            dispersion.rho_local(),
        ];
        assert!(values.iter().flatten().all(|value| !value.is_nan()));
    }
    let bytes = state.to_bytes().unwrap();
    assert_eq!(&State::from_bytes(&bytes).unwrap(), state);
}

proptest! {
    #[test]
    fn any_change_of_bytes_is_an_error_or_a_usable_state(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = small().to_bytes().unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            match State::from_bytes(bytes) {
                Ok(state) => use_state(&state),
                Err(error) => {
                    let refused = matches!(error, AqiError::State { .. });
                    prop_assert!(refused);
                }
            }
        }
    }

    #[test]
    fn any_words_are_an_error_or_a_usable_state(
        words in prop::collection::vec(
            prop_oneof![
                any::<u64>(),
                any::<f64>().prop_map(f64::to_bits),
                (-1000_i32..1000).prop_map(|power| 2f64.powi(power).to_bits()),
                (0_u64..4),
            ],
            10,
        ),
        kept in prop::collection::vec(any::<bool>(), 10),
        exponent in -1100_i32..1100,
    ) {
        let (mut header, mut data) = parts(&small().to_bytes().unwrap());
        for (index, (value, kept)) in words.into_iter().zip(kept).enumerate() {
            if !kept {
                word(index, value)(&mut header, &mut data);
            }
        }
        header["__metadata__"]["exponent"] = json!(exponent.to_string());
        if let Ok(state) = State::from_bytes(&file(&header.to_string(), &data)) {
            use_state(&state);
        }
    }

    #[test]
    fn any_rows_come_back_bit_by_bit(
        values in prop::collection::vec(prop::num::f64::NORMAL, 12),
        scale in -900_i32..900,
    ) {
        let rows = ndarray::Array2::from_shape_vec((6, 2), values).unwrap();
        let rows = rows.mapv(|x| x % 1.0 * 2f64.powi(scale));
        let labels = Labels::new([0, 1, 0, 1, 0, 1]).unwrap();
        let moments = Moments::from_rows(rows.view(), &labels).unwrap();
        let state = State::new(moments, StateMetadata::default());
        use_state(&state);
    }
}

//! The program as a user meets it: files in, tables, JSON, exit codes and messages out.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A folder of one test's own files.
struct Folder(PathBuf);

struct Outcome {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if path.exists() {
            fs::remove_dir_all(&path).unwrap();
        }
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> &Self {
        fs::write(self.0.join(name), bytes).unwrap();
        self
    }

    fn run(&self, arguments: &str) -> Outcome {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        self.run_with(&arguments)
    }

    fn run_with(&self, arguments: &[&str]) -> Outcome {
        let output = Command::new(env!("CARGO_BIN_EXE_aqi"))
            .args(arguments)
            .current_dir(&self.0)
            .output()
            .unwrap();
        Outcome {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs with `--json -` and parses what comes.
    fn json(&self, arguments: &str) -> Value {
        let outcome = self.run(&format!("{arguments} --json -"));
        assert_eq!(outcome.code, 0, "{arguments}: {}", outcome.stderr);
        serde_json::from_str(&outcome.stdout).unwrap()
    }

    /// Runs what must fail with code 2 and one line, and gives the line.
    fn wrong(&self, arguments: &str) -> String {
        let outcome = self.run(arguments);
        assert_eq!(outcome.code, 2, "{arguments}: {}{}", outcome.stdout, outcome.stderr);
        assert_eq!(outcome.stdout, "", "{arguments}");
        let line = outcome.stderr.strip_suffix('\n').unwrap();
        assert!(line.starts_with("error: ") && !line.contains('\n'), "{arguments}: {line}");
        line.to_owned()
    }
}

/// An `.npy` file as NumPy writes it.
fn npy(descr: &str, fortran: bool, shape: &[usize], values: &[u8]) -> Vec<u8> {
    let shape: String = shape.iter().map(|length| format!("{length}, ")).collect();
    let order = if fortran { "True" } else { "False" };
    let mut header =
        format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({shape}), }}");
    while (header.len() + 11) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values);
    bytes
}

fn f64s(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn npy_f64(shape: &[usize], values: &[f64]) -> Vec<u8> {
    npy("<f8", false, shape, &f64s(values))
}

fn safetensors(name: &str, dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Vec<u8> {
    let view = TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
    serialize([(name, view)], None).unwrap()
}

/// Four rows whose Calinski-Harabasz is 50 and whose Xie-Beni is 1/100, exactly.
const D1: [f64; 4] = [0.0, 2.0, 10.0, 12.0];

fn d1(name: &str) -> Folder {
    let folder = Folder::new(name);
    folder.write("d1.npy", npy_f64(&[4, 1], &D1)).write("d1.txt", "safe\nsafe\nunsafe\nunsafe\n");
    folder
}

fn assert_d1(report: &Value, what: &str) {
    assert_eq!(report["chi"], 50.0, "{what}");
    assert_eq!(report["xbi"], 0.01, "{what}");
    assert!((report["rho_global"].as_f64().unwrap() - 49.0 / 53.0).abs() < 1e-12, "{what}");
}

/// `n` rows of `d` dimensions, the second half of them moved along the first dimension.
fn two_blobs(n: usize, d: usize, gap: f64, seed: usize) -> Vec<f64> {
    let noise =
        |i: usize, j: usize| ((i * 7919 + j * 104_729 + i * i * 31 + seed * 613) % 1009) as f64;
    let value = |i: usize, j: usize| {
        let shift = if j == 0 && i >= n / 2 { gap } else { 0.0 };
        noise(i, j) / 1009.0 + shift
    };
    (0..n).flat_map(|i| (0..d).map(move |j| value(i, j))).collect()
}

fn halves(n: usize) -> String {
    (0..n).map(|i| if i < n / 2 { "safe\n" } else { "unsafe\n" }).collect()
}

#[test]
fn without_arguments_the_embedded_data_are_scored() {
    let folder = Folder::new("embedded");
    let outcome = folder.run("");
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    // Made by `cargo run --release --bin aqi > examples/aqi/tests/embedded.txt`.
    assert_eq!(outcome.stdout, include_str!("embedded.txt"));
    assert_eq!(folder.run("").stdout, outcome.stdout, "twice the same");

    let json = folder.json("");
    for key in [
        "n_per_class",
        "chi",
        "xbi",
        "dbs",
        "silhouette",
        "dunn",
        "aqi_s",
        "aqi",
        "mode",
        "rho_global",
        "rho_local",
        "ci95",
        "p_value",
        "flags",
        "axioms",
        "before",
        "delta",
    ] {
        assert!(!json[key].is_null(), "{key}");
    }
    assert!(json["data"].as_str().unwrap().starts_with("SYNTHETIC"));
    assert_eq!(json["axioms"].as_array().unwrap().len(), 4);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let run = |threads: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aqi"));
        command.args(["--json", "-", "--bootstrap", "50"]).env("RAYON_NUM_THREADS", threads);
        command.output().unwrap().stdout
    };
    assert!(run("1") == run("3"));
}

#[test]
fn every_float_type_and_order_gives_the_same_scores() {
    let folder = d1("float_types");
    let f32s = || D1.iter().map(|&value| value as f32);
    let little_f32: Vec<u8> = f32s().flat_map(f32::to_le_bytes).collect();
    let little_f16: Vec<u8> = f32s().flat_map(|v| f16::from_f32(v).to_le_bytes()).collect();
    let little_bf16: Vec<u8> = f32s().flat_map(|v| bf16::from_f32(v).to_le_bytes()).collect();
    let big_f64: Vec<u8> = D1.iter().flat_map(|value| value.to_be_bytes()).collect();
    let tensor = |dtype, bytes: &[u8]| safetensors("embeddings", dtype, &[4, 1], bytes);
    folder
        .write("f2.npy", npy("<f2", false, &[4, 1], &little_f16))
        .write("f4.npy", npy("<f4", false, &[4, 1], &little_f32))
        .write("f8.npy", npy_f64(&[4, 1], &D1))
        .write("big.npy", npy(">f8", false, &[4, 1], &big_f64))
        .write("f16.safetensors", tensor(Dtype::F16, &little_f16))
        .write("bf16.safetensors", tensor(Dtype::BF16, &little_bf16))
        .write("f32.safetensors", tensor(Dtype::F32, &little_f32))
        .write("f64.safetensors", tensor(Dtype::F64, &f64s(&D1)));
    let files = ["f2.npy", "f4.npy", "f8.npy", "big.npy"];
    let tensors = ["f16.safetensors", "bf16.safetensors", "f32.safetensors", "f64.safetensors"];
    for file in files.iter().chain(&tensors) {
        assert_d1(&folder.json(&format!("--embeddings {file} --labels d1.txt")), file);
    }
}

#[test]
fn the_two_types_of_a_pair_may_differ() {
    let folder = Folder::new("pair_types");
    // Multiples of 1/64 below 2 are exact in all types.
    let exact = |values: Vec<f64>| -> Vec<f64> {
        values.iter().map(|value| (value * 64.0).round() / 64.0).collect()
    };
    let (before, after) = (exact(two_blobs(40, 3, 0.2, 5)), exact(two_blobs(40, 3, 0.9, 5)));
    let bf16s: Vec<u8> = after.iter().flat_map(|&v| bf16::from_f64(v).to_le_bytes()).collect();
    let f16s: Vec<u8> = before.iter().flat_map(|&v| f16::from_f64(v).to_le_bytes()).collect();
    folder
        .write("f64.npy", npy_f64(&[40, 3], &before))
        .write("f16.npy", npy("<f2", false, &[40, 3], &f16s))
        .write("after.npy", npy_f64(&[40, 3], &after))
        .write("after.safetensors", safetensors("embeddings", Dtype::BF16, &[40, 3], &bf16s))
        .write("l.txt", halves(40));
    let delta = |before, after| {
        let json = folder.json(&format!("--before {before} --after {after} --labels l.txt"));
        json["delta"]["delta"].as_f64().unwrap()
    };
    let expected = delta("f64.npy", "after.npy");
    for (before, after) in [
        ("f64.npy", "after.safetensors"),
        ("f16.npy", "after.safetensors"),
        ("f16.npy", "after.npy"),
    ] {
        let found = delta(before, after);
        assert!((found - expected).abs() < 1e-9, "{before} {after}: {found} {expected}");
        assert!(found > 0.2, "{found}");
    }
}

#[test]
fn fortran_order_is_read_in_its_own_order() {
    let folder = Folder::new("fortran");
    let rows = two_blobs(12, 3, 0.7, 1);
    let columns: Vec<f64> = (0..3).flat_map(|j| rows.iter().skip(j).step_by(3)).copied().collect();
    folder
        .write("c.npy", npy_f64(&[12, 3], &rows))
        .write("f.npy", npy("<f8", true, &[12, 3], &f64s(&columns)))
        .write("labels.txt", halves(12));
    let json = |file| folder.json(&format!("--embeddings {file} --labels labels.txt"));
    assert_eq!(json("c.npy"), json("f.npy"));
}

#[test]
fn every_format_of_labels() {
    let folder = d1("label_formats");
    let unicode = |text: &str| -> Vec<u8> {
        let padded = format!("{text:\0<6}");
        padded.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect()
    };
    let words = ["safe", "safe", "unsafe", "unsafe"];
    let words_u6: Vec<u8> = words.iter().flat_map(|word| unicode(word)).collect();
    let integers: Vec<u8> = [-1_i64, -1, 7, 7].iter().flat_map(|v| v.to_le_bytes()).collect();
    folder
        .write("u.npy", npy("<U6", false, &[4], &words_u6))
        .write("i.npy", npy("<i8", false, &[4], &integers))
        .write("b.npy", npy("|b1", false, &[4], &[1, 1, 0, 0]))
        .write("one.csv", "anything\nsafe\nsafe\nunsafe\nunsafe\n")
        .write("named.csv", "id,Safety_Label\r\n1,safe\r\n2,safe\r\n3,unsafe\r\n4,unsafe\r\n")
        .write("two.csv", "label,class\na,safe\nb,safe\na,unsafe\nb,unsafe\n")
        .write("t.tsv", "id\tlabel\n1\tsafe\n2\tsafe\n3\tunsafe\n4\tunsafe\n")
        .write("bare.jsonl", "\"safe\"\n\"safe\"\n\"unsafe\"\n\"unsafe\"\n")
        .write(
            "objects.jsonl",
            "{\"label\":\"safe\"}\n{\"label\":\"safe\"}\n{\"label\":\"unsafe\"}\n{\"label\":\"unsafe\"}\n",
        )
        .write("bom.txt", "\u{feff}safe\r\nsafe\r\nunsafe\r\nunsafe");
    for (labels, classes) in [
        ("d1.txt", ["safe", "unsafe"]),
        ("u.npy", ["safe", "unsafe"]),
        ("i.npy", ["-1", "7"]),
        ("b.npy", ["false", "true"]),
        ("one.csv", ["safe", "unsafe"]),
        ("named.csv", ["safe", "unsafe"]),
        ("two.csv:class", ["safe", "unsafe"]),
        ("t.tsv", ["safe", "unsafe"]),
        ("bare.jsonl", ["safe", "unsafe"]),
        ("objects.jsonl", ["safe", "unsafe"]),
        ("objects.jsonl:label", ["safe", "unsafe"]),
        ("bom.txt", ["safe", "unsafe"]),
    ] {
        let json = folder.json(&format!("--embeddings d1.npy --labels {labels}"));
        assert_d1(&json, labels);
        let counts = json["n_per_class"].as_object().unwrap();
        let found: Vec<&String> = counts.keys().collect();
        assert_eq!(found, classes, "{labels}");
        assert!(counts.values().all(|n| n == 2), "{labels}");
    }
    let error = folder.wrong("--embeddings d1.npy --labels two.csv");
    assert!(error.contains("found the columns label, class"), "{error}");
}

#[test]
fn the_table_and_the_json_file() {
    let folder = d1("table");
    let outcome = folder.run("--embeddings d1.npy --labels d1.txt --safe safe --json out.json");
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    for line in [
        "embeddings  d1.npy: 4 rows, 1 dimensions, f64",
        "safe        safe",
        "AQI-S 92.5  (p = 0.333)",
        "no interval: a class has too few rows or groups",
        "test       6 all labelings",
    ] {
        assert!(outcome.stdout.lines().any(|found| found == line), "{line}\n{}", outcome.stdout);
    }
    let text = fs::read_to_string(folder.0.join("out.json")).unwrap();
    assert_d1(&serde_json::from_str(&text).unwrap(), "file");
    let outcome = folder.run("--embeddings d1.npy --labels d1.txt --json nowhere/out.json");
    assert_eq!(outcome.code, 1);
    assert_eq!(outcome.stderr.lines().count(), 1);
    assert!(outcome.stdout.contains("AQI-S 92.5"), "the table comes first");
}

#[test]
fn modes_and_settings() {
    let folder = d1("modes");
    let data = "--embeddings d1.npy --labels d1.txt";
    let linear = folder.json(&format!("{data} --mode paper-linear --lambda 0.3"));
    assert_eq!(
        (linear["mode"].as_str(), linear["aqi"].as_f64()),
        (Some("paper-linear"), Some(65.0))
    );
    let geometric = folder.json(&format!("{data} --mode paper-geometric --chi-max 100"));
    let found = geometric["aqi"].as_f64().unwrap();
    assert!((found - 0.703_580_071_402_384).abs() < 1e-12, "{found}");
    let table = folder.run(&format!("{data} --mode paper-linear")).stdout;
    assert!(table.contains("never compare it across samples of other sizes"), "{table}");

    folder.write("e.npy", npy_f64(&[40, 3], &two_blobs(40, 3, 0.6, 2))).write("l.txt", halves(40));
    let data = "--embeddings e.npy --labels l.txt";
    let json = folder.json(&format!("{data} --bootstrap 50 --permutations 0 --no-pairwise"));
    assert_eq!(json["interval"]["method"], "centered");
    assert!(json["p_value"].is_null() && json["dunn"].is_null() && json["silhouette"].is_null());
    let json = folder.json(&format!("{data} --transform z-score,l2"));
    assert_eq!(json["transform"]["chain"], "z-score,l2");
    let whitened = folder.json(&format!("{data} --transform whiten --folds 4"));
    assert_eq!(whitened["folds"].as_array().unwrap().len(), 4);
    let mean: f64 = whitened["folds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fold| fold["rho_global"].as_f64().unwrap() / 4.0)
        .sum();
    assert!((whitened["rho_global"].as_f64().unwrap() - mean).abs() < 1e-12);
    let table = folder.run(&format!("{data} --transform whiten")).stdout;
    assert!(table.contains("(mean of 2 folds)"), "{table}");
}

#[test]
fn an_interval_that_contains_zero_is_called_no_separation() {
    let folder = Folder::new("nothing");
    folder.write("e.npy", npy_f64(&[40, 5], &two_blobs(40, 5, 0.0, 3))).write("l.txt", halves(40));
    let table = folder.run("--embeddings e.npy --labels l.txt").stdout;
    assert!(table.contains("no detectable separation: the interval contains zero"), "{table}");
    let arguments = "--before e.npy --after e.npy --labels l.txt";
    let table = folder.run(arguments).stdout;
    assert!(table.contains("no detectable change: the interval contains zero"), "{table}");
    assert_eq!(folder.json(arguments)["delta"]["delta"], 0.0);
}

#[test]
fn axioms_and_the_reference_mode() {
    let folder = Folder::new("axioms");
    let axioms: String = (0..40).map(|i| ["duty\n", "civility\n"][i % 2]).collect();
    let lonely: String = (0..40).map(|i| if i == 0 { "alone\n" } else { "rest\n" }).collect();
    folder
        .write("e.npy", npy_f64(&[40, 3], &two_blobs(40, 3, 0.5, 4)))
        .write("l.txt", halves(40))
        .write("axioms.txt", axioms)
        .write("lonely.txt", lonely);
    let data = "--embeddings e.npy --labels l.txt";
    let json = folder.json(&format!("{data} --axioms axioms.txt"));
    let names: Vec<&str> =
        json["axioms"].as_array().unwrap().iter().map(|a| a["axiom"].as_str().unwrap()).collect();
    assert_eq!(names, ["civility", "duty"]);
    assert!(json["axioms"][0]["report"]["chi"].is_number());

    let reference = format!("{data} --axioms axioms.txt --mode reference --lambda 0.4");
    let json = folder.json(&reference);
    assert_eq!(json["mode"], "reference");
    let scores = json["reference"]["scores"].as_array().unwrap();
    assert_eq!(scores.len(), 3);
    assert_eq!(scores[2]["name"], "overall");
    assert_eq!(json["aqi"], scores[2]["aqi"]);
    let expected = 0.4 * scores[0]["chi_norm"].as_f64().unwrap()
        + 0.6 * scores[0]["xb_norm"].as_f64().unwrap();
    assert!((scores[0]["aqi"].as_f64().unwrap() - expected).abs() < 1e-9);
    let table = folder.run(&reference).stdout;
    assert!(table.contains("never compare scores of two sets"), "{table}");

    let table = folder.run(&format!("{data} --axioms lonely.txt")).stdout;
    assert!(table.contains("alone: skipped: only one class"), "{table}");
    let error = folder.wrong(&format!("{data} --mode reference"));
    assert!(error.contains("needs --axioms"), "{error}");
}

#[test]
fn two_samples_are_paired_by_position_or_by_id() {
    let folder = Folder::new("delta");
    let (before, after) = (two_blobs(40, 3, 0.2, 5), two_blobs(40, 3, 0.9, 5));
    let ids: Vec<String> = (0..40).map(|i| format!("prompt {i}")).collect();
    // The rows after: the first one is missing, the others come in reverse.
    let reversed: Vec<f64> = (1..40).rev().flat_map(|i| after[i * 3..][..3].to_vec()).collect();
    let labels = halves(40);
    let labels_after: Vec<&str> = labels.lines().skip(1).collect();
    let labels_after: Vec<&str> = labels_after.into_iter().rev().collect();
    let ids_after: Vec<&str> = ids[1..].iter().rev().map(String::as_str).collect();
    folder
        .write("before.npy", npy_f64(&[40, 3], &before))
        .write("after.npy", npy_f64(&[40, 3], &after))
        .write("reversed.npy", npy_f64(&[39, 3], &reversed))
        .write("labels.txt", &labels)
        .write("labels_after.txt", labels_after.join("\n"))
        .write("ids.txt", ids.join("\n"))
        .write("ids_after.csv", format!("id\n{}\n", ids_after.join("\n")));
    let json = folder.json("--before before.npy --after after.npy --labels labels.txt");
    for key in ["chi", "xbi", "aqi_s", "n_per_class", "ci95", "p_value"] {
        assert!(!json["before"][key].is_null() && !json["after"][key].is_null(), "{key}");
    }
    let delta = json["delta"]["delta"].as_f64().unwrap();
    let change = |name: &str| json[name]["rho_global"].as_f64().unwrap();
    assert!((delta - (change("after") - change("before"))).abs() < 1e-12);
    assert!(delta > 0.0 && json["delta"]["lower"].as_f64().unwrap() > 0.0);

    let with_ids = "--before before.npy --after reversed.npy --labels labels.txt --ids ids.txt \
                    --labels-after labels_after.txt --ids-after ids_after.csv";
    let json = folder.json(with_ids);
    assert_eq!(json["delta"]["paired_rows"], 39);
    assert_eq!(json["delta"]["only_before"][0], "prompt 0");
    let table = folder.run(with_ids).stdout;
    for text in [
        "before  AQI-S",
        "after   AQI-S",
        "delta   AQI-S +",
        "sign flips: p",
        "39 rows paired",
        "1 only before: prompt 0",
    ] {
        assert!(table.contains(text), "{text}\n{table}");
    }

    let error = folder.wrong("--before before.npy --after reversed.npy --labels labels.txt");
    assert!(error.contains("before.npy has 40 rows, reversed.npy has 39"), "{error}");
    let error = folder
        .wrong("--before before.npy --after after.npy --labels labels.txt --transform whiten");
    assert!(error.contains("--before and --after"), "{error}");
    folder.write("twice.txt", "x\n".repeat(40));
    let error =
        folder.wrong("--before before.npy --after after.npy --labels labels.txt --ids twice.txt");
    assert!(error.contains("twice.txt: id \"x\" stands at row 0 and again at row 1"), "{error}");
}

#[test]
fn layers_give_a_profile_and_weights_that_are_scored_on_other_rows() {
    let folder = Folder::new("layers");
    let layers: Vec<Vec<f64>> =
        [0.0, 0.8, 0.3].iter().enumerate().map(|(l, &gap)| two_blobs(40, 4, gap, l)).collect();
    let values: Vec<f64> = (0..40)
        .flat_map(|row| layers.iter().flat_map(move |layer| layer[row * 4..][..4].to_vec()))
        .collect();
    let mut holed = values.clone();
    holed[3 * 12 + 4 + 2] = f64::NAN;
    folder
        .write("e.safetensors", safetensors("embeddings", Dtype::F64, &[40, 3, 4], &f64s(&values)))
        .write("holed.npy", npy_f64(&[40, 3, 4], &holed))
        .write("middle.npy", npy_f64(&[40, 4], &layers[1]))
        .write("l.txt", halves(40));
    let json = folder.json("--embeddings e.safetensors --labels l.txt");
    let profile = json["layers"].as_array().unwrap();
    assert_eq!(profile.len(), 3);
    assert_eq!((&json["layer"], &json["chi"]), (&2.into(), &profile[2]["chi"]));
    assert!(profile.iter().all(|layer| layer["p_max_t"].is_number()));
    let weights = &json["layer_weights"];
    assert_eq!((&weights["train_rows"], &weights["held_out_rows"]), (&20.into(), &20.into()));
    assert!(weights["weights"]["values"][1].as_f64().unwrap() > 0.4, "{weights}");
    assert!(weights["train"]["aqi_s"].is_number() && weights["held_out"]["aqi_s"].is_number());
    let table = folder.run("--embeddings e.safetensors --labels l.txt").stdout;
    for text in [
        "f64; headline: layer 2, the last",
        "p max-T",
        "Layer weights (Rayleigh",
        "on the 20 other rows",
    ] {
        assert!(table.contains(text), "{text}\n{table}");
    }

    let one = folder.json("--embeddings e.safetensors --labels l.txt --layer 1");
    let alone = folder.json("--embeddings middle.npy --labels l.txt");
    assert_eq!((&one["chi"], &one["p_value"]), (&alone["chi"], &alone["p_value"]));
    assert!(one["layers"].is_null());

    let error = folder.wrong("--embeddings holed.npy --labels l.txt");
    assert!(error.contains("row 3, layer 1, column 2 (from zero) is NaN"), "{error}");
    let json = folder.json("--embeddings holed.npy --labels l.txt --skip-non-finite");
    assert_eq!(json["n"], 39);
    assert_eq!(json["flags"][0]["rows"], 1);
    // Another layer is whole.
    assert_eq!(folder.json("--embeddings holed.npy --labels l.txt --layer 0")["n"], 40);
    let error = folder.wrong("--embeddings e.safetensors --labels l.txt --layer 3");
    assert!(error.contains("no layer 3: there are layers 0 to 2"), "{error}");
    let error = folder.wrong("--embeddings e.safetensors --labels l.txt --transform whiten");
    assert!(error.contains("--layer"), "{error}");

    let json = folder.json("--before e.safetensors --after middle.npy --labels l.txt");
    assert_eq!((&json["before"]["layer"], &json["after"]["layer"]), (&2.into(), &Value::Null));
}

#[test]
fn rows_with_nan_are_refused_or_left_out() {
    let folder = Folder::new("nan");
    let mut rows = two_blobs(20, 2, 0.8, 6);
    rows[2 * 2 + 1] = f64::NAN;
    folder.write("e.npy", npy_f64(&[20, 2], &rows)).write("l.txt", halves(20));
    let error = folder.wrong("--embeddings e.npy --labels l.txt");
    assert_eq!(
        error,
        "error: e.npy: row 2, column 1 (from zero) is NaN: remove the row, or pass --skip-non-finite"
    );
    let outcome = folder.run("--embeddings e.npy --labels l.txt --skip-non-finite");
    assert!(outcome.stdout.contains("note: 1 rows with NaN or infinite values were left out"));
    let json = folder.json("--before e.npy --after e.npy --labels l.txt --skip-non-finite");
    assert_eq!(json["delta"]["paired_rows"], 19);
    let whitened = "--embeddings e.npy --labels l.txt --transform whiten --skip-non-finite";
    assert_eq!(folder.json(whitened)["folds"][0]["flags"][0]["rows"], 1);
}

#[test]
fn wrong_input_ends_with_code_2_and_one_line() {
    let folder = d1("errors");
    let whole = npy_f64(&[4, 1], &D1);
    let huge = npy("<f8", false, &[1 << 40, 1 << 40], &[]);
    let mut long_header = b"\x93NUMPY\x02\x00".to_vec();
    long_header.extend(u32::MAX.to_le_bytes());
    let mut long_safetensors = u64::MAX.to_le_bytes().to_vec();
    long_safetensors.extend(b"{}");
    let other = safetensors("hidden", Dtype::F64, &[4, 1], &f64s(&D1));
    let integers = safetensors("embeddings", Dtype::I64, &[4, 1], &[0; 32]);
    let good = safetensors("embeddings", Dtype::F64, &[4, 1], &f64s(&D1));
    folder
        .write("cut.npy", &whole[..whole.len() - 1])
        .write("more.npy", [whole.as_slice(), &[0]].concat())
        .write("short.npy", &whole[..20])
        .write("text.npy", "0,2,10,12\n")
        .write("huge.npy", huge)
        .write("long.npy", long_header)
        .write("ints.npy", npy("<i4", false, &[4, 1], &[0; 16]))
        .write("flat.npy", npy_f64(&[4], &D1))
        .write("none.npy", npy_f64(&[4, 0], &[]))
        .write("equal.npy", npy_f64(&[4, 1], &[1.0; 4]))
        .write("long.safetensors", long_safetensors)
        .write("bad.safetensors", [2_u64.to_le_bytes().as_slice(), b"xx"].concat())
        .write("cut.safetensors", &good[..good.len() - 1])
        .write("other.safetensors", other)
        .write("ints.safetensors", integers)
        .write("e.csv", "1,2\n")
        .write("three.txt", "a\na\nb\n")
        .write("blank.txt", "a\n\nb\nb\n")
        .write("same.txt", "a\na\na\na\n")
        .write("latin.txt", b"a\n\xe4\nb\nb\n")
        .write("headless.csv", "a\na\nb\nb\n")
        .write("ragged.csv", "id,label\n1,a\n2\n")
        .write("null.jsonl", "\"a\"\nnull\n\"b\"\n\"b\"\n")
        .write("float.npy", npy_f64(&[4], &D1))
        .write("mixed.txt", "g\ng\ng\ng\n")
        .write("objects.npy", npy("|O", false, &[4], &[0; 8]));
    let l = "--labels d1.txt";
    let e = "--embeddings d1.npy";
    for (arguments, parts) in [
        (format!("--embeddings missing.npy {l}"), &["missing.npy: No such file"][..]),
        (format!("--embeddings . {l}"), &["expected a file named .npy or .safetensors"]),
        (format!("--embeddings cut.npy {l}"), &["cut.npy", "need 32 bytes, the file holds 31"]),
        (format!("--embeddings more.npy {l}"), &["more.npy", "need 32 bytes, the file holds 33"]),
        (format!("--embeddings short.npy {l}"), &["short.npy", "write the file again"]),
        (format!("--embeddings text.npy {l}"), &["text.npy: not an .npy file"]),
        (format!("--embeddings huge.npy {l}"), &["huge.npy", "more than memory can hold"]),
        (format!("--embeddings long.npy {l}"), &["long.npy", "claims 4294967295 bytes"]),
        (format!("--embeddings ints.npy {l}"), &["ints.npy", "i4: expected f2, f4 or f8"]),
        (format!("--embeddings flat.npy {l}"), &["flat.npy", "shape [4]: expected [n, d]"]),
        (format!("--embeddings none.npy {l}"), &["none.npy", "no dimensions"]),
        (format!("--embeddings equal.npy {l}"), &["equal.npy: all rows are identical"]),
        (format!("--embeddings long.safetensors {l}"), &["not a .safetensors file"]),
        (format!("--embeddings bad.safetensors {l}"), &["bad .safetensors header"]),
        (format!("--embeddings cut.safetensors {l}"), &["need 32 bytes, the file holds 31"]),
        (
            format!("--embeddings other.safetensors {l}"),
            &["no tensor \"embeddings\": it holds hidden"],
        ),
        (format!("--embeddings ints.safetensors {l}"), &["holds I64: expected F16"]),
        (format!("--embeddings e.csv {l}"), &["e.csv: expected a file named .npy or .safetensors"]),
        (format!("{e} --labels three.txt"), &["three.txt has 3 values, d1.npy has 4 rows"]),
        (format!("{e} --labels blank.txt"), &["blank.txt: line 2 is blank"]),
        (format!("{e} --labels same.txt"), &["same.txt: only one class (\"a\")"]),
        (format!("{e} --labels latin.txt"), &["latin.txt: line 2 is not UTF-8"]),
        (format!("{e} --labels headless.csv"), &["has 3 values", "taken as the header"]),
        (format!("{e} --labels ragged.csv"), &["ragged.csv", "line: 3"]),
        (format!("{e} --labels null.jsonl"), &["null.jsonl: line 2: expected a string"]),
        (
            format!("{e} --labels float.npy"),
            &["float.npy", "expected integers, booleans or strings"],
        ),
        (format!("{e} --labels objects.npy"), &["objects.npy", "Python objects"]),
        (format!("{e} --labels d1.npy:label"), &["d1.npy: columns are chosen in"]),
        (format!("{e} --labels missing.csv"), &["missing.csv: No such file"]),
        (
            format!("{e} {l} --safe harmless"),
            &["--safe: unknown class \"harmless\": the classes are safe, unsafe"],
        ),
        (format!("{e} {l} --axioms three.txt"), &["three.txt has 3 values"]),
        (format!("{e} {l} --groups mixed.txt"), &["mixed.txt: group \"g\" holds rows of"]),
        (format!("{e} {l} --lambda 2"), &["lambda = 2: expected a number in [0, 1]"]),
        (format!("{e} {l} --lambda -1"), &["lambda = -1"]),
        (format!("{e} {l} --mode paper-geometric"), &["needs --chi-max"]),
        (format!("{e} {l} --mode paper-geometric --chi-max 0"), &["chi_max = 0"]),
        (format!("{e} {l} --chi-max 3"), &["--chi-max is for --mode paper-geometric only"]),
        (format!("{e} {l} --mode best"), &["invalid value 'best'", "aqi-s"]),
        (format!("{e} {l} --transform pca"), &["transform = \"pca\": expected none, centre"]),
        (format!("{e} {l} --transform whiten"), &["d1.txt: fold 0 would hold 1 row"]),
        (format!("{e} {l} --bootstrap 1"), &["resamples = 1: expected at least 2"]),
        (format!("{e} {l} --nonsense"), &["unexpected argument '--nonsense'", "see aqi --help"]),
        (e.to_owned(), &["--labels <FILE>", "see aqi --help"]),
        (l.to_owned(), &["--embeddings <FILE>"]),
        (format!("--before d1.npy {l}"), &["--after <FILE>"]),
        (format!("{e} --before d1.npy --after d1.npy {l}"), &["cannot be used with"]),
    ] {
        let error = folder.wrong(&arguments);
        for part in parts {
            assert!(error.contains(part), "{arguments}: {error}");
        }
    }
}

#[test]
fn a_file_name_with_a_line_break_stays_on_one_line() {
    let folder = d1("line_break");
    let outcome = folder.run_with(&["--embeddings", "a\nb.npy", "--labels", "d1.txt"]);
    assert_eq!((outcome.code, outcome.stderr.lines().count()), (2, 1), "{}", outcome.stderr);
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_aqi"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert!(output.status.success());
}

#[test]
fn help_goes_to_standard_output() {
    let outcome = Folder::new("help").run("--help");
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""));
    assert!(outcome.stdout.contains("--embeddings <FILE>"));
}

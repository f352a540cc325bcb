//! Certificates of runs and the ledger that they stand in.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use collimate_artifact::{
    ArtifactError, Certificate, CertifiedModel, Checksum, Dna, FolderName, Ledger, LedgerProblem,
    Measurement, RealName, TrainingResults, verify_certificates,
};
use serde_json::Value;
use tempfile::{TempDir, tempdir};

static GO_ON: AtomicBool = AtomicBool::new(false);

const WEIGHTS: [&str; 2] = ["small-1b-adapter/a.safetensors", "tiny-1b-adapter/a.safetensors"];
const LEDGER: &str = "certified/ledger.jsonl";

fn name(text: &str) -> RealName {
    RealName::new(text).unwrap()
}

fn run(id: &str) -> FolderName {
    FolderName::new(id).unwrap()
}

fn at(hour: u32) -> jiff::Timestamp {
    format!("2026-01-31T{hour:02}:00:00Z").parse().unwrap()
}

fn certificate(id: &str) -> Certificate {
    let dna = Dna::new("Tutor", 1, 0, Checksum::of_bytes(b"data"), 42, "git 1a2b3c")
        .unwrap()
        .with_parent(name("one-org/Small-1B"), Checksum::of_bytes(b"parent"))
        .with_adapter(name("one-org/Small-1B"), Checksum::of_bytes(b"adapter"))
        .with_setting("learning_rate", 2e-4);
    let loss = Measurement::new("train_loss", 1.25, at(11), "trainer").unwrap();
    let accuracy = Measurement::new("accuracy", 0.5, at(13), "evaluation").unwrap().with_unit("1");
    Certificate::new(
        run(id),
        at(14),
        dna,
        TrainingResults::new(at(10), at(12), 99).with_measurement(loss),
    )
    .with_model(
        CertifiedModel::new(name("one-org/Small-1B"), name("tutor-small")).with_weights(WEIGHTS[0]),
    )
    .with_model(
        CertifiedModel::new(name("other-org/Tiny-1B"), name("tutor-tiny")).with_weights(WEIGHTS[1]),
    )
    .with_live_metric(accuracy)
}

fn root() -> TempDir {
    let root = tempdir().unwrap();
    for file in WEIGHTS {
        fs::create_dir_all(root.path().join(file).parent().unwrap()).unwrap();
        fs::write(root.path().join(file), file).unwrap();
    }
    root
}

fn issued(ids: &[&str]) -> TempDir {
    let root = root();
    for id in ids {
        certificate(id).issue(root.path(), &GO_ON, &mut ()).unwrap();
    }
    root
}

fn problems(root: &Path) -> Vec<LedgerProblem> {
    verify_certificates(root, &GO_ON).unwrap().problems
}

fn json(root: &Path, file: &str) -> Value {
    serde_json::from_slice(&fs::read(root.join(file)).unwrap()).unwrap()
}

#[test]
fn every_file_has_the_real_models_and_weights() {
    let root = issued(&["run-1"]);
    let report = verify_certificates(root.path(), &GO_ON).unwrap();
    assert!(report.is_intact(), "{:?}", report.problems);
    assert_eq!((report.entries, report.files, report.superseded), (1, 5, 0));
    for file in ["dna.json", "training_results.json", "live_metrics.json", "ledger_proof.json"] {
        let json = json(root.path(), &format!("certified/run-1/{file}"));
        assert_eq!(
            json["baseModels"],
            serde_json::json!(["one-org/Small-1B", "other-org/Tiny-1B"])
        );
        assert_eq!(json["trained_models"], serde_json::json!(["tutor-small", "tutor-tiny"]));
        for (index, path) in WEIGHTS.iter().enumerate() {
            let weights = &json["final_weights"][index];
            assert_eq!(weights["path"], *path, "{file}");
            assert_eq!(weights["sha256"], Checksum::of_bytes(path.as_bytes()).to_string());
        }
    }
    let dna = json(root.path(), "certified/run-1/dna.json");
    let digits = &dna["sha256"].as_str().unwrap()[..6];
    assert_eq!(dna["id"], format!("Tutor.v1.0.{digits}"));
    let metrics = json(root.path(), "certified/run-1/live_metrics.json");
    assert_eq!(metrics["measurements"][0]["name"], "accuracy");
    assert_eq!(metrics["measurements"].as_array().unwrap().len(), 1);
    let proof = json(root.path(), "certified/run-1/ledger_proof.json");
    assert_eq!((&proof["index"], &proof["head"]["hash"]), (&0.into(), &proof["entry"]["hash"]));
}

/// Made with Python: `json.dumps(…, sort_keys=True, separators=(",", ":"))` and `hashlib.sha256`.
#[test]
fn the_id_is_that_of_another_implementation() {
    let dna = certificate("run-1").dna;
    assert_eq!(dna.id().unwrap(), "Tutor.v1.0.5c7008");
}

#[test]
fn all_that_determines_a_model_determines_its_id() {
    let dna = certificate("run-1").dna;
    let mut others = vec![
        dna.clone().with_parent(name("other-org/Tiny-1B"), Checksum::of_bytes(b"parent")),
        dna.clone().with_adapter(name("one-org/Small-1B"), Checksum::of_bytes(b"other")),
        dna.clone().with_setting("learning_rate", 3e-4),
        dna.clone().with_setting("epochs", Value::Null),
    ];
    let mut change = |change: fn(&mut Dna)| {
        let mut other = dna.clone();
        change(&mut other);
        others.push(other);
    };
    change(|dna| dna.seed = 43);
    change(|dna| dna.data = Checksum::of_bytes(b"more"));
    change(|dna| dna.code_version = "git 1a2b3d".to_owned());
    let mut digests: Vec<_> = others.iter().map(|dna| dna.digest().unwrap()).collect();
    digests.push(dna.digest().unwrap());
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), others.len() + 1);

    let mut renamed = dna.clone();
    (renamed.name, renamed.major) = (run("Teacher"), 2);
    assert_eq!(renamed.digest().unwrap(), dna.digest().unwrap());
    let whole = |epochs: Value| dna.clone().with_setting("epochs", epochs).digest().unwrap();
    assert_eq!(whole(3.into()), whole(3.0.into()));
}

#[test]
fn a_certificate_claims_only_what_is_there() {
    let root = root();
    let refused = |certificate: &Certificate| {
        let error = certificate.issue(root.path(), &GO_ON, &mut ()).unwrap_err().to_string();
        assert!(!root.path().join("certified/run-1").exists(), "{error}");
        assert!(!root.path().join(LEDGER).exists(), "{error}");
        error
    };
    let mut other = certificate("run-1");
    other.models[1].weights[0] = "tiny-1b-adapter/b.safetensors".to_owned();
    assert!(refused(&other).contains("b.safetensors: it is named as final weights of tutor-tiny"));
    other.models[1].weights[0] = WEIGHTS[0].to_owned();
    assert!(refused(&other).contains("belongs to tutor-small and to tutor-tiny"));
    other.models[1].weights[0] = "../x".to_owned();
    assert!(refused(&other).contains("'../x' leads out"));
    other.models[1].weights.clear();
    assert!(refused(&other).contains("tutor-tiny has no final weights"));
    other.models.clear();
    assert!(refused(&other).contains("there is no model"));
    let mut other = certificate("run-1");
    other.dna = other.dna.with_parent(name("third/Model-X"), Checksum::of_bytes(b""));
    assert!(refused(&other).contains("the DNA is of third/Model-X"));
    let mut other = certificate("run-1");
    other.training.finished = at(9);
    assert!(refused(&other).contains("ended before it began"));
}

#[test]
fn a_run_has_one_certificate() {
    let root = issued(&["run-1"]);
    let error = certificate("run-1").issue(root.path(), &GO_ON, &mut ()).unwrap_err();
    assert!(matches!(error, ArtifactError::Exists { .. }), "{error}");
    assert!(problems(root.path()).is_empty());
}

/// The promise itself: each byte of everything, flipped one bit at a time.
#[test]
fn any_changed_byte_is_found_and_its_file_named() {
    let root = issued(&["run-1", "run-2"]);
    let mut files = vec![LEDGER.to_owned(), WEIGHTS[0].to_owned(), WEIGHTS[1].to_owned()];
    for file in ["dna.json", "training_results.json", "live_metrics.json", "ledger_proof.json"] {
        files.push(format!("certified/run-1/{file}"));
    }
    for file in files {
        let path = root.path().join(&file);
        let original = fs::read(&path).unwrap();
        for index in 0..original.len() {
            let mut changed = original.clone();
            changed[index] ^= 1 << (index % 8);
            fs::write(&path, &changed).unwrap();
            let problems = problems(root.path());
            assert!(!problems.is_empty(), "byte {index} of {file}");
            for problem in problems {
                assert_eq!(problem.file(), file, "byte {index}: {problem}");
            }
        }
        fs::write(&path, &original).unwrap();
    }
    assert!(problems(root.path()).is_empty());
}

#[test]
fn a_file_that_is_gone_or_no_file_is_named() {
    let root = issued(&["run-1"]);
    for file in [WEIGHTS[0], "certified/run-1/dna.json", "certified/run-1/ledger_proof.json"] {
        let path = root.path().join(file);
        let bytes = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let [LedgerProblem::Missing { file: found, .. }] = &problems(root.path())[..] else {
            panic!("{:?}", problems(root.path()));
        };
        assert_eq!(found, file);
        fs::create_dir(&path).unwrap();
        assert_eq!(problems(root.path())[0].file(), file);
        fs::remove_dir(&path).unwrap();
        fs::write(&path, bytes).unwrap();
    }
    assert!(problems(root.path()).is_empty());
}

/// The lines of a ledger of four entries, changed as given, and the entry that is then broken.
fn broken_at(change: impl Fn(&mut Vec<String>)) -> Option<u64> {
    let folder = tempdir().unwrap();
    let ledger = Ledger::new(folder.path().join("ledger.jsonl"));
    for index in 0..4 {
        ledger.append(&run(&format!("run-{index}")), at(index), "test", BTreeMap::new()).unwrap();
    }
    let text = fs::read_to_string(ledger.path()).unwrap();
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    fs::write(ledger.path(), lines.join("\n") + "\n").unwrap();
    match ledger.entries() {
        Ok(_) => None,
        Err(ArtifactError::BrokenLedger { index, .. }) => Some(index),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_entry_that_was_changed_removed_or_moved_is_named() {
    assert_eq!(broken_at(|_| {}), None);
    assert_eq!(broken_at(|lines| drop(lines.remove(0))), Some(0));
    assert_eq!(broken_at(|lines| drop(lines.remove(2))), Some(2));
    assert_eq!(broken_at(|lines| lines.swap(1, 2)), Some(1));
    assert_eq!(broken_at(|lines| lines.insert(3, lines[0].clone())), Some(3));
    assert_eq!(broken_at(|lines| lines[2] = lines[2].replace("run-2", "run-9")), Some(2));
    assert_eq!(broken_at(|lines| lines[1] = lines[1].replace("\"kind\":", "\"kind\": ")), Some(1));
    assert_eq!(broken_at(|lines| lines[3] = lines[3].replacen('{', "{\"more\":1,", 1)), Some(3));
    assert_eq!(broken_at(|lines| lines[0] = String::new()), Some(0));
}

/// An entry with a hash of its own, in place of another: the one after it does not follow.
#[test]
fn an_entry_that_was_replaced_by_a_sound_one_is_found() {
    let other = tempdir().unwrap();
    let other = Ledger::new(other.path().join("ledger.jsonl"));
    other.append(&run("run-9"), at(0), "test", BTreeMap::new()).unwrap();
    let line = fs::read_to_string(other.path()).unwrap();
    assert_eq!(broken_at(|lines| lines[0] = line.trim_end().to_owned()), Some(1));
}

#[test]
fn entries_cut_off_from_the_end_are_missed() {
    let root = issued(&["run-1", "run-2"]);
    let path = root.path().join(LEDGER);
    let text = fs::read_to_string(&path).unwrap();
    let first = text.lines().next().unwrap();
    fs::write(&path, format!("{first}\n")).unwrap();
    let [problem @ LedgerProblem::Truncated { entries: 1, index: 1, .. }] =
        &problems(root.path())[..]
    else {
        panic!("{:?}", problems(root.path()));
    };
    assert_eq!(problem.file(), LEDGER);
    fs::remove_file(&path).unwrap();
    assert_eq!(problems(root.path()).len(), 2);
}

/// As a run leaves it that is killed between the folder and the entry, and one killed in the entry.
#[test]
fn a_killed_run_is_completed_by_the_next() {
    let root = issued(&["run-1", "run-2"]);
    let path = root.path().join(LEDGER);
    let text = fs::read_to_string(&path).unwrap();
    let first = text.find('\n').unwrap() + 1;
    for cut in [first, first + 1, text.len() - 1] {
        fs::write(&path, &text[..cut]).unwrap();
        assert!(!problems(root.path()).is_empty());
        let id = format!("run-after-{cut}");
        certificate(&id).issue(root.path(), &GO_ON, &mut ()).unwrap();
        assert!(problems(root.path()).is_empty(), "{:?}", problems(root.path()));
        assert!(fs::read_to_string(&path).unwrap().starts_with(&text));
        fs::remove_dir_all(root.path().join("certified").join(id)).unwrap();
    }
}

#[test]
fn a_torn_line_is_named_and_what_is_before_it_stays() {
    let folder = tempdir().unwrap();
    let ledger = Ledger::new(folder.path().join("ledger.jsonl"));
    let first = ledger.append(&run("run-1"), at(1), "test", BTreeMap::new()).unwrap();
    ledger.append(&run("run-2"), at(2), "test", BTreeMap::new()).unwrap();
    let text = fs::read(ledger.path()).unwrap();
    let line = text.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in line + 1..text.len() {
        fs::write(ledger.path(), &text[..cut]).unwrap();
        let torn = (cut - line) as u64;
        let named = |error| matches!(error, ArtifactError::TornLedger { line: 2, bytes, .. } if bytes == torn);
        assert!(named(ledger.entries().unwrap_err()));
        assert!(named(ledger.append(&run("run-3"), at(3), "test", BTreeMap::new()).unwrap_err()));
        let report = ledger.verify(folder.path(), &GO_ON).unwrap();
        assert!(matches!(&report.problems[..], [LedgerProblem::Torn { line: 2, .. }]));
        assert_eq!(ledger.recover().unwrap(), torn);
        assert_eq!(ledger.entries().unwrap(), std::slice::from_ref(&first));
    }
    assert_eq!(ledger.recover().unwrap(), 0);
}

#[test]
fn writers_wait_for_each_other() {
    let folder = tempdir().unwrap();
    let ledger = Ledger::new(folder.path().join("ledger.jsonl"));
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let ledger = &ledger;
            scope.spawn(move || {
                for _ in 0..25 {
                    ledger
                        .append(&run(&format!("run-{writer}")), at(1), "test", BTreeMap::new())
                        .unwrap();
                }
            });
        }
        scope.spawn(|| (0..50).for_each(|_| drop(ledger.entries().unwrap())));
    });
    assert_eq!(ledger.entries().unwrap().len(), 100);
}

#[test]
fn a_file_that_a_later_run_replaced_is_as_in_the_later() {
    let root = issued(&["run-1"]);
    fs::write(root.path().join(WEIGHTS[0]), "second").unwrap();
    assert_eq!(problems(root.path())[0].file(), WEIGHTS[0]);
    certificate("run-2").issue(root.path(), &GO_ON, &mut ()).unwrap();
    let report = verify_certificates(root.path(), &GO_ON).unwrap();
    assert!(report.is_intact(), "{:?}", report.problems);
    assert_eq!(report.superseded, 1);
}

#[test]
fn a_ledger_lists_only_plain_relative_paths() {
    let folder = tempdir().unwrap();
    let ledger = Ledger::new(folder.path().join("ledger.jsonl"));
    for path in ["/etc/passwd", "../x", "a\\b", ""] {
        let files = BTreeMap::from([(path.to_owned(), Checksum::of_bytes(b""))]);
        let error = ledger.append(&run("run-1"), at(1), "test", files).unwrap_err();
        assert!(matches!(error, ArtifactError::Outside { .. }), "{error}");
    }
    assert!(ledger.entries().unwrap().is_empty());
}

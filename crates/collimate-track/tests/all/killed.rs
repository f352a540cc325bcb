//! Two processes that write, of which one is killed again and again.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use collimate_track::{CheckedOptions, Database, ExperimentId, Page, TrainingMetric};

use crate::{Scratch, options};

const WORD: &str = "event ";

#[test]
fn no_committed_event_is_lost() {
    write_and_kill(600, 12);
}

#[test]
#[ignore = "takes minutes; the one above does the same with fewer events"]
fn no_committed_event_of_ten_thousand_is_lost() {
    write_and_kill(10_000, 250);
}

/// Both processes write so many events, or more; one is killed so often on the way.
fn write_and_kill(events: u64, kills: u64) {
    let mut scratch = Scratch::new();
    let (steady, mortal) = (scratch.experiment(), scratch.experiment());
    let path = scratch.database.path().to_owned();
    let mut survivor = start(&path, steady, 0, events);
    let output = survivor.stdout.take().unwrap();
    let reader = thread::spawn(move || said(BufReader::new(output).lines().map_while(Result::ok)));

    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    // Opened while nobody writes: the dead process's locks and log are there.
    let mut database = Database::open(&path, &options()).unwrap();
    let (mut committed, mut unsaid) = (0, 0);
    for life in 0.. {
        if life >= kills && committed >= events {
            break;
        }
        // One that is to be killed would go on for ever, the last one ends by itself.
        let until = if life < kills { i64::MAX as u64 } else { events };
        let mut child = start(&path, mortal, committed, until);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut last = None;
        if life < kills {
            let wanted = random() % (2 * events / kills);
            last = said(lines.by_ref().filter(|line| line.contains(WORD)).take(wanted as usize));
            thread::sleep(Duration::from_micros(random() % 500));
            child.kill().unwrap();
        }
        // What it had said before it died is still in the pipe.
        last = said(lines).or(last);
        child.wait().unwrap();

        if random().is_multiple_of(2) {
            database = Database::open(&path, &CheckedOptions::default()).unwrap();
        }
        let found = database.training_metrics(mortal, None, Page::ALL).unwrap();
        let steps: Vec<_> = found.iter().map(|it| it.record.step).collect();
        assert!(steps.iter().copied().eq(0..steps.len() as u64), "a hole");
        let known = last.map_or(committed, |last| last + 1);
        let there = steps.len() as u64;
        assert!((known..=known + 1).contains(&there), "{there} are there, {known} were committed");
        unsaid += there - known;
        committed = there;
        assert!(database.verify_audit(None).unwrap().is_sound());
    }
    assert!(survivor.wait().unwrap().success());
    assert_eq!(reader.join().unwrap(), Some(events - 1));
    assert_eq!(database.training_metrics(steady, None, Page::ALL).unwrap().len() as u64, events);
    assert!(database.check_integrity().unwrap().is_sound());
    assert_eq!(database.verify_audit(None).unwrap().entries, 3 + events + committed);
    println!("{kills} deaths, {unsaid} of them between a commit and its announcement");
}

/// Starts a process that writes events from `first` on, up to `events`.
fn start(path: &Path, experiment: ExperimentId, first: u64, events: u64) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "killed::writer", "--ignored", "--nocapture", "--test-threads=1"])
        .env("COLLIMATE_TEST_DATABASE", path)
        .env("COLLIMATE_TEST_WORK", format!("{} {first} {events}", experiment.value()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The last event that is announced.
fn said(lines: impl Iterator<Item = String>) -> Option<u64> {
    lines.filter_map(|line| Some(line.split_once(WORD)?.1.parse().unwrap())).last()
}

#[test]
#[ignore = "the process that another test starts and kills"]
fn writer() {
    let (Some(path), Ok(work)) =
        (env::var_os("COLLIMATE_TEST_DATABASE"), env::var("COLLIMATE_TEST_WORK"))
    else {
        return;
    };
    let work: Vec<u64> = work.split(' ').map(|number| number.parse().unwrap()).collect();
    let [experiment, first, events] = work[..] else { panic!("{work:?}") };
    let mut database = Database::open(path, &CheckedOptions::default()).unwrap();
    for step in first..events {
        let metrics = [TrainingMetric::new(step, "loss", step as f64)];
        database.record_metrics(ExperimentId::new(experiment as i64), &metrics).unwrap();
        println!("{WORD}{step}");
    }
}

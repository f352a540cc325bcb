//! The chain of the audit log, and what breaks it.

use collimate_track::{AuditFault, AuditHead, Database, ModelEntry, Outcome, Page, TrainingMetric};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{Scratch, options};

/// A log of seven entries.
fn scratch() -> Scratch {
    let mut scratch = Scratch::new();
    let id = scratch.experiment();
    let database = &mut scratch.database;
    for step in 0..3 {
        database.record_metrics(id, &[TrainingMetric::new(step, "loss", 1.0)]).unwrap();
    }
    database.end_experiment(id, &Outcome::Finished).unwrap();
    database.note("backup", &json!({"to": "tape \u{1f4fc}"})).unwrap();
    assert!(database.verify_audit(None).unwrap().is_sound());
    scratch
}

fn fault(scratch: &Scratch) -> Option<AuditFault> {
    scratch.database.verify_audit(None).unwrap().fault
}

/// The documented hash, computed a second time.
fn hash(entry: &collimate_track::AuditEntry) -> String {
    let mut hash = Sha256::new();
    hash.update("collimate-track audit entry, form 1\n");
    hash.update(entry.sequence.to_le_bytes());
    let time = format!("{:.6}", entry.time);
    let details = entry.details.to_string();
    for text in [&time, &entry.actor, &entry.action, &entry.subject, &details, &entry.previous_hash]
    {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_change_has_an_entry() {
    let mut scratch = scratch();
    let model = scratch.database.register_model(&ModelEntry::new("fern", "Fern-1B")).unwrap();
    scratch.database.retire_model(model, Some("old")).unwrap();
    let entries = scratch.database.audit_entries(Page::ALL).unwrap();
    let said: Vec<_> = entries
        .iter()
        .map(|entry| format!("{} {} {}", entry.action, entry.subject, entry.details))
        .collect();
    assert_eq!(
        said,
        [
            r#"schema.create schema {"from":0,"to":2}"#,
            r#"experiment.start experiment 1 {"base_model":"Fern-1B","method":"LoRA","name":"first","parent":null}"#,
            r#"metrics.record experiment 1 {"metrics":1}"#,
            r#"metrics.record experiment 1 {"metrics":1}"#,
            r#"metrics.record experiment 1 {"metrics":1}"#,
            r#"experiment.end experiment 1 {"error":null,"status":"finished"}"#,
            "note backup {\"to\":\"tape \u{1f4fc}\"}",
            r#"model.register model 1 {"base_model":"Fern-1B","name":"fern"}"#,
            r#"model.retire model 1 {"reason":"old"}"#,
        ]
    );
    let mut previous = "0".repeat(64);
    for (at, entry) in (1..).zip(&entries) {
        assert_eq!((entry.sequence, entry.actor.as_str()), (at, "a test"));
        assert_eq!(entry.previous_hash, previous);
        assert_eq!(entry.hash, hash(entry));
        previous.clone_from(&entry.hash);
    }
    let head = scratch.database.audit_head().unwrap();
    assert_eq!(head, AuditHead { sequence: 9, hash: previous });
    let report = scratch.database.verify_audit(Some(&head)).unwrap();
    assert_eq!((report.entries, report.head, report.fault), (9, Some(head), None));
    assert_eq!(scratch.database.audit_entries(Page::first(4).next()).unwrap(), entries[4..8]);
}

#[test]
fn entries_can_neither_be_changed_nor_deleted_nor_replaced() {
    let scratch = scratch();
    let connection = rusqlite::Connection::open(scratch.database.path()).unwrap();
    for sql in [
        "UPDATE audit_log SET actor = 'nobody' WHERE sequence = 3",
        "DELETE FROM audit_log WHERE sequence = 7",
        "INSERT OR REPLACE INTO audit_log VALUES (3, '', '', '', '', '', '', '')",
        "INSERT INTO audit_log VALUES (9, '', '', '', '', '', '', '')",
        "INSERT INTO audit_log VALUES (-1, '', '', '', '', '', '', '')",
    ] {
        let error = connection.execute_batch(sql).unwrap_err();
        assert!(error.to_string().contains("append-only"), "{sql}: {error}");
    }
    assert_eq!(fault(&scratch), None);
}

#[test]
fn a_changed_byte_is_found_in_every_column() {
    for column in ["time", "actor", "action", "subject", "details", "previous_hash", "hash"] {
        for change in [
            // The last character becomes another, or is gone; one more; the type; no UTF-8.
            "substr(COLUMN, 1, length(COLUMN) - 1) || char(unicode(substr(COLUMN, -1)) + 1)",
            "substr(COLUMN, 1, length(COLUMN) - 1)",
            "COLUMN || ' '",
            "upper(COLUMN) || lower(COLUMN)",
            "CAST(x'ff' AS TEXT) || COLUMN",
        ] {
            let scratch = scratch();
            let change = change.replace("COLUMN", column);
            scratch.tamper(&format!("UPDATE audit_log SET {column} = {change} WHERE sequence = 4"));
            let found = fault(&scratch);
            assert_eq!(found, Some(AuditFault::Changed { sequence: 4 }), "{column}: {change}");
        }
    }
    let scratch = scratch();
    scratch.tamper("UPDATE audit_log SET sequence = 14 WHERE sequence = 4");
    assert_eq!(fault(&scratch), Some(AuditFault::Missing { sequence: 4 }));
    let report = scratch.database.verify_audit(None).unwrap();
    assert_eq!((report.entries, report.head.unwrap().sequence), (3, 3));
}

#[test]
fn a_flipped_bit_of_the_file_is_found() {
    let scratch = scratch();
    let path = scratch.database.path().to_owned();
    let entries = scratch.database.audit_entries(Page::ALL).unwrap();
    scratch.database.close().unwrap();
    let sound = std::fs::read(&path).unwrap();
    let places = |text: &str| -> Vec<usize> {
        let found = sound.windows(text.len()).enumerate();
        found.filter(|(_, window)| *window == text.as_bytes()).map(|(at, _)| at).collect()
    };
    let mut flipped = 0;
    for text in [&entries[3].hash, &entries[6].subject, &entries[5].action] {
        for start in places(text) {
            for at in start..start + text.len() {
                let mut damaged = sound.clone();
                damaged[at] ^= 1;
                std::fs::write(&path, &damaged).unwrap();
                let database = Database::open(&path, &options()).unwrap();
                assert!(!database.verify_audit(None).unwrap().is_sound(), "byte {at}");
                flipped += 1;
            }
        }
    }
    // The hash stands twice: as the next entry's previous one.
    assert_eq!(flipped, 64 * 2 + "backup".len() + "experiment.end".len());
}

#[test]
fn what_is_removed_moved_or_added_is_found() {
    for (sql, expected) in [
        ("DELETE FROM audit_log WHERE sequence = 1", AuditFault::Missing { sequence: 1 }),
        ("DELETE FROM audit_log WHERE sequence = 4", AuditFault::Missing { sequence: 4 }),
        (
            "DELETE FROM audit_log WHERE sequence = 4;
             UPDATE audit_log SET sequence = sequence - 1 WHERE sequence > 4",
            AuditFault::Changed { sequence: 4 },
        ),
        (
            "UPDATE audit_log SET sequence = 99 WHERE sequence = 3;
             UPDATE audit_log SET sequence = 3 WHERE sequence = 4;
             UPDATE audit_log SET sequence = 4 WHERE sequence = 99",
            AuditFault::Changed { sequence: 3 },
        ),
        (
            "INSERT INTO audit_log SELECT 8, time, actor, action, subject, details, previous_hash, hash
             FROM audit_log WHERE sequence = 7",
            AuditFault::Changed { sequence: 8 },
        ),
        ("DELETE FROM audit_log WHERE sequence = 7", AuditFault::Head { last: 6, noted: Some(7) }),
        ("DELETE FROM audit_log", AuditFault::Head { last: 0, noted: Some(7) }),
        ("DELETE FROM audit_head", AuditFault::Head { last: 7, noted: None }),
        ("UPDATE audit_head SET sequence = 6", AuditFault::Head { last: 7, noted: Some(6) }),
        ("UPDATE audit_head SET sequence = -1", AuditFault::Head { last: 7, noted: None }),
        ("UPDATE audit_head SET hash = upper(hash)", AuditFault::Head { last: 7, noted: Some(7) }),
        ("INSERT INTO audit_head VALUES (2, 7, '')", AuditFault::Head { last: 7, noted: Some(7) }),
    ] {
        let scratch = scratch();
        scratch.tamper(sql);
        assert_eq!(fault(&scratch), Some(expected), "{sql}");
    }
}

#[test]
fn a_log_that_was_written_anew_is_found_by_a_head_that_was_kept() {
    let scratch = scratch();
    let entries = scratch.database.audit_entries(Page::ALL).unwrap();
    let head = |at: usize| {
        let entry = &entries[at - 1];
        AuditHead { sequence: entry.sequence, hash: entry.hash.clone() }
    };
    // Entry 5 gets another actor, and all hashes after it fit.
    let mut previous = entries[3].hash.clone();
    let mut sql = String::new();
    for entry in &entries[4..] {
        let mut forged = entry.clone();
        if forged.sequence == 5 {
            forged.actor = "nobody".to_owned();
        }
        forged.previous_hash.clone_from(&previous);
        previous = hash(&forged);
        sql += &format!(
            "UPDATE audit_log SET actor = '{}', previous_hash = '{}', hash = '{previous}'
             WHERE sequence = {};",
            forged.actor, forged.previous_hash, forged.sequence
        );
    }
    scratch.tamper(&format!("{sql} UPDATE audit_head SET hash = '{previous}'"));
    let verify = |kept: &AuditHead| scratch.database.verify_audit(Some(kept)).unwrap().fault;
    assert_eq!(fault(&scratch), None, "what can't be found without a kept head is documented");
    assert_eq!(verify(&head(4)), None);
    assert_eq!(verify(&head(5)), Some(AuditFault::Rewritten { sequence: 5 }));
    assert_eq!(verify(&head(7)), Some(AuditFault::Rewritten { sequence: 7 }));

    // Cut off, together with the note.
    scratch.tamper(&format!(
        "DELETE FROM audit_log WHERE sequence > 4;
         UPDATE audit_head SET sequence = 4, hash = '{}'",
        entries[3].hash
    ));
    assert_eq!(fault(&scratch), None);
    assert_eq!(verify(&head(4)), None);
    assert_eq!(verify(&head(7)), Some(AuditFault::Rewritten { sequence: 7 }));
}

#[test]
fn entries_of_which_one_was_replaced_do_not_follow_each_other() {
    let scratch = scratch();
    let mut entry = scratch.database.audit_entries(Page::ALL).unwrap().swap_remove(2);
    entry.actor = "nobody".to_owned();
    let sql = format!(
        "UPDATE audit_log SET actor = 'nobody', hash = '{}' WHERE sequence = 3",
        hash(&entry)
    );
    scratch.tamper(&sql);
    assert_eq!(fault(&scratch), Some(AuditFault::Unchained { sequence: 4 }));
}

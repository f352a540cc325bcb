//! Hashing and checking the entries of the log.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use sha2::{Digest, Sha256};

use super::{AuditFault, AuditHead, AuditReport};
use crate::column;
use crate::database::Attempt;

/// What stands for the hash before the first entry.
pub(super) const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What the hash of an entry is of.
pub(super) struct Content<'entry> {
    pub(super) sequence: i64,
    /// Time, actor, action, subject, details and the hash before it.
    pub(super) texts: [&'entry str; 6],
}

impl Content<'_> {
    /// SHA-256 of a fixed beginning, the sequence as eight bytes, and each text after its length as eight
    /// bytes (little-endian): no two contents have the same encoding.
    pub(super) fn hash(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"collimate-track audit entry, form 1\n");
        hash.update(self.sequence.to_le_bytes());
        for text in self.texts {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Reads the log up to its first fault.
pub(super) fn verify(connection: &Connection, kept: Option<&AuditHead>) -> Attempt<AuditReport> {
    let mut report = AuditReport { entries: 0, head: None, fault: None };
    let mut kept_is_there = kept.is_none();
    let mut statement = connection.prepare(
        "SELECT sequence, time, actor, action, subject, details, previous_hash, hash
         FROM audit_log ORDER BY sequence",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match entry(row, &report)? {
            Ok(head) => {
                kept_is_there |= kept == Some(&head);
                report.entries = head.sequence;
                report.head = Some(head);
            }
            Err(fault) => {
                report.fault = Some(fault);
                return Ok(report);
            }
        }
    }
    report.fault = match kept {
        _ if !is_noted(connection, report.head.as_ref())? => {
            let noted = column::value(connection, "SELECT sequence FROM audit_head", []);
            let noted = noted.ok().flatten().and_then(|sequence: i64| sequence.try_into().ok());
            Some(AuditFault::Head { last: report.entries, noted })
        }
        Some(kept) if !kept_is_there => Some(AuditFault::Rewritten { sequence: kept.sequence }),
        _ => None,
    };
    Ok(report)
}

/// The next entry as the head of the log so far, or what is wrong with it.
fn entry(row: &Row<'_>, before: &AuditReport) -> Attempt<Result<AuditHead, AuditFault>> {
    let sequence = before.entries + 1;
    if row.get_ref(0)? != ValueRef::Integer(sequence as i64) {
        return Ok(Err(AuditFault::Missing { sequence }));
    }
    let mut texts = [""; 7];
    for (at, text) in texts.iter_mut().enumerate() {
        match row.get_ref(at + 1)?.as_str() {
            Ok(found) => *text = found,
            // Another type, or no UTF-8: nothing of this crate has written that.
            Err(_) => return Ok(Err(AuditFault::Changed { sequence })),
        }
    }
    let [time, actor, action, subject, details, previous_hash, hash] = texts;
    let expected = before.head.as_ref().map_or(NO_HASH, |head| &head.hash);
    let content = Content {
        sequence: sequence as i64,
        texts: [time, actor, action, subject, details, previous_hash],
    };
    Ok(if content.hash() != hash {
        Err(AuditFault::Changed { sequence })
    } else if previous_hash != expected {
        Err(AuditFault::Unchained { sequence })
    } else {
        Ok(AuditHead { sequence, hash: hash.to_owned() })
    })
}

/// Whether this is what was noted as the last entry.
fn is_noted(connection: &Connection, last: Option<&AuditHead>) -> Attempt<bool> {
    let (sequence, hash) = last.map_or((0, ""), |last| (last.sequence as i64, &last.hash));
    let sql = "SELECT count(*) FROM audit_head";
    let notes: Option<i64> = column::value(connection, sql, [])?;
    let sql = "SELECT 1 FROM audit_head WHERE sequence = ?1 AND hash = ?2";
    let found: Option<i64> = column::value(connection, sql, (sequence, hash))?;
    Ok(notes == Some(1) && found.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_the_documented_bytes() {
        let content = Content { sequence: 1, texts: ["t", "", "ä", "s", "{}", "0"] };
        let mut bytes = b"collimate-track audit entry, form 1\n".to_vec();
        bytes.extend([1, 0, 0, 0, 0, 0, 0, 0]);
        for text in ["t", "", "ä", "s", "{}", "0"] {
            bytes.extend([text.len() as u8, 0, 0, 0, 0, 0, 0, 0]);
            bytes.extend(text.as_bytes());
        }
        let expected: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(content.hash(), expected);
        assert_eq!(NO_HASH, "0".repeat(64));
    }

    #[test]
    fn texts_do_not_run_into_each_other() {
        let hash = |texts| Content { sequence: 1, texts }.hash();
        assert_ne!(hash(["a", "bc", "", "", "", ""]), hash(["ab", "c", "", "", "", ""]));
        assert_ne!(hash(["a", "", "", "", "", ""]), hash(["", "a", "", "", "", ""]));
    }
}

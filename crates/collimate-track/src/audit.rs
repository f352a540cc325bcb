mod chain;

use jiff::Timestamp;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::column;
use crate::database::{Action, Attempt, Database};
use crate::error::Result;
use crate::json;
use crate::page::Page;

use chain::{Content, NO_HASH};

/// Who has done what, and when.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AuditEntry {
    /// Its place in the log, counted from one.
    pub sequence: u64,
    /// When it was done.
    pub time: Timestamp,
    /// Who did it.
    pub actor: String,
    /// What was done, as `experiment.start`.
    pub action: String,
    /// What it was done to, as `experiment 12`.
    pub subject: String,
    /// More about it: an object.
    pub details: Value,
    /// The hash of the entry before it; of the first, zeros.
    pub previous_hash: String,
    /// The SHA-256 of all of the above.
    pub hash: String,
}

/// The last entry of an audit log. Kept elsewhere, it proves later that the log still begins as it did:
/// [`Database::verify_audit`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AuditHead {
    /// Its place in the log.
    pub sequence: u64,
    /// Its hash.
    pub hash: String,
}

/// Whether an audit log is as it was written.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AuditReport {
    /// Entries up to the first fault.
    pub entries: u64,
    /// The last of them; none where there is none.
    pub head: Option<AuditHead>,
    /// What is wrong; nothing from there on is to be trusted.
    pub fault: Option<AuditFault>,
}

/// What is wrong with an audit log.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditFault {
    /// An entry was removed, or moved to another place.
    Missing {
        /// The entry that should be there.
        sequence: u64,
    },
    /// An entry is not what it was when it was hashed.
    Changed {
        /// The entry.
        sequence: u64,
    },
    /// An entry does not follow the one before it: one of them was replaced.
    Unchained {
        /// The entry.
        sequence: u64,
    },
    /// The log ends before or after the entry that was noted as its last, or with another one.
    Head {
        /// The last entry that is there; zero where there is none.
        last: u64,
        /// The last entry that was noted; none where the note is missing or unreadable.
        noted: Option<u64>,
    },
    /// The log is a sound one, but not the one that a head was kept of.
    Rewritten {
        /// The entry of which the head was kept.
        sequence: u64,
    },
}

impl AuditReport {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.fault.is_none()
    }
}

impl Database {
    /// Adds an entry of the caller's own, with the action `note`.
    ///
    /// # Errors
    ///
    /// [`TrackError::Empty`](crate::TrackError::Empty), [`TrackError::TooLarge`](crate::TrackError::TooLarge),
    /// [`TrackError::NotAnObject`](crate::TrackError::NotAnObject),
    /// [`TrackError::TooDeep`](crate::TrackError::TooDeep); those of SQLite.
    pub fn note(&mut self, subject: &str, details: &Value) -> Result<()> {
        column::check_name("the subject", subject)?;
        json::canonical("the details", details, self.max_text_bytes())?;
        self.change(|_| Ok(((), Action::new("note", subject, details.clone()))))
    }

    /// Entries of the log, oldest first; the chain is not checked.
    ///
    /// # Errors
    ///
    /// Those of SQLite; [`TrackError::Unreadable`](crate::TrackError::Unreadable).
    pub fn audit_entries(&self, page: Page) -> Result<Vec<AuditEntry>> {
        self.read(|connection| {
            let sql = "SELECT * FROM audit_log ORDER BY sequence LIMIT ?1 OFFSET ?2";
            column::rows(connection, sql, page.bounds(), |row| {
                Ok(AuditEntry {
                    sequence: column::count(row, "sequence")?,
                    time: column::parsed(row, "time")?,
                    actor: row.get("actor")?,
                    action: row.get("action")?,
                    subject: row.get("subject")?,
                    details: column::object(row, "details")?,
                    previous_hash: row.get("previous_hash")?,
                    hash: row.get("hash")?,
                })
            })
        })
    }

    /// The last entry. Keep it where whoever can write the database can't, and the log can't be
    /// rewritten or cut off before it unnoticed.
    ///
    /// # Errors
    ///
    /// Those of SQLite; [`TrackError::Unreadable`](crate::TrackError::Unreadable).
    pub fn audit_head(&self) -> Result<AuditHead> {
        self.read(|connection| {
            let (sequence, hash) = last(connection)?;
            Ok(AuditHead { sequence: sequence.unsigned_abs(), hash })
        })
    }

    /// Checks the whole log: every byte of every entry, their order, that none is missing, that it ends
    /// where it was noted to end, and that it has the entry of which a head was kept.
    ///
    /// Without a kept head, one thing can't be found: that somebody has cut off the end and changed the note
    /// of it as well, or has written a new log from some entry on.
    ///
    /// # Errors
    ///
    /// Those of SQLite. What is wrong with the log is in the report.
    pub fn verify_audit(&self, kept: Option<&AuditHead>) -> Result<AuditReport> {
        self.read_at_once(|connection| chain::verify(connection, kept))
    }
}

/// Adds an entry to the log, in the transaction of the change that it is about.
pub(crate) fn append(
    connection: &Connection,
    now: Timestamp,
    actor: &str,
    action: &Action,
) -> Attempt<()> {
    let (last, previous_hash) = last(connection)?;
    let sequence = last.saturating_add(1);
    let time = column::time(now);
    let details = json::canonical("the details", &action.details, u64::MAX)?;
    let content = Content {
        sequence,
        texts: [&time, actor, action.name, &action.subject, &details, &previous_hash],
    };
    let hash = content.hash();
    connection.execute(
        "INSERT INTO audit_log
             (sequence, time, actor, action, subject, details, previous_hash, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        (sequence, &time, actor, action.name, &action.subject, &details, &previous_hash, &hash),
    )?;
    connection.execute(
        "INSERT INTO audit_head (id, sequence, hash) VALUES (1, ?1, ?2)
         ON CONFLICT (id) DO UPDATE SET sequence = ?1, hash = ?2",
        (sequence, &hash),
    )?;
    Ok(())
}

/// Place and hash of the last entry; of an empty log, zeros.
fn last(connection: &Connection) -> Attempt<(i64, String)> {
    let sql = "SELECT sequence, hash FROM audit_log ORDER BY sequence DESC LIMIT 1";
    let last = column::first(connection, sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(last.unwrap_or_else(|| (0, NO_HASH.to_owned())))
}

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use rayon::prelude::*;

use super::builder::{Outcome, RowBuilder};
use super::preference::PreferenceRow;
use super::report::PrepareReport;
use crate::error::{DataError, Result};
use crate::event::{DataEvent, Observer, check_cancelled};
use crate::record::Origin;
use crate::rendered::Rendered;
use crate::row::Row;

/// Examples that are worked on at a time.
const BATCH: usize = 2048;

/// Makes rows of examples and hands them on in the order of the examples.
///
/// `render` makes the text of an example, and gives its origin, or anything that has one and is to be
/// handed on with the row. It and the tokenizer run in parallel in the current rayon
/// pool, while `examples` is read on this thread; `sink` runs on this thread too. The number of
/// threads changes nothing in the rows.
///
/// ```
/// use std::sync::atomic::AtomicBool;
///
/// use collimate_data::{
///     Origin, Position, PrepareSettings, Rendered, RowBuilder, Tokenizer, prepare,
/// };
/// # let folder = tempfile::tempdir()?;
/// # std::fs::write(folder.path().join("tokenizer.json"), r#"{"version": "1.0",
/// #     "model": {"type": "WordLevel", "vocab": {"two": 0, "and": 1, "four": 2, "?": 3, ".": 4},
/// #     "unk_token": "?"}, "pre_tokenizer": {"type": "Whitespace"}, "added_tokens": []}"#)?;
/// # let folder = folder.path();
/// let tokenizer = Tokenizer::from_folder(folder)?;
/// let builder = RowBuilder::new(&tokenizer, PrepareSettings::default())?;
/// let examples = ["two and two", "four and four"].into_iter().zip(1..).map(Ok);
/// let mut rows = Vec::new();
/// let report = prepare(
///     &builder,
///     examples,
///     |(prompt, line)| {
///         let origin = Origin { file: folder.into(), position: Position::Line(line) };
///         Ok((Rendered::from_prompt_completion(prompt, " four", " ."), origin))
///     },
///     &AtomicBool::new(false),
///     &mut (),
///     |row, _| {
///         rows.push(row);
///         Ok(())
///     },
/// )?;
/// assert_eq!((report.rows, report.tokens, report.trained_tokens), (2, 10, 4));
/// assert_eq!(rows[1].ids, [2, 1, 2, 2, 4]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// The first error of an example, of `render`, of a row or of `sink`, in the order of the
/// examples; [`DataError::Cancelled`] once `cancelled` is set.
pub fn prepare<E: Send, O: AsRef<Origin> + Send>(
    builder: &RowBuilder<'_>,
    examples: impl Iterator<Item = Result<E>>,
    render: impl Fn(E) -> Result<(Rendered, O)> + Sync,
    cancelled: &AtomicBool,
    observer: &mut dyn Observer,
    mut sink: impl FnMut(Row, &O) -> Result<()>,
) -> Result<PrepareReport> {
    let make = |example| {
        let (rendered, origin) = render(example)?;
        Ok((builder.build(&rendered, origin.as_ref())?, origin))
    };
    let mut report = PrepareReport::default();
    in_batches(examples, make, cancelled, |made| {
        for (outcome, origin) in made {
            let (outcome, origin): (Outcome<_>, O) = (outcome, origin);
            report.records += 1;
            match outcome {
                Ok(built) => {
                    report.add_row(&built);
                    sink(built.row, &origin)?;
                }
                Err(reason) => report.drop_record(reason, origin.as_ref()),
            }
        }
        observer.on_event(&DataEvent::Rows { rows: report.rows, tokens: report.tokens });
        Ok(())
    })?;
    Ok(report)
}

/// Makes pairs of rows of preference examples, otherwise as [`prepare`]: `render` gives the
/// preferred text, the other one, and where the record stands.
///
/// # Errors
///
/// As for [`prepare`].
pub fn prepare_preferences<E: Send, O: AsRef<Origin> + Send>(
    builder: &RowBuilder<'_>,
    examples: impl Iterator<Item = Result<E>>,
    render: impl Fn(E) -> Result<(Rendered, Rendered, O)> + Sync,
    cancelled: &AtomicBool,
    observer: &mut dyn Observer,
    mut sink: impl FnMut(PreferenceRow, &O) -> Result<()>,
) -> Result<PrepareReport> {
    let make = |example| {
        let (chosen, rejected, origin) = render(example)?;
        Ok((builder.build_preference(&chosen, &rejected, origin.as_ref())?, origin))
    };
    let mut report = PrepareReport::default();
    in_batches(examples, make, cancelled, |made| {
        for (outcome, origin) in made {
            let (outcome, origin): (Outcome<_>, O) = (outcome, origin);
            report.records += 1;
            match outcome {
                Ok(built) => {
                    report.add_row(&built.chosen);
                    report.add_row(&built.rejected);
                    sink(built.into_row(), &origin)?;
                }
                Err(reason) => report.drop_record(reason, origin.as_ref()),
            }
        }
        observer.on_event(&DataEvent::Rows { rows: report.rows, tokens: report.tokens });
        Ok(())
    })?;
    Ok(report)
}

/// Makes something of each example in parallel while the next examples are read, and hands on what
/// was made, batch by batch.
fn in_batches<E: Send, M: Send>(
    mut examples: impl Iterator<Item = Result<E>>,
    make: impl Fn(E) -> Result<M> + Sync,
    cancelled: &AtomicBool,
    mut take: impl FnMut(Vec<M>) -> Result<()>,
) -> Result<()> {
    let (mut batch, mut failure) = read(&mut examples, cancelled);
    while !batch.is_empty() {
        let current = std::mem::take(&mut batch);
        let mut next = None;
        let made: Mutex<Result<Vec<M>>> = Mutex::new(Err(DataError::Cancelled));
        rayon::in_place_scope(|scope| {
            scope.spawn(|_| {
                let result = in_parallel(current, &make, cancelled);
                *made.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = result;
            });
            if failure.is_none() {
                next = Some(read(&mut examples, cancelled));
            }
        });
        take(made.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)?)?;
        if let Some(next) = next {
            (batch, failure) = next;
        }
    }
    failure.map_or(Ok(()), Err)
}

/// The next examples, and the error that ended them.
fn read<E>(
    examples: &mut impl Iterator<Item = Result<E>>,
    cancelled: &AtomicBool,
) -> (Vec<E>, Option<DataError>) {
    let mut batch = Vec::with_capacity(BATCH);
    while batch.len() < BATCH {
        if let Err(error) = check_cancelled(cancelled) {
            return (batch, Some(error));
        }
        match examples.next() {
            Some(Ok(example)) => batch.push(example),
            Some(Err(error)) => return (batch, Some(error)),
            None => break,
        }
    }
    (batch, None)
}

/// What is made of each example, or the first error in their order.
fn in_parallel<E: Send, M: Send>(
    examples: Vec<E>,
    make: impl Fn(E) -> Result<M> + Sync,
    cancelled: &AtomicBool,
) -> Result<Vec<M>> {
    let made: Vec<Result<M>> = examples
        .into_par_iter()
        .map(|example| {
            check_cancelled(cancelled)?;
            make(example)
        })
        .collect();
    made.into_iter().collect()
}

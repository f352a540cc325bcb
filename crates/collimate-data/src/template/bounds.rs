//! What a template may take: steps, bytes written, depth.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, State, Value};

use super::environment::is_namespace;
use super::values::{Fields, Generator, Held, View};

/// A template's greatest length, in bytes.
pub(super) const SOURCE: usize = 1 << 20;
/// Steps that one rendering may take.
pub(super) const FUEL: u64 = 10_000_000;
/// Bytes that one rendering may write.
pub(super) const OUTPUT: usize = 128 << 20;
/// Bytes that all strings which one rendering makes may have together.
const MADE: u64 = 1 << 30;
/// What visiting one value counts, in bytes.
const VISIT: u64 = 256;
/// How deeply lists, mappings and namespaces that a template makes may nest.
const NESTING: usize = 100;

/// An error of what a template does.
pub(super) fn fault(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}

#[derive(Clone, Copy, Debug, Default)]
struct Made(u64);

/// Counts bytes before they are made.
pub(super) fn charge(state: &mut State<'_, '_>, bytes: usize) -> Result<(), Error> {
    let made = state.get_or_insert_extension_with(Made::default);
    made.0 = made.0.saturating_add(bytes as u64);
    if made.0 > MADE {
        return Err(fault("the template makes more text than a rendering may"));
    }
    Ok(())
}

/// Counts a product of two lengths before it is made.
pub(super) fn charge_product(
    state: &mut State<'_, '_>,
    length: usize,
    times: usize,
) -> Result<(), Error> {
    charge(state, length.saturating_mul(times))
}

/// Refuses a value that nests too deeply, or holds too much.
pub(super) fn check_nesting(state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    check(state, value, true)
}

/// Refuses a value that a namespace may not hold: also one that holds a namespace, because
/// namespaces that hold each other could nest without end.
pub(super) fn check_held(state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    check(state, value, false)
}

fn check(state: &mut State<'_, '_>, value: &Value, namespaces: bool) -> Result<(), Error> {
    let mut visits = 0_u64;
    visit(value, 0, namespaces, &mut visits)?;
    charge(state, usize::try_from(visits.saturating_mul(VISIT)).unwrap_or(usize::MAX))
}

fn visit(value: &Value, depth: usize, namespaces: bool, visits: &mut u64) -> Result<(), Error> {
    *visits += 1;
    if *visits > MADE / VISIT {
        return Err(fault("the template makes a value that holds more than a rendering may"));
    }
    if depth > NESTING {
        return Err(fault("the template nests values too deeply"));
    }
    let mut all = |items: &[Value]| -> Result<(), Error> {
        items.iter().try_for_each(|item| visit(item, depth + 1, namespaces, visits))
    };
    match value.kind() {
        ValueKind::Seq => {
            for item in value.try_iter()? {
                visit(&item, depth + 1, namespaces, visits)?;
            }
        }
        ValueKind::Map if value.downcast_object_ref::<Fields>().is_none() => {
            if !namespaces && is_namespace(value) {
                return Err(fault("a namespace can't hold another one here"));
            }
            for key in value.try_iter()? {
                visit(&value.get_item(&key)?, depth + 1, namespaces, visits)?;
            }
        }
        ValueKind::Plain | ValueKind::Iterable => {
            if let Some(held) = value.downcast_object_ref::<Held>() {
                all(held.values())?;
            } else if let Some(view) = value.downcast_object_ref::<View>() {
                all(&view.items)?;
            } else if let Some(generator) = value.downcast_object_ref::<Generator>() {
                all(&generator.left())?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// A string that refuses to grow beyond its limit.
pub(super) struct Capped {
    pub(super) text: String,
    limit: usize,
}

impl Capped {
    pub(super) fn new() -> Self {
        Self { text: String::new(), limit: OUTPUT }
    }
}

impl fmt::Write for Capped {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.len() > self.limit - self.text.len() {
            return Err(fmt::Error);
        }
        self.text.push_str(text);
        Ok(())
    }
}

/// The writer that refuses more than a rendering may write.
pub(super) struct Sink<'rendering> {
    pub(super) written: &'rendering mut Vec<u8>,
    pub(super) length: &'rendering AtomicUsize,
}

impl io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() > OUTPUT - self.written.len() {
            return Err(io::Error::other("the template writes more than a rendering may"));
        }
        self.written.extend_from_slice(bytes);
        self.length.store(self.written.len(), Ordering::Relaxed);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

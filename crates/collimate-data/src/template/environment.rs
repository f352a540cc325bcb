//! The environment that templates run in: transformers' sandbox, with the same filters, tests and
//! functions.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Object, ObjectRepr, Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, State, Value};

use super::arguments::{Arguments, split};
use super::bounds::{FUEL, charge, check_held, check_nesting, fault};
use super::strftime::TemplateTime;
use super::translate::{BLOCK, COMMENT, OUTPUT};
use super::values::{Held, Range};
use super::{filters, lists, methods, python};

/// The variable under which a rendering finds its recorder: no template can name it.
pub(super) const RECORDER: &str = "\u{10fff0}";

/// Ranges are at most this long, as in Jinja's sandbox.
const RANGE: i128 = 100_000;

/// Arguments of a filter or a function, named ones last.
type Given = Rest<ValueOrKwargs>;

fn values(given: Given) -> Vec<Value> {
    given.0.into_iter().map(ValueOrKwargs::into_value).collect()
}

/// What a rendering needs beside a template's variables, and what it records.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    /// Bytes written so far.
    pub(super) length: Arc<AtomicUsize>,
    /// Beginnings and ends, in bytes, of what `{% generation %}` blocks wrote.
    pub(super) spans: Mutex<Vec<(usize, usize)>>,
    /// The time that `strftime_now` writes.
    pub(super) now: Option<TemplateTime>,
}

impl Object for Recorder {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}

/// What `raise_exception` raises.
#[derive(Debug)]
pub(super) struct Raised(pub(super) String);

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Raised {}

/// An environment without templates.
pub(super) fn environment() -> Result<Environment<'static>, Error> {
    let mut environment = Environment::empty();
    environment.set_syntax(
        SyntaxConfig::builder()
            .block_delimiters(BLOCK.0, BLOCK.1)
            .variable_delimiters(OUTPUT.0, OUTPUT.1)
            .comment_delimiters(COMMENT.0, COMMENT.1)
            .keep_trailing_newline(true)
            .build()?,
    );
    environment.set_debug(false);
    environment.set_fuel(Some(FUEL));
    environment.set_formatter(|out, state, value| {
        if let Some(text) = value.as_str() {
            charge(state, text.len())?;
            return out.write_str(text).map_err(Error::from);
        }
        let text = python::text(value)?;
        charge(state, text.len())?;
        out.write_str(&text).map_err(Error::from)
    });
    environment.set_unknown_method_callback(methods::call);
    for (name, filter) in filters::FILTERS.iter().chain(&lists::FILTERS).copied() {
        environment.add_filter(name, move |state: &mut State<'_, '_>, given: Given| {
            filter(state, &values(given))
        });
    }
    add_tests(&mut environment);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment.add_function("range", range);
    environment.add_function("dict", |state: &mut State<'_, '_>, given: Given| {
        filters::dict(state, &values(given))
    });
    environment.add_function("namespace", namespace);
    environment.add_function("joiner", |state: &mut State<'_, '_>, given: Given| {
        let arguments = Arguments::bind("joiner", &["sep"], &values(given))?;
        let separator = arguments.get(0).cloned().unwrap_or_else(|| Value::from(", "));
        held(state, Held::Joiner([separator], Mutex::new(false)))
    });
    environment.add_function("cycler", |state: &mut State<'_, '_>, given: Rest<Value>| {
        if given.is_empty() {
            return Err(fault("at least one item has to be provided"));
        }
        held(state, Held::Cycler(given.to_vec(), Mutex::new(0)))
    });
    environment.add_function("lipsum", || -> Result<Value, Error> {
        Err(fault("lipsum is not supported"))
    });
    Ok(environment)
}

fn held(state: &mut State<'_, '_>, held: Held) -> Result<Value, Error> {
    let value = Value::from_object(held);
    check_nesting(state, &value)?;
    Ok(value)
}

/// Whether a value is a namespace.
pub(super) fn is_namespace(value: &Value) -> bool {
    value.as_object().is_some_and(|object| object.type_name().ends_with("Namespace"))
}

fn raise_exception(given: Given) -> Result<Value, Error> {
    let arguments = Arguments::bind("raise_exception", &["message"], &values(given))?;
    let message = python::text(arguments.required(0)?)?;
    Err(fault("raise_exception").with_source(Raised(message)))
}

fn recorder(state: &State<'_, '_>) -> Option<Arc<Recorder>> {
    state.lookup(RECORDER)?.downcast_object::<Recorder>()
}

fn strftime_now(state: &mut State<'_, '_>, given: Given) -> Result<Value, Error> {
    let arguments = Arguments::bind("strftime_now", &["format"], &values(given))?;
    let format = arguments.text(0)?;
    charge(state, format.len() * 32)?;
    let now = recorder(state).and_then(|recorder| recorder.now);
    let now = now.ok_or_else(|| {
        fault("the template writes the date, and no time was set: set `now` in the options of the rendering")
    })?;
    Ok(Value::from(now.strftime(format)))
}

fn namespace(state: &mut State<'_, '_>, given: Given) -> Result<Value, Error> {
    let held = filters::dict(state, &values(given))?;
    check_held(state, &held)?;
    for name in held.try_iter()? {
        match name.as_str() {
            Some(name) if name.starts_with('_') => {
                return Err(fault(
                    "chat templates cannot store underscore-prefixed attributes on a namespace",
                ));
            }
            _ => {}
        }
    }
    minijinja::functions::namespace(Some(held.into()))
}

fn range(given: Rest<Value>) -> Result<Value, Error> {
    let (positional, named) = split(&given)?;
    if named.is_some() {
        return Err(fault("range takes no keyword arguments"));
    }
    let mut numbers = [0; 3];
    for (slot, value) in numbers.iter_mut().zip(positional) {
        *slot = python::as_integer(value).ok_or_else(|| {
            fault(format!(
                "'{}' object cannot be interpreted as an integer",
                python::type_name(value)
            ))
        })?;
    }
    let [first, second, third] = numbers;
    let (start, stop, step) = match positional.len() {
        1 => (0, first, 1),
        2 => (first, second, 1),
        3 => (first, second, third),
        _ => return Err(fault("range takes 1 to 3 arguments")),
    };
    if step == 0 {
        return Err(fault("range() arg 3 must not be zero"));
    }
    let distance = if step > 0 { stop - start } else { start - stop };
    let length = if distance <= 0 { 0 } else { (distance - 1) / step.abs() + 1 };
    if length > RANGE {
        return Err(fault(
            "Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).",
        ));
    }
    let bound =
        |value: i128| i64::try_from(value).map_err(|_| fault("a range's bounds are too large"));
    Ok(Value::from_object(Range {
        start: bound(start)?,
        stop: bound(stop)?,
        step: bound(step)?,
        length: usize::try_from(length).unwrap_or_default(),
    }))
}

/// What a `{% generation %}` block wrote: its place is recorded.
pub(super) fn generation(state: &mut State<'_, '_>, given: &[Value]) -> Result<Value, Error> {
    let [value] = given else { return Err(fault("a generation block has one value")) };
    if let Some(recorder) = recorder(state) {
        let start = recorder.length.load(Ordering::Relaxed);
        let end = start + value.as_str().map_or(0, str::len);
        recorder.spans.lock().unwrap_or_else(PoisonError::into_inner).push((start, end));
    }
    Ok(value.clone())
}

fn add_tests(environment: &mut Environment<'static>) {
    type Test = fn(&Value) -> bool;
    let tests: [(&'static str, Test); 19] = [
        ("defined", |value| !value.is_undefined()),
        ("undefined", Value::is_undefined),
        ("none", Value::is_none),
        ("boolean", |value| value.kind() == ValueKind::Bool),
        ("true", |value| value.kind() == ValueKind::Bool && value.is_true()),
        ("false", |value| value.kind() == ValueKind::Bool && !value.is_true()),
        ("integer", |value| value.kind() == ValueKind::Number && value.is_integer()),
        ("float", |value| value.kind() == ValueKind::Number && !value.is_integer()),
        ("number", |value| python::as_float(value).is_some()),
        ("string", |value| value.kind() == ValueKind::String),
        ("mapping", |value| value.kind() == ValueKind::Map && !is_namespace(value)),
        ("iterable", is_iterable),
        ("sequence", is_sequence),
        ("callable", is_callable),
        ("odd", |value| python::as_integer(value).is_some_and(|n| n % 2 != 0)),
        ("even", |value| python::as_integer(value).is_some_and(|n| n % 2 == 0)),
        ("lower", |value| is_cased(value, char::is_lowercase, char::is_uppercase)),
        ("upper", |value| is_cased(value, char::is_uppercase, char::is_lowercase)),
        ("escaped", |_| false),
    ];
    for (name, test) in tests {
        environment.add_test(name, move |value: Value| test(&value));
    }
    for name in ["eq", "equalto", "=="] {
        environment.add_test(name, |left: Value, right: Value| left == right);
    }
    for name in ["ne", "!="] {
        environment.add_test(name, |left: Value, right: Value| left != right);
    }
    for (names, operator) in [
        (["lt", "lessthan", "<"], "<"),
        (["gt", "greaterthan", ">"], ">"),
        (["le", "<=", "<="], "<="),
        (["ge", ">=", ">="], ">="),
    ] {
        for name in names {
            environment.add_test(name, move |left: Value, right: Value| {
                python::compares(&left, operator, &right)
            });
        }
    }
    environment
        .add_test("in", |needle: Value, haystack: Value| python::contains(&haystack, &needle));
    environment.add_test("sameas", |left: Value, right: Value| {
        left.kind() == right.kind() && left == right
    });
    environment.add_test("divisibleby", |left: Value, right: Value| {
        match (python::as_integer(&left), python::as_integer(&right)) {
            (Some(left), Some(right)) if right != 0 => Ok(left % right == 0),
            _ => Err(fault("divisibleby takes two integers")),
        }
    });
    environment.add_test("filter", |name: Value| {
        let known = filters::FILTERS
            .iter()
            .chain(&lists::FILTERS)
            .any(|(found, _)| Some(*found) == name.as_str());
        known && !name.as_str().is_some_and(|name| name.starts_with("py_"))
    });
    environment
        .add_test("test", |name: Value| name.as_str().is_some_and(|name| TESTS.contains(&name)));
}

const TESTS: [&str; 37] = [
    "defined",
    "undefined",
    "none",
    "boolean",
    "true",
    "false",
    "integer",
    "float",
    "number",
    "string",
    "mapping",
    "iterable",
    "sequence",
    "callable",
    "odd",
    "even",
    "lower",
    "upper",
    "escaped",
    "eq",
    "equalto",
    "==",
    "ne",
    "!=",
    "lt",
    "lessthan",
    "<",
    "gt",
    "greaterthan",
    ">",
    "le",
    "<=",
    "ge",
    ">=",
    "in",
    "sameas",
    "divisibleby",
];

fn is_iterable(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Undefined
            | ValueKind::String
            | ValueKind::Seq
            | ValueKind::Map
            | ValueKind::Iterable
    ) && !is_namespace(value)
}

fn is_sequence(value: &Value) -> bool {
    match value.kind() {
        ValueKind::Undefined | ValueKind::String | ValueKind::Seq => true,
        ValueKind::Map => !is_namespace(value),
        ValueKind::Iterable => python::is_list(value),
        _ => false,
    }
}

fn is_callable(value: &Value) -> bool {
    match value.downcast_object_ref::<Held>() {
        Some(Held::Cycler(..)) => false,
        Some(_) => true,
        None => value.kind() == ValueKind::Plain && value.as_object().is_some(),
    }
}

fn is_cased(value: &Value, wanted: fn(char) -> bool, other: fn(char) -> bool) -> bool {
    python::text(value).is_ok_and(|text| text.chars().any(wanted) && !text.chars().any(other))
}

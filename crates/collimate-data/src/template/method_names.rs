//! The names of the methods of Python's `str`, `list` and `dict`.

use minijinja::Value;
use minijinja::value::ValueKind;

use super::python;

const OF_STRINGS: &str = "capitalize casefold center count encode endswith expandtabs find format \
    format_map index isalnum isalpha isascii isdecimal isdigit isidentifier islower isnumeric \
    isprintable isspace istitle isupper join ljust lower lstrip maketrans partition removeprefix \
    removesuffix replace rfind rindex rjust rpartition rsplit rstrip split splitlines startswith \
    strip swapcase title translate upper zfill";
const OF_LISTS: &str = "append clear copy count extend index insert pop remove reverse sort";
const OF_DICTS: &str = "copy fromkeys get items keys values";
const CHANGING_DICTS: &str = "clear pop popitem setdefault update";

fn holds(names: &str, name: &str) -> bool {
    names.split_ascii_whitespace().any(|known| known == name)
}

/// Whether a name is one of a method: methods win over items of the same name.
pub(super) fn is_method(name: &str) -> bool {
    [OF_STRINGS, OF_LISTS, OF_DICTS, CHANGING_DICTS].iter().any(|names| holds(names, name))
}

/// Whether a name is one of a method that changes a mapping.
pub(super) fn changes_dict(name: &str) -> bool {
    holds(CHANGING_DICTS, name)
}

/// Whether a value has a method of this name, changing ones included.
pub(super) fn has(value: &Value, name: &str) -> bool {
    match value.kind() {
        ValueKind::String => holds(OF_STRINGS, name),
        ValueKind::Seq if python::is_list(value) => holds(OF_LISTS, name),
        ValueKind::Map if !super::environment::is_namespace(value) => {
            holds(OF_DICTS, name) || changes_dict(name)
        }
        _ => false,
    }
}

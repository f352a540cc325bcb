//! Python's regular expressions.

use fancy_regex::{Captures, CompileError, Error, Regex, RegexBuilder};
use thiserror::Error;

/// Most bytes of a pattern.
const MAX_BYTES: usize = 1 << 16;
/// Most steps back while a name is matched.
const MAX_BACKTRACKS: usize = 100_000;

/// Why a regular expression can't be used.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It is none, or not one that means the same in Python and here.
    #[error("`{field}`: the pattern {pattern:?} is wrong at byte {position}: {message}")]
    Syntax {
        /// The field it stands in.
        field: &'static str,
        /// The pattern.
        pattern: String,
        /// Where, in bytes from its beginning.
        position: usize,
        /// What is wrong.
        message: String,
    },
    /// It can't be compiled.
    #[error("`{field}`: the pattern {pattern:?} can't be used: {}", reason(source))]
    Compile {
        /// The field it stands in.
        field: &'static str,
        /// The pattern.
        pattern: String,
        /// Why not.
        source: Box<fancy_regex::Error>,
    },
    /// It is longer than any that is meant.
    #[error("`{field}` holds a pattern of {found} bytes; at most {MAX_BYTES} are expected")]
    TooLong {
        /// The field it stands in.
        field: &'static str,
        /// How many bytes it has.
        found: usize,
    },
    /// There are more than anybody means.
    #[error("`{field}` holds {found} patterns; at most {limit} are expected")]
    TooMany {
        /// The field.
        field: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Matching it with a name takes too many steps.
    #[error("`{field}`: the pattern {pattern:?} takes too long on {name:?}: {source}")]
    TooCostly {
        /// The field it stands in.
        field: &'static str,
        /// The pattern.
        pattern: String,
        /// The name.
        name: String,
        /// What was exceeded.
        source: Box<fancy_regex::Error>,
    },
}

/// A compiled pattern that knows where it comes from.
#[derive(Debug)]
pub(crate) struct Pattern {
    field: &'static str,
    source: String,
    regex: Regex,
}

impl Pattern {
    /// As `re.fullmatch(pattern, …)`.
    pub(crate) fn whole(field: &'static str, pattern: &str) -> Result<Self, PatternError> {
        check_dialect(field, pattern, true)?;
        Self::compile(field, pattern, &format!(r"\A(?:{pattern})\z"))
    }

    /// As `re.match(before + pattern + after, …)`.
    pub(crate) fn within(
        field: &'static str,
        before: &str,
        pattern: &str,
        after: &str,
    ) -> Result<Self, PatternError> {
        check_dialect(field, pattern, false)?;
        Self::compile(field, pattern, &format!(r"\A(?:{before}{pattern}{after})"))
    }

    /// The pattern as it was written.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn matches(&self, name: &str) -> Result<bool, PatternError> {
        self.regex.is_match(name).map_err(|error| self.too_costly(name, error))
    }

    pub(crate) fn captures<'t>(
        &self,
        name: &'t str,
    ) -> Result<Option<Captures<'t, str>>, PatternError> {
        self.regex.captures(name).map_err(|error| self.too_costly(name, error))
    }

    fn compile(field: &'static str, pattern: &str, whole: &str) -> Result<Self, PatternError> {
        let build = |text: &str| RegexBuilder::new(text).backtrack_limit(MAX_BACKTRACKS).build();
        let failed = |error| match error {
            Error::ParseError(position, ref what) => PatternError::Syntax {
                field,
                pattern: pattern.to_owned(),
                position,
                message: what.to_string(),
            },
            error => PatternError::Compile {
                field,
                pattern: pattern.to_owned(),
                source: Box::new(error),
            },
        };
        // Alone first: positions are then those of the pattern as it was written.
        build(pattern).map_err(failed)?;
        let regex = build(whole).map_err(failed)?;
        Ok(Self { field, source: pattern.to_owned(), regex })
    }

    fn too_costly(&self, name: &str, error: Error) -> PatternError {
        PatternError::TooCostly {
            field: self.field,
            pattern: self.source.clone(),
            name: name.to_owned(),
            source: Box::new(error),
        }
    }
}

/// What can't be compiled, in one line.
fn reason(error: &Error) -> String {
    let syntax = match error {
        Error::CompileError(inner) => match &**inner {
            CompileError::InnerError(inner) => inner.syntax_error().map(ToString::to_string),
            _ => None,
        },
        _ => None,
    };
    // The lines before show the pattern, or the part of it that was compiled.
    let line = syntax.as_deref().and_then(|text| text.lines().last());
    line.map_or_else(|| error.to_string(), |line| line.trim_start_matches("error: ").to_owned())
}

/// Refuses what means something else in Python, or nothing. `alone`: not within a larger pattern.
fn check_dialect(field: &'static str, pattern: &str, alone: bool) -> Result<(), PatternError> {
    if pattern.len() > MAX_BYTES {
        return Err(PatternError::TooLong { field, found: pattern.len() });
    }
    let mut rest = pattern;
    // Whether within brackets, and how much of the pattern was left at their beginning.
    let mut class: Option<usize> = None;
    while let Some(character) = rest.chars().next() {
        let after = rest.get(character.len_utf8()..).unwrap_or_default();
        let position = pattern.len() - rest.len();
        let wrong = match (character, class) {
            ('\\', _) => wrong_escape(after, class.is_some()),
            ('[', None) => {
                let after = after.strip_prefix('^').unwrap_or(after);
                class = Some(after.len());
                None
            }
            (']', Some(start)) if rest.len() != start => {
                class = None;
                None
            }
            ('[', Some(_)) => Some("in brackets write \\["),
            (_, Some(_)) => ["&&", "--", "~~", "||"]
                .iter()
                .any(|operator| rest.starts_with(operator))
                .then_some("doubled operators in brackets are reserved; escape them"),
            ('(', None) => wrong_group(after, alone && position == 0),
            ('{', None) if !is_repetition(after) => Some("write \\{, or {0,n} for {,n}"),
            _ => None,
        };
        if let Some(message) = wrong {
            let (pattern, message) = (pattern.to_owned(), message.to_owned());
            return Err(PatternError::Syntax { field, pattern, position, message });
        }
        // What is escaped stands for itself.
        let skipped =
            if character == '\\' { after.chars().next().map_or(0, char::len_utf8) } else { 0 };
        rest = after.get(skipped..).unwrap_or_default();
        if let (Some(start), '[') = (class, character) {
            // Past the caret, so that a bracket behind it stands for itself.
            rest = pattern.get(pattern.len() - start..).unwrap_or_default();
        }
    }
    Ok(())
}

fn wrong_escape(after: &str, in_class: bool) -> Option<&'static str> {
    let known = if in_class { "dDsSwWafnrtvxuU" } else { "AbBdDsSwWZafnrtvxuU" };
    match after.chars().next()? {
        '0' => Some("octal escapes are not supported; write \\x00"),
        '1'..='9' if in_class => Some("octal escapes are not supported; write \\x01"),
        letter if letter.is_ascii_alphabetic() && !known.contains(letter) => {
            Some("Python knows no such escape, or it means something else there")
        }
        _ => None,
    }
}

fn wrong_group(after: &str, at_start: bool) -> Option<&'static str> {
    let extension = after.strip_prefix('?')?;
    if [":", "=", "!", "<=", "<!", "P<", "P=", "#", ">", "("]
        .iter()
        .any(|e| extension.starts_with(e))
    {
        return None;
    }
    let flags = extension.trim_start_matches(['i', 'm', 's', '-']);
    match flags.chars().next() {
        Some(':') => None,
        Some(')') if at_start => None,
        Some(')') => Some("flags stand at the very beginning, or as (?i:…)"),
        _ => Some("Python knows no such group, or it is not supported"),
    }
}

fn is_repetition(after: &str) -> bool {
    let Some((inside, _)) = after.split_once('}') else { return false };
    let (from, to) = inside.split_once(',').unwrap_or((inside, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !from.is_empty() && digits(from) && digits(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(pattern: &str, name: &str) -> bool {
        Pattern::whole("target_modules", pattern).unwrap().matches(name).unwrap()
    }

    fn message(pattern: &str) -> String {
        Pattern::whole("target_modules", pattern).unwrap_err().to_string()
    }

    #[test]
    fn a_pattern_matches_the_whole_name() {
        assert!(whole(r"a|ab", "ab"));
        assert!(!whole(r"a|b", "ab"));
        assert!(!whole(r"q_proj", "self_attn.q_proj"));
        assert!(whole(r".*\.layers\.(?!0\.)\d+\..*(q|v)_proj", "model.layers.1.x.q_proj"));
        assert!(!whole(r".*\.layers\.(?!0\.)\d+\..*(q|v)_proj", "model.layers.0.x.q_proj"));
        assert!(whole(r"(?P<a>x)\.(?P=a)", "x.x"));
        assert!(whole(r"[]a]+", "]a"));
        assert!(whole(r"[^]a]", "b"));
        assert!(!whole(r"[^]a]", "]"));
        assert!(whole(r"(?i)Q_PROJ", "q_proj"));
        assert!(whole(r"a{2}b{1,}c{0,2}", "aabbc"));
        assert!(whole(r"[\]\[]x", "[x"));
    }

    #[test]
    fn errors_name_field_pattern_and_position() {
        let expected = "`target_modules`: the pattern \"a(b\" is wrong at byte 3: Opening \
                        parenthesis without closing parenthesis";
        assert_eq!(message("a(b"), expected);
        assert!(message("ab*c**").contains("at byte 5"), "{}", message("ab*c**"));
        let expected = "`target_modules`: the pattern \"[z-a]\" can't be used: invalid character \
                        class range, the start must be <= the end";
        assert_eq!(message("[z-a]"), expected);
    }

    #[test]
    fn what_python_reads_otherwise_is_refused() {
        for pattern in [
            r"a\K",
            r"\p{L}",
            r"\Gx",
            r"\Ra",
            r"[a[b]]",
            r"[a&&b]",
            r"[\b]",
            r"\07",
            r"x{,3}",
            r"x{",
            r"(?<a>x)",
            r"(?R)",
            r"a(?i)b",
            r"(?x)a b",
            r"\N{DASH}",
            r"(?P>a)",
            r"[\1]",
            r"(?<=a*)b",
        ] {
            assert!(Pattern::whole("target_modules", pattern).is_err(), "{pattern}");
        }
        assert!(Pattern::within("rank_pattern", "(", "(?i)x", ")").is_err());
    }

    #[test]
    fn hostile_patterns_are_errors() {
        let pattern = Pattern::whole("target_modules", r"((?=a)a+)+(?<=[^a])").unwrap();
        let error = pattern.matches(&"a".repeat(60)).unwrap_err();
        assert!(matches!(error, PatternError::TooCostly { .. }), "{error}");
        assert!(Pattern::whole("target_modules", &"(".repeat(60_000)).is_err());
        assert!(
            Pattern::whole(
                "target_modules",
                &format!("{}a{}", "(".repeat(30_000), ")".repeat(30_000))
            )
            .is_err()
        );
        assert!(Pattern::whole("target_modules", "((((a{1,999}){1,999}){1,999}){1,999})").is_err());
        assert!(Pattern::whole("target_modules", &"a".repeat(1 << 17)).is_err());
    }
}

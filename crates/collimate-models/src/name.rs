use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The canonical name of a model: lower-case words joined by single hyphens.
///
/// One normalization makes it from any text:
///
/// 1. what stands before the last `/` is an owner (or a path) and not part of the name;
/// 2. Unicode's compatibility composition (NFKC) and lower case, character by character;
/// 3. characters that are not seen (soft hyphen, zero-width and direction marks, variation
///    selectors) are dropped;
/// 4. letters, digits and combining marks of any script are kept; every run of anything else becomes
///    one hyphen, and none is left at either end;
/// 5. a name that Windows reserves for devices (`con`, `nul`, `com1`, …) gets `-model` appended;
/// 6. a name of more than [`ModelName::MAX_BYTES`] bytes is cut, and ends in a 64-bit hash (FNV-1a) of
///    all of it, so that long names which differ stay different.
///
/// Normalizing a normalized name changes nothing. Different texts can have the same name
/// (`Llama 3.1` and `llama-3-1`).
///
/// # Examples
///
/// ```
/// use collimate_models::ModelName;
///
/// let name = ModelName::new("KB-Llama-3.1-8B-Swedish")?;
/// assert_eq!(name.as_str(), "kb-llama-3-1-8b-swedish");
/// assert_eq!(ModelName::new("Qwen/Qwen2.5-7B")?.as_str(), "qwen2-5-7b");
/// assert!(ModelName::new("--").is_err());
/// # Ok::<(), collimate_models::NameError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct ModelName(String);

/// A text has no letter and no digit to make a name of.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{text:?} can't be a model's name: it has no letter and no digit")]
#[non_exhaustive]
pub struct NameError {
    /// The text, up to its first 80 characters.
    pub text: String,
}

impl ModelName {
    /// Most bytes of a name; with a suffix it still is a valid file name everywhere.
    pub const MAX_BYTES: usize = 128;

    /// The name that this text normalizes to.
    ///
    /// # Errors
    ///
    /// Nothing is left of the text: it has no letter and no digit.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let named = text.trim_end_matches('/');
        let named = named.rsplit_once('/').map_or(named, |(_, name)| name);
        let mut name = hyphenated(named);
        if !name.contains(char::is_alphanumeric) {
            return Err(NameError { text: text.chars().take(80).collect() });
        }
        if is_reserved(&name) {
            name.push_str("-model");
        }
        Ok(Self(shortened(name)))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its hyphens: `qwen2-5-7b` and `qwen-2-5-7b` are both `qwen257b`.
    pub fn compact(&self) -> String {
        self.0.replace('-', "")
    }
}

fn hyphenated(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    let composed = text.nfkc().flat_map(char::to_lowercase).nfkc();
    for character in composed.filter(|c| !is_invisible(*c)) {
        if character.is_alphanumeric() || is_combining_mark(character) {
            name.push(character);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    name.truncate(name.trim_end_matches('-').len());
    name
}

fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

fn is_reserved(name: &str) -> bool {
    match name {
        "con" | "prn" | "aux" | "nul" => true,
        _ => name
            .strip_prefix("com")
            .or_else(|| name.strip_prefix("lpt"))
            .is_some_and(|port| port.len() == 1 && port.as_bytes()[0].is_ascii_digit()),
    }
}

fn shortened(name: String) -> String {
    const HASH_DIGITS: usize = 16;
    if name.len() <= ModelName::MAX_BYTES {
        return name;
    }
    let room = ModelName::MAX_BYTES - HASH_DIGITS - 1;
    let end = (0..=room).rev().find(|&end| name.is_char_boundary(end)).unwrap_or(0);
    let kept = name[..end].trim_end_matches('-');
    format!("{kept}-{:016x}", fnv_1a(name.as_bytes()))
}

/// The 64-bit FNV-1a hash (Fowler, Noll and Vo).
fn fnv_1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

impl fmt::Display for ModelName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl FromStr for ModelName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl AsRef<str> for ModelName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The id of a repository: an owner, if it has one, and a name, as the Hub writes them.
///
/// # Examples
///
/// ```
/// use collimate_models::RepoId;
///
/// let id: RepoId = "Qwen/Qwen2.5-7B".parse()?;
/// assert_eq!((id.owner(), id.name()), (Some("Qwen"), "Qwen2.5-7B"));
/// assert!("../secrets".parse::<RepoId>().is_err());
/// # Ok::<(), collimate_models::RepoIdError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RepoId {
    owner: Option<String>,
    name: String,
}

/// A text is not the id of a repository.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error(
    "{text:?} is not a repository id: {reason}; expected `name` or `owner/name` of letters, digits, \
     `-`, `_` and `.`"
)]
#[non_exhaustive]
pub struct RepoIdError {
    /// The text, up to its first 200 characters.
    pub text: String,
    /// The rule that it breaks.
    pub reason: &'static str,
}

impl RepoId {
    /// Reads `name` or `owner/name` by the Hub's rules: each part of letters, digits, `-`, `_` and
    /// `.`, neither beginning nor ending in `-` or `.`, without `--` or `..`, not ending in `.git`, and
    /// 96 characters in all.
    ///
    /// # Errors
    ///
    /// The rule that the text breaks.
    pub fn new(text: &str) -> Result<Self, RepoIdError> {
        let error = |reason| RepoIdError { text: text.chars().take(200).collect(), reason };
        let (owner, name) = match text.split_once('/') {
            Some((owner, name)) => (Some(owner), name),
            None => (None, text),
        };
        if name.contains('/') {
            return Err(error("it has more than one slash"));
        }
        if text.len() > 96 {
            return Err(error("it has more than 96 characters"));
        }
        for part in owner.into_iter().chain([name]) {
            check_part(part).map_err(error)?;
        }
        if name.ends_with(".git") {
            return Err(error("it ends in `.git`"));
        }
        Ok(Self { owner: owner.map(str::to_owned), name: name.to_owned() })
    }

    /// Who it belongs to; absent for the oldest repositories.
    pub fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// Its name, without the owner.
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn check_part(part: &str) -> Result<(), &'static str> {
    if part.is_empty() {
        return Err("a part of it is empty");
    }
    if !part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Err("it has a character that is not allowed");
    }
    if part.starts_with(['-', '.']) || part.ends_with(['-', '.']) {
        return Err("a part of it begins or ends in `-` or `.`");
    }
    if part.contains("--") || part.contains("..") {
        return Err("it contains `--` or `..`");
    }
    Ok(())
}

impl fmt::Display for RepoId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(owner) = &self.owner {
            write!(formatter, "{owner}/")?;
        }
        formatter.write_str(&self.name)
    }
}

impl FromStr for RepoId {
    type Err = RepoIdError;

    fn from_str(text: &str) -> Result<Self, RepoIdError> {
        Self::new(text)
    }
}

impl Serialize for RepoId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> String {
        ModelName::new(text).unwrap().0
    }

    #[test]
    fn published_names() {
        for (text, expected) in [
            ("KB-Llama-3.1-8B-Swedish", "kb-llama-3-1-8b-swedish"),
            ("Mistral-7B-Instruct", "mistral-7b-instruct"),
            ("Qwen/Qwen2.5-7B", "qwen2-5-7b"),
            ("Qwen2.5-7B/", "qwen2-5-7b"),
            ("models/../gpt2", "gpt2"),
            ("  phi_3 -- mini!", "phi-3-mini"),
            ("Llama\u{a0}3\n\u{1b}[31m", "llama-3-31m"),
        ] {
            assert_eq!(name(text), expected);
        }
    }

    #[test]
    fn scripts_and_forms_of_unicode() {
        assert_eq!(name("Größe"), "größe");
        assert_eq!(name("Cafe\u{301}"), name("CAFÉ"));
        assert_eq!(name("ＧＰＴ２"), "gpt2");
        assert_eq!(name("हिन्दी-मॉडल"), "हिन्दी-मॉडल");
        assert_eq!(name("模型－７Ｂ"), "模型-7b");
        assert_eq!(name("Lla\u{200b}ma\u{ad}"), "llama");
        assert_eq!(name("İstanbul"), name("i\u{307}stanbul"));
    }

    #[test]
    fn nothing_to_name() {
        for text in ["", "-", "..", "../..", "\u{200b}", "🤖", "\u{301}", "a/ "] {
            assert!(ModelName::new(text).is_err(), "{text:?}");
        }
        let long = ModelName::new(&"-".repeat(10_000)).unwrap_err();
        assert_eq!(long.text.len(), 80);
    }

    #[test]
    fn device_names_of_windows() {
        for text in ["CON", "nul", "com1", "LPT9", "COM¹", "-aux-"] {
            assert!(name(text).ends_with("-model"), "{text}");
        }
        for text in ["com", "com10", "console", "con.txt", "lptx"] {
            assert!(!name(text).ends_with("-model"), "{text}");
        }
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let first = name(&format!("{}a", "x-".repeat(100)));
        let second = name(&format!("{}b", "x-".repeat(100)));
        assert!(first.len() <= ModelName::MAX_BYTES);
        assert_ne!(first, second);
        assert_eq!(name(&first), first);
        assert!(name(&"模".repeat(100)).len() <= ModelName::MAX_BYTES);
        assert_eq!(name(&"x".repeat(128)), "x".repeat(128));
        assert_eq!(name(&"x".repeat(129)).len(), ModelName::MAX_BYTES);
    }

    /// Each character alone, and between letters.
    #[test]
    fn normalizing_twice_is_normalizing_once_for_every_character() {
        for character in '\0'..=char::MAX {
            for text in [character.to_string(), format!("a{character}b{character}")] {
                if let Ok(once) = ModelName::new(&text) {
                    assert_eq!(ModelName::new(&once.0).as_ref(), Ok(&once), "{character:?}");
                    assert!(!once.0.starts_with('-') && !once.0.ends_with('-'));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn normalizing_twice_is_normalizing_once(text in "\\PC{0,200}") {
            if let Ok(once) = ModelName::new(&text) {
                prop_assert_eq!(ModelName::new(&once.0).unwrap(), once.clone());
                prop_assert!(once.0.len() <= ModelName::MAX_BYTES);
                prop_assert!(!once.0.contains("--") && !once.0.contains('/'));
            }
        }
    }

    #[test]
    fn ids_of_repositories() {
        for text in ["gpt2", "Qwen/Qwen2.5-7B", "a_b/c.d-e"] {
            assert_eq!(text.parse::<RepoId>().unwrap().to_string(), text);
        }
        for text in [
            "", "/", "a/", "/a", "a/b/c", "a b", "a/b\n", "../b", "a/..", "a--b/c", ".a/b", "a/b-",
            "a/b.git", "ä/b", "C:\\x",
        ] {
            assert!(text.parse::<RepoId>().is_err(), "{text:?}");
        }
        assert!(format!("a/{}", "b".repeat(95)).parse::<RepoId>().is_err());
    }
}

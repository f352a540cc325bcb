//! What was probably meant.

use serde_json::Value;

use super::Recipe;

/// The word that is nearest, where one is near.
pub(super) fn nearest<'a>(
    found: &str,
    words: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // A long text is no misspelt name, and would take long to compare.
    if found.len() > 64 {
        return None;
    }
    let found = found.to_lowercase().replace('-', "_");
    // Of those equally near, the one of about the same length.
    let far =
        |word: &str| (strsim::damerau_levenshtein(&found, word), word.len().abs_diff(found.len()));
    let ((distance, _), word) = words.into_iter().map(|word| (far(word), word)).min()?;
    let longer = found.chars().count().max(word.chars().count());
    (distance * 5 <= longer * 2).then_some(word)
}

/// Where else in a recipe a field of this name is.
pub(super) fn elsewhere(found: &str) -> Option<String> {
    let all = serde_json::to_value(Recipe::default()).unwrap_or(Value::Null);
    let Value::Object(sections) = &all else { return None };
    let has = |section: &&String| sections.get(*section).is_some_and(|of| of.get(found).is_some());
    let in_section = sections.keys().find(has).map(|section| format!("{section}.{found}"));
    in_section.or_else(|| sections.contains_key(found).then(|| found.to_owned()))
}

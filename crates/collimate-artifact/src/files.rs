//! Which files of a parent belong to the model.

/// Files that state terms, by the beginnings of their names in upper case.
const TERMS: &[&str] = &["LICENSE", "LICENCE", "COPYING", "NOTICE", "USE_POLICY"];

/// Whether a file beside weights, configuration and tokenizer is copied: terms of use, and code that
/// the configuration refers to. Cards, training states, exports to other formats and whatever a
/// download left are the parent's own.
pub(crate) fn is_copied(name: &str, has_code: bool) -> bool {
    let upper = name.to_ascii_uppercase();
    let states_terms = TERMS.iter().any(|terms| {
        upper
            .strip_prefix(terms)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_']))
    });
    states_terms || (has_code && name.ends_with(".py"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_and_code_are_copied_and_nothing_else() {
        for name in ["LICENSE", "LICENSE.txt", "license-mit", "NOTICE", "USE_POLICY.md"] {
            assert!(is_copied(name, false), "{name}");
        }
        for name in
            ["README.md", "training_args.bin", "optimizer.pt", "model.gguf", "licensed.json"]
        {
            assert!(!is_copied(name, true), "{name}");
        }
        assert!(is_copied("modeling_x.py", true) && !is_copied("modeling_x.py", false));
    }
}

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// The deepest folder that `**` looks into.
const DEEPEST: usize = 64;

/// Whether a path has a `*` or `?` in it.
pub(crate) fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(['*', '?'])
}

/// The files and folders that a pattern matches, sorted. `*` and `?` match within a name, `**` any
/// folders; a name that begins with a dot is matched only by a pattern that begins with one.
pub(crate) fn matches(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    let mut start = PathBuf::new();
    let mut parts = Vec::new();
    for component in pattern.components() {
        match component {
            Component::Normal(name) if !parts.is_empty() || is_pattern(Path::new(name)) => {
                parts.push(name.to_string_lossy().into_owned());
            }
            other if parts.is_empty() => start.push(other),
            other => parts.push(other.as_os_str().to_string_lossy().into_owned()),
        }
    }
    let mut found = Vec::new();
    descend(&start, &parts, 0, &mut found)?;
    found.sort();
    found.dedup();
    Ok(found)
}

fn descend(
    folder: &Path,
    parts: &[String],
    depth: usize,
    found: &mut Vec<PathBuf>,
) -> io::Result<()> {
    let Some((part, rest)) = parts.split_first() else {
        found.push(folder.to_path_buf());
        return Ok(());
    };
    if depth > DEEPEST {
        return Err(io::Error::other(format!("folders nest more than {DEEPEST} deep")));
    }
    if !is_pattern(Path::new(part)) {
        let next = folder.join(part);
        return if next.exists() { descend(&next, rest, depth + 1, found) } else { Ok(()) };
    }
    let recursive = part == "**";
    if recursive && !rest.is_empty() {
        descend(folder, rest, depth, found)?;
    }
    let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    for entry in fs::read_dir(listed)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') && !part.starts_with('.') {
            continue;
        }
        let path = folder.join(entry.file_name());
        if recursive {
            // Links are not followed: they may lead in circles.
            if entry.file_type()?.is_dir() {
                descend(&path, parts, depth + 1, found)?;
            } else if rest.is_empty() {
                found.push(path);
            }
        } else if name_matches(part, &name) && (rest.is_empty() || path.is_dir()) {
            descend(&path, rest, depth + 1, found)?;
        }
    }
    Ok(())
}

/// Whether a name matches a pattern of `*`, `?` and plain characters, in time of their product.
fn name_matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || name.get(n) == Some(c) => {
                p += 1;
                n += 1;
            }
            _ => match star {
                // Let the last star swallow one character more.
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*.jsonl", "a.jsonl", true),
            ("*.jsonl", "a.json", false),
            ("train-0000?-of-*.parquet", "train-00003-of-00009.parquet", true),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxaxxbxx", false),
            ("?", "é", true),
            ("**", "anything", true),
        ] {
            assert_eq!(name_matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn patterns_find_files_below_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["a/x.jsonl", "a/b/y.jsonl", "a/b/z.csv", ".hidden/x.jsonl", "a/.x.jsonl"] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = |pattern: &str| {
            let found = matches(&dir.path().join(pattern)).unwrap();
            let relative = found.iter().map(|path| path.strip_prefix(dir.path()).unwrap());
            relative.map(|path| path.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(found("**/*.jsonl"), ["a/b/y.jsonl", "a/x.jsonl"]);
        assert_eq!(found("a/*.jsonl"), ["a/x.jsonl"]);
        assert_eq!(found("*/b/*"), ["a/b/y.jsonl", "a/b/z.csv"]);
        assert_eq!(found("a/**"), ["a/b/y.jsonl", "a/b/z.csv", "a/x.jsonl"]);
        assert!(found("q*/x").is_empty());
    }
}

use std::collections::BTreeSet;

use super::MlxError;
use crate::modules::ModuleTree;

/// Where the modules of an adapter are, as mlx-lm says it.
#[derive(Debug)]
pub(super) struct Layers {
    /// Names within a layer, and names of modules that are in none.
    pub(super) keys: BTreeSet<String>,
    /// How many layers, counted from the last, hold all of them.
    pub(super) count: u64,
}

impl Layers {
    pub(super) fn of<'m>(
        modules: impl Iterator<Item = &'m str>,
        tree: &ModuleTree,
    ) -> Result<Self, MlxError> {
        let mut keys = BTreeSet::new();
        let mut first: Option<(&str, u64)> = None;
        for module in modules {
            let refuse = |reason| Err(MlxError::NoEquivalent { what: module.to_owned(), reason });
            let Some((list, index, within)) = split(module) else {
                keys.insert(module.to_owned());
                continue;
            };
            if split(&format!(".{within}")).is_some() {
                return refuse("it is one of a list within a layer: mlx-lm stacks experts");
            }
            let earliest = match first {
                Some((other, _)) if other != list => {
                    return refuse("it is in another list of layers than other modules");
                }
                Some((_, earliest)) => earliest.min(index),
                None => index,
            };
            first = Some((list, earliest));
            keys.insert(within.to_owned());
        }
        let count = first.map_or(1, |(list, earliest)| {
            let indices = tree.iter().filter_map(|(name, _)| split(name));
            let indices = indices.filter(|(other, ..)| *other == list).map(|(_, index, _)| index);
            indices.max().unwrap_or(earliest).saturating_sub(earliest).saturating_add(1)
        });
        Ok(Self { keys, count })
    }
}

/// What stands before the first number among the components of a name, the number, and the rest.
pub(super) fn split(name: &str) -> Option<(&str, u64, &str)> {
    let mut at = 0;
    for component in name.split('.') {
        let end = at + component.len();
        let is_number =
            !component.is_empty() && component.bytes().all(|byte| byte.is_ascii_digit());
        if let (true, Some(rest)) = (is_number, name.get(end + 1..)) {
            return Some((name.get(..at)?, component.parse().ok()?, rest));
        }
        at = end + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layers(modules: &[&str]) -> Result<Layers, MlxError> {
        let names = (0..4).map(|layer| format!("model.layers.{layer}.self_attn.q_proj.weight"));
        let tree = ModuleTree::from_tensors(names.map(|name| (name, [2, 2]))).unwrap();
        Layers::of(modules.iter().copied(), &tree)
    }

    #[test]
    fn layers_are_counted_from_the_last() {
        let found = layers(&["model.layers.3.self_attn.q_proj", "lm_head"]).unwrap();
        assert_eq!(found.count, 1);
        assert_eq!(found.keys, ["lm_head", "self_attn.q_proj"].map(String::from).into());
        let found = layers(&["model.layers.1.a.b", "model.layers.3.a.b"]).unwrap();
        assert_eq!((found.count, found.keys.len()), (3, 1));
    }

    #[test]
    fn other_lists_are_refused() {
        let error = layers(&["model.layers.1.mlp.experts.7.up_proj"]).unwrap_err();
        assert!(error.to_string().contains("stacks experts"), "{error}");
        let error = layers(&["model.layers.1.a", "decoder.layers.1.a"]).unwrap_err();
        assert!(error.to_string().contains("another list"), "{error}");
    }

    #[test]
    fn names_are_split_at_the_first_number() {
        assert_eq!(split("model.layers.10.a.2.b"), Some(("model.layers.", 10, "a.2.b")));
        for name in ["", "lm_head", "model.layers.10", "a.1b.c", "a..b"] {
            assert_eq!(split(name), None, "{name}");
        }
    }
}

//! Names of tensors: in a model, and in its files, where they may lack the first component (`h.0.…`
//! for `transformer.h.0.…`).

use crate::modules::ModuleTree;

/// Finds the names in a model of what its files hold.
pub(crate) struct ModelNames<'t> {
    tree: &'t ModuleTree,
    /// First components.
    roots: Vec<&'t str>,
}

impl<'t> ModelNames<'t> {
    pub(crate) fn of(tree: &'t ModuleTree) -> Self {
        let roots = tree.iter().map(|(name, _)| name).filter(|name| !name.contains('.')).collect();
        Self { tree, roots }
    }

    /// The name in the model of a tensor of a file: its own if the model has such a module, else the
    /// one with a component more that is free, else its own.
    pub(crate) fn name(&self, in_file: &str, is_free: impl Fn(&str) -> bool) -> String {
        let own = || in_file.to_owned();
        if self.is_there(in_file) {
            return own();
        }
        let mut longer = self.roots.iter().map(|root| format!("{root}.{in_file}"));
        longer.find(|name| self.is_there(name) && is_free(name)).unwrap_or_else(own)
    }

    fn is_there(&self, tensor: &str) -> bool {
        tensor.rsplit_once('.').is_some_and(|(module, _)| self.tree.get(module).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_added_where_it_leads_to_a_module() {
        let tree = ModuleTree::from_tensors([
            ("transformer.h.0.q.weight", [2, 2]),
            ("lm_head.weight", [2, 2]),
        ])
        .unwrap();
        let names = ModelNames::of(&tree);
        let any = |_: &str| true;
        assert_eq!(names.name("h.0.q.weight", any), "transformer.h.0.q.weight");
        assert_eq!(names.name("h.0.q.weight", |name| name.len() < 10), "h.0.q.weight");
        for own in ["transformer.h.0.q.weight", "lm_head.weight", "h.1.q.weight"] {
            assert_eq!(names.name(own, any), own);
        }
    }
}

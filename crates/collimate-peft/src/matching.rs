use std::collections::{BTreeSet, HashSet};

use crate::config::{Bias, LoraConfig};
use crate::coverage::Coverage;
use crate::error::{PeftError, Result};
use crate::modules::{Module, ModuleKind, ModuleTree};
use crate::selector::{ByPattern, Selector};
use crate::targets::{SavedModule, Target, Targets, Unmatched};

impl LoraConfig {
    /// The modules of a model that PEFT adapts and saves under this configuration, with ranks,
    /// scales and coverage.
    ///
    /// Modules without parameters are not in a [`ModuleTree`], so that a pattern which matches an
    /// activation function, which PEFT refuses, is not refused here.
    ///
    /// # Errors
    ///
    /// No module is adapted: the candidates are listed. A target is neither linear nor an
    /// embedding. A module is to be saved and adapted. `target_modules` is not set, a pattern can't
    /// be used, or a setting gives an adapter other tensors ([`LoraConfig::other_tensors`]).
    ///
    /// # Examples
    ///
    /// ```
    /// use collimate_peft::{LoraConfig, ModuleTree};
    ///
    /// let tree = ModuleTree::from_tensors([
    ///     ("model.embed_tokens.weight", [1000, 64].as_slice()),
    ///     ("model.layers.0.self_attn.q_proj.weight", &[64, 64]),
    ///     ("model.layers.0.self_attn.v_proj.weight", &[32, 64]),
    /// ])?;
    /// let config = LoraConfig::new(8).with_alpha(16.0).with_target_modules(["v_proj", "w_proj"]);
    /// let targets = config.match_modules(&tree)?;
    /// assert_eq!(targets.modules[0].module, "model.layers.0.self_attn.v_proj");
    /// assert_eq!(targets.modules[0].scale, 2.0);
    /// assert_eq!(targets.unmatched[0].entry, "w_proj");
    /// assert_eq!(
    ///     targets.coverage.to_string(),
    ///     "1 of 3 modules with 2048 weights adapted, 768 of 70912 parameters trained (1.0830%)",
    /// );
    ///
    /// let error = LoraConfig::new(8).with_target_modules(["query"]).match_modules(&tree);
    /// assert_eq!(
    ///     error.unwrap_err().to_string(),
    ///     "no module matches \"query\"; it has q_proj ×1, v_proj ×1, embed_tokens ×1",
    /// );
    /// # Ok::<(), collimate_peft::PeftError>(())
    /// ```
    pub fn match_modules(&self, tree: &ModuleTree) -> Result<Targets> {
        self.check()?;
        let unsupported = self.other_tensors();
        if !unsupported.is_empty() {
            return Err(PeftError::Unsupported { fields: unsupported });
        }
        let mut unmatched = BTreeSet::new();
        let adapted = Selector::new(self, tree)?.select(tree, &mut unmatched)?;
        let modules = self.targets(&adapted, &mut unmatched)?;
        let saved = self.saved(tree, &modules, &mut unmatched)?;
        let coverage = self.coverage(tree, &modules, &saved)?;
        Ok(Targets { modules, saved, unmatched: unmatched.into_iter().collect(), coverage })
    }

    fn targets(
        &self,
        adapted: &[(&str, &Module)],
        unmatched: &mut BTreeSet<Unmatched>,
    ) -> Result<Vec<Target>> {
        let mut ranks = ByPattern::new("rank_pattern", &self.rank_pattern)?;
        let mut alphas = ByPattern::new("alpha_pattern", &self.alpha_pattern)?;
        let mut targets = Vec::with_capacity(adapted.len());
        for &(name, module) in adapted {
            let (Some(in_features), Some(out_features)) =
                (module.in_features(), module.out_features())
            else {
                return Err(PeftError::NotAdaptable { module: name.to_owned(), kind: module.kind });
            };
            if self.lora_bias && module.kind == ModuleKind::Embedding {
                return Err(PeftError::BiasOnEmbedding { module: name.to_owned() });
            }
            let rank = ranks.value(name)?.unwrap_or(self.r);
            let alpha = alphas.value(name)?.unwrap_or(self.lora_alpha);
            targets.push(Target {
                module: name.to_owned(),
                kind: module.kind,
                in_features,
                out_features,
                rank,
                alpha,
                scale: self.scale(rank, alpha),
            });
        }
        unmatched.extend(ranks.unused().chain(alphas.unused()));
        Ok(targets)
    }

    /// Names of modules that end in an entry, wherever the entry begins.
    fn saved(
        &self,
        tree: &ModuleTree,
        targets: &[Target],
        unmatched: &mut BTreeSet<Unmatched>,
    ) -> Result<Vec<SavedModule>> {
        let names: Vec<&str> = tree
            .iter()
            .map(|(name, _)| name)
            .filter(|name| self.to_save().any(|entry| name.ends_with(entry)))
            .collect();
        let entries = self.modules_to_save.iter().flatten();
        let unused = entries.filter(|entry| !names.iter().any(|name| name.ends_with(*entry)));
        unmatched.extend(
            unused.map(|entry| Unmatched { field: "modules_to_save", entry: entry.clone() }),
        );
        let adapted: HashSet<&str> = targets.iter().map(|target| target.module.as_str()).collect();
        let taken: HashSet<&str> = names.iter().copied().collect();
        let mut saved = Vec::with_capacity(names.len());
        for name in names {
            let refuse =
                |reason: String| Err(PeftError::NotSavable { module: name.to_owned(), reason });
            let own = tree.get(name).map_or(0, |module| module.parameters);
            let mut parameters = u128::from(own);
            if adapted.contains(name) {
                return refuse("it is adapted as well".to_owned());
            }
            for (inner, module) in tree.within(name) {
                let rest = inner.get(name.len() + 1..).unwrap_or_default();
                if !rest.contains('.') && rest.bytes().all(|byte| byte.is_ascii_digit()) {
                    return refuse("it is a list of modules".to_owned());
                }
                if adapted.contains(inner) {
                    return refuse(format!("{inner:?} within it is adapted"));
                }
                if taken.contains(inner) {
                    return refuse(format!("{inner:?} within it is to be saved as well"));
                }
                parameters += u128::from(module.parameters);
            }
            let parameters = u64::try_from(parameters).map_err(|_| PeftError::TooManyParameters)?;
            saved.push(SavedModule { module: name.to_owned(), parameters });
        }
        Ok(saved)
    }

    fn coverage(
        &self,
        tree: &ModuleTree,
        targets: &[Target],
        saved: &[SavedModule],
    ) -> Result<Coverage> {
        let wide = u128::from;
        let (mut added, mut frozen, mut biases, mut weights) = (0, 0, 0, 0_u128);
        for target in targets {
            let (rank, out) = (u128::from(target.rank), wide(target.out_features));
            added += rank * (wide(target.in_features) + out);
            // The magnitudes, and B's bias.
            added += out * (u128::from(self.use_dora) + u128::from(self.lora_bias));
            if self.init_lora_weights.freezes_b() {
                frozen += rank * out;
            }
            if self.bias == Bias::LoraOnly {
                biases += tree.get(&target.module).map_or(0, |module| wide(module.bias));
            }
            weights += wide(target.in_features) * out;
        }
        if self.bias == Bias::All {
            // Those of saved modules are trained in the copies.
            let own = tree.iter().filter(|(name, _)| !saved.iter().any(|saved| saved.holds(name)));
            biases = own.map(|(_, module)| wide(module.bias)).sum();
        }
        added += saved.iter().map(|saved| wide(saved.parameters)).sum::<u128>();
        let count = |n: u128| u64::try_from(n).map_err(|_| PeftError::TooManyParameters);
        let parameters = count(added - frozen + biases)?;
        let of_parameters = count(added + wide(tree.parameters()))?;
        Ok(Coverage {
            modules: targets.len() as u64,
            of_modules: tree.adaptable().count() as u64,
            parameters,
            of_parameters,
            // There is an adapter.
            percent: 100.0 * parameters as f64 / of_parameters as f64,
            adapted_parameters: count(weights)?,
        })
    }
}

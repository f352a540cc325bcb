use serde::Serialize;

use super::builder::{BuiltRow, Outcome, RowBuilder, count};
use super::mask::common_prefix;
use super::report::DropReason;
use super::settings::Truncation;
use crate::error::Result;
use crate::record::Origin;
use crate::rendered::Rendered;
use crate::row::Row;

/// Two rows to compare: both begin with the same tokens, then each goes its own way.
///
/// As in TRL, loss begins in both rows where the tokens of the prompt alone part from those of
/// either row. TRL cuts the beginnings of too long rows separately, so that their prompts differ;
/// here both lose as many tokens as the longer one has to.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PreferenceRow {
    /// Number of tokens of the prompt, with which both rows begin.
    pub prompt_len: usize,
    /// The preferred way.
    pub chosen: Row,
    /// The other.
    pub rejected: Row,
}

/// Two rows with what is to be reported of them.
#[derive(Debug, Default)]
pub(crate) struct BuiltPreference {
    pub(crate) prompt_len: usize,
    pub(crate) chosen: BuiltRow,
    pub(crate) rejected: BuiltRow,
}

impl BuiltPreference {
    pub(super) fn into_row(self) -> PreferenceRow {
        let Self { prompt_len, chosen, rejected } = self;
        PreferenceRow { prompt_len, chosen: chosen.row, rejected: rejected.row }
    }
}

impl RowBuilder<'_> {
    pub(crate) fn build_preference(
        &self,
        chosen: &Rendered,
        rejected: &Rendered,
        origin: &Origin,
    ) -> Result<Outcome<BuiltPreference>> {
        let (mut chosen, chosen_start) = self.completion(chosen, origin)?;
        let (mut rejected, rejected_start) = self.completion(rejected, origin)?;
        let shared = common_prefix(&chosen.row.ids, &rejected.row.ids);
        let mut prompt_len = chosen_start.min(rejected_start).min(shared);

        let longest = chosen.row.len().max(rejected.row.len());
        let excess = match self.cut(longest, origin)? {
            Ok(excess) => excess,
            Err(reason) => return Ok(Err(reason)),
        };
        let kept = longest - excess;
        let mut reason = DropReason::NothingTrainedIsLeft;
        for built in [&mut chosen, &mut rejected] {
            let Row { ids, trained } = &mut built.row;
            trained.iter_mut().skip(prompt_len.max(1)).for_each(|token| *token = true);
            let total = count(trained);
            if self.settings().truncation == Truncation::KeepEnd {
                built.cut = excess.min(ids.len());
                ids.drain(..built.cut);
                trained.drain(..built.cut);
                trained.first_mut().into_iter().for_each(|first| *first = false);
            } else {
                built.cut = ids.len().saturating_sub(kept);
                ids.truncate(kept);
                trained.truncate(kept);
            }
            built.trained = count(trained);
            built.trained_cut = total - built.trained;
            if total == 0 {
                reason = DropReason::NothingTrained;
            }
        }
        if chosen.trained == 0 || rejected.trained == 0 {
            return self.nothing_trained(reason, origin);
        }
        if self.settings().truncation == Truncation::KeepEnd {
            prompt_len = prompt_len.saturating_sub(excess);
        }
        Ok(Ok(BuiltPreference { prompt_len, chosen, rejected }))
    }
}

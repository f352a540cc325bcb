use std::ops::Range;

use super::mask::{common_prefix, first_after, tokens_of};
use super::preference::PreferenceRow;
use super::report::DropReason;
use super::settings::{Mask, OnNothingTrained, PrepareSettings, Truncation};
use crate::error::{DataError, Result};
use crate::record::Origin;
use crate::rendered::Rendered;
use crate::row::Row;
use crate::tokenize::{Encoded, Tokenizer};

/// Makes rows of texts: tokens, and which of them carry loss.
///
/// - A text has the special tokens at its ends exactly once: they come from the template where
///   [`Rendered::has_special_tokens`] says so, else from the tokenizer, which does not repeat those
///   that the text begins or ends with.
/// - A token belongs to a span if any part of it does. With [`Mask::Completion`] a token across the
///   end of the prompt carries loss, and what TRL does decides how many tokens before it do: loss
///   begins where the tokens of the prompt alone and those of the whole text part.
/// - The first token of a row never carries loss, as nothing predicts it.
///
/// ```
/// use collimate_data::{Origin, Position, PrepareSettings, Rendered, RowBuilder, Tokenizer};
/// # let folder = tempfile::tempdir()?;
/// # std::fs::write(folder.path().join("tokenizer.json"), r#"{"version": "1.0",
/// #     "model": {"type": "WordLevel", "vocab": {"two": 0, "and": 1, "four": 2, "?": 3, ".": 4},
/// #     "unk_token": "?"}, "pre_tokenizer": {"type": "Whitespace"}, "added_tokens": []}"#)?;
/// # let folder = folder.path();
/// let tokenizer = Tokenizer::from_folder(folder)?;
/// let builder = RowBuilder::new(&tokenizer, PrepareSettings::default())?;
/// let origin = Origin { file: folder.into(), position: Position::Line(1) };
/// let rendered = Rendered::from_prompt_completion("two and two", " four", " .");
/// let row = builder.row(&rendered, &origin)?;
/// assert_eq!(row.ids, [0, 1, 0, 2, 4]);
/// assert_eq!(row.trained, [false, false, false, true, true]);
///
/// // Everything belongs to the prompt, nothing can be learned.
/// let rendered = Rendered::from_prompt_completion("two and two", "", "");
/// assert!(builder.row(&rendered, &origin).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RowBuilder<'t> {
    tokenizer: &'t Tokenizer,
    settings: PrepareSettings,
}

/// A row with what is to be reported of it.
#[derive(Debug, Default)]
pub(crate) struct BuiltRow {
    pub(crate) row: Row,
    pub(crate) trained: usize,
    pub(crate) cut: usize,
    pub(crate) trained_cut: usize,
    pub(crate) not_repeated: bool,
    pub(crate) across: bool,
}

/// A row, or why there is none.
pub(crate) type Outcome<T> = std::result::Result<T, DropReason>;

/// The tokens of a text.
struct Tokens {
    ids: Vec<u32>,
    /// The first token that carries loss as the answer to the prompt.
    completion: usize,
    /// The tokens of the text itself, without those that the tokenizer put around them.
    text: Range<usize>,
    not_repeated: bool,
    across: bool,
}

impl<'t> RowBuilder<'t> {
    /// A builder with a model's tokenizer.
    ///
    /// # Errors
    ///
    /// [`DataError::Setting`] where the settings make no sense.
    pub fn new(tokenizer: &'t Tokenizer, settings: PrepareSettings) -> Result<Self> {
        settings.check()?;
        Ok(Self { tokenizer, settings })
    }

    /// The settings.
    pub fn settings(&self) -> &PrepareSettings {
        &self.settings
    }

    /// The row of a text. A policy that would leave the row out makes it an error here.
    ///
    /// # Errors
    ///
    /// The text can't be tokenized, is too long, or has no token that carries loss.
    pub fn row(&self, rendered: &Rendered, origin: &Origin) -> Result<Row> {
        match self.build(rendered, origin)? {
            Ok(built) => Ok(built.row),
            Err(reason) => Err(self.refusal(reason, origin)),
        }
    }

    /// The rows of two ways to go on, of which the first is preferred. Loss is on the completions,
    /// whatever the mask of the settings.
    ///
    /// # Errors
    ///
    /// As for [`RowBuilder::row`].
    pub fn preference_row(
        &self,
        chosen: &Rendered,
        rejected: &Rendered,
        origin: &Origin,
    ) -> Result<PreferenceRow> {
        match self.build_preference(chosen, rejected, origin)? {
            Ok(built) => Ok(built.into_row()),
            Err(reason) => Err(self.refusal(reason, origin)),
        }
    }

    pub(crate) fn build(&self, rendered: &Rendered, origin: &Origin) -> Result<Outcome<BuiltRow>> {
        let (tokens, mut trained) = self.masked(rendered, self.settings.mask, origin)?;
        let Tokens { mut ids, not_repeated, across, .. } = tokens;
        let total = count(&trained);
        if total == 0 {
            return self.nothing_trained(DropReason::NothingTrained, origin);
        }
        let cut = match self.cut(ids.len(), origin)? {
            Ok(cut) => cut,
            Err(reason) => return Ok(Err(reason)),
        };
        if cut > 0 {
            if self.settings.truncation == Truncation::KeepEnd {
                ids.drain(..cut);
                trained.drain(..cut);
                trained.first_mut().into_iter().for_each(|first| *first = false);
            } else {
                ids.truncate(ids.len() - cut);
                trained.truncate(ids.len());
            }
        }
        let left = count(&trained);
        if left == 0 {
            return self.nothing_trained(DropReason::NothingTrainedIsLeft, origin);
        }
        let row = Row::new(ids, trained);
        Ok(Ok(BuiltRow {
            row,
            trained: left,
            cut,
            trained_cut: total - left,
            not_repeated,
            across,
        }))
    }

    /// Tokens of a text, with the loss that its completion has.
    pub(super) fn completion(
        &self,
        rendered: &Rendered,
        origin: &Origin,
    ) -> Result<(BuiltRow, usize)> {
        let (tokens, trained) = self.masked(rendered, Mask::Completion, origin)?;
        let Tokens { ids, completion, not_repeated, across, .. } = tokens;
        let row =
            BuiltRow { not_repeated, across, row: Row::new(ids, trained), ..BuiltRow::default() };
        Ok((row, completion))
    }

    /// How many tokens have to be cut off.
    pub(super) fn cut(&self, length: usize, origin: &Origin) -> Result<Outcome<usize>> {
        let excess = self.settings.max_length.map_or(0, |most| length.saturating_sub(most));
        match self.settings.truncation {
            _ if excess == 0 => Ok(Ok(0)),
            Truncation::KeepStart | Truncation::KeepEnd => Ok(Ok(excess)),
            Truncation::Drop => Ok(Err(DropReason::TooLong)),
            Truncation::Error => Err(DataError::Record {
                origin: origin.clone(),
                message: format!(
                    "the row has {length} tokens, max_length allows {}; raise it, or choose to drop \
                     or to truncate such rows",
                    length - excess
                ),
            }),
        }
    }

    pub(super) fn nothing_trained<T>(
        &self,
        reason: DropReason,
        origin: &Origin,
    ) -> Result<Outcome<T>> {
        match self.settings.on_nothing_trained {
            OnNothingTrained::Drop => Ok(Err(reason)),
            OnNothingTrained::Error => Err(self.refusal(reason, origin)),
        }
    }

    /// The error for a row that there can't be.
    fn refusal(&self, reason: DropReason, origin: &Origin) -> DataError {
        let message = match reason {
            DropReason::TooLong => {
                return DataError::Record {
                    origin: origin.clone(),
                    message: "the row has more tokens than max_length allows".to_owned(),
                };
            }
            DropReason::NothingTrained => {
                "there is no completion or assistant turn that the mask could choose; correct the \
                 record, choose another mask, or choose to drop such rows"
            }
            DropReason::NothingTrainedIsLeft => {
                "all that carries loss was cut off; raise max_length, cut the other end, or choose \
                 to drop such rows"
            }
        };
        DataError::NothingTrained { origin: origin.clone(), message: message.to_owned() }
    }

    fn masked(
        &self,
        rendered: &Rendered,
        mask: Mask,
        origin: &Origin,
    ) -> Result<(Tokens, Vec<bool>)> {
        check_spans(rendered, origin)?;
        let Encoded { ids, offsets } = self.tokenizer.encode_plain(&rendered.text)?;
        let tokens = self.tokens(rendered, ids, &offsets)?;
        let length = tokens.ids.len();
        let mut trained = vec![false; length];
        let spans = match mask {
            Mask::All => {
                trained.fill(true);
                &[]
            }
            Mask::Completion => {
                trained.iter_mut().skip(tokens.completion).for_each(|token| *token = true);
                &[]
            }
            Mask::Assistant => rendered.assistant.as_slice(),
            Mask::LastTurn => {
                rendered.assistant.last().map(std::slice::from_ref).unwrap_or_default()
            }
        };
        for span in spans.iter().filter(|span| !span.is_empty()) {
            let touched = tokens_of(&offsets, span);
            let mut touched = touched.start + tokens.text.start..touched.end + tokens.text.start;
            if span.end == rendered.text.len() {
                // The closing token may be one that the tokenizer adds.
                touched.end = length;
            }
            if let Some(touched) = trained.get_mut(touched) {
                touched.fill(true);
            }
        }
        if let Some(first) = trained.first_mut() {
            *first = false;
        }
        Ok((tokens, trained))
    }

    /// The ids of a text with its special tokens, and where its completion begins.
    fn tokens(
        &self,
        rendered: &Rendered,
        mut ids: Vec<u32>,
        offsets: &[Range<usize>],
    ) -> Result<Tokens> {
        let (before, after) = self.tokenizer.added_tokens();
        let wanted = !rendered.has_special_tokens;
        let has_before = !before.is_empty() && ids.starts_with(before);
        let has_after = !after.is_empty() && ids.ends_with(after);
        let before = if wanted && !has_before { before } else { &[] };
        let after = if wanted && !has_after { after } else { &[] };

        let mut completion = first_after(offsets, rendered.completion);
        let mut across =
            offsets.get(completion).is_some_and(|token| token.start < rendered.completion)
                || self.tokenizer.joins_at(&rendered.text, rendered.completion);
        if across {
            let prompt = rendered.text.get(..rendered.completion).unwrap_or_default();
            let prompt = self.tokenizer.encode_plain(prompt)?.ids;
            completion = completion.min(common_prefix(&prompt, &ids));
            across = completion < prompt.len();
        }
        let text = before.len()..before.len() + ids.len();
        ids.splice(..0, before.iter().copied());
        ids.extend(after);
        Ok(Tokens {
            ids,
            // What the tokenizer puts before the text belongs to the prompt.
            completion: completion + text.start,
            text,
            not_repeated: wanted && (has_before || has_after),
            across,
        })
    }
}

/// Whether the spans are parts of the text, in order.
fn check_spans(rendered: &Rendered, origin: &Origin) -> Result<()> {
    let mut end = 0;
    let ordered = rendered.assistant.iter().all(|span| {
        let ordered = end <= span.start
            && span.start <= span.end
            && rendered.text.get(span.clone()).is_some();
        end = span.end;
        ordered
    });
    if ordered && rendered.text.is_char_boundary(rendered.completion) {
        return Ok(());
    }
    Err(DataError::Record {
        origin: origin.clone(),
        message:
            "the parts of its rendered text that are to be learned do not lie in the text, in \
                  order"
                .to_owned(),
    })
}

pub(super) fn count(trained: &[bool]) -> usize {
    trained.iter().filter(|trained| **trained).count()
}

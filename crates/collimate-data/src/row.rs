use serde::Serialize;

/// One row to train on: tokens, and which of them carry loss.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// Token ids, without padding.
    pub ids: Vec<u32>,
    /// For each token, whether predicting it carries loss; as long as `ids`. The first token of a
    /// row is never predicted: trainers shift by one.
    pub trained: Vec<bool>,
}

impl Row {
    /// A row of tokens with their mask.
    ///
    /// # Panics
    ///
    /// The two are not equally long.
    pub fn new(ids: Vec<u32>, trained: Vec<bool>) -> Self {
        assert_eq!(ids.len(), trained.len(), "a mask must be as long as its tokens");
        Self { ids, trained }
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Number of tokens that carry loss.
    pub fn trained_tokens(&self) -> usize {
        self.trained.iter().filter(|trained| **trained).count()
    }
}

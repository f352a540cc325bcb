use std::ops::Range;

/// Text made from an example, with the parts of it that a model has to learn.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Rendered {
    /// The text, special tokens written out.
    pub text: String,
    /// What the assistant says, turn by turn, as ranges of bytes of `text`: in order, without
    /// overlap, each with the token that closes the turn.
    pub assistant: Vec<Range<usize>>,
    /// Where the completion begins, in bytes: everything from there on answers the prompt.
    pub completion: usize,
    /// Whether `text` has all the special tokens that it is to have: then the tokenizer adds none.
    /// A model's own template has the last word, as in transformers and TRL, also where it writes
    /// no BOS. Strings, and built-in templates that write none, get the tokenizer's.
    pub has_special_tokens: bool,
}

use crate::rendered::Rendered;

/// String records, which no template renders: they are joined as they are, and what carries loss is
/// closed by the text of the end-of-text token unless it ends with it already, as TRL does. The
/// tokenizer adds what it is set to add.
impl Rendered {
    /// A text of which everything is to be learned.
    pub fn from_text(text: &str, end_of_text: &str) -> Self {
        Self::from_prompt_completion("", text, end_of_text)
    }

    /// A prompt, and a completion that is to be learned.
    ///
    /// ```
    /// use collimate_data::Rendered;
    ///
    /// let rendered = Rendered::from_prompt_completion("2 + 2 =", " 4", "</s>");
    /// assert_eq!(rendered.text, "2 + 2 = 4</s>");
    /// assert_eq!(&rendered.text[rendered.completion..], " 4</s>");
    /// ```
    pub fn from_prompt_completion(prompt: &str, completion: &str, end_of_text: &str) -> Self {
        let end = if completion.ends_with(end_of_text) { "" } else { end_of_text };
        let text = [prompt, completion, end].concat();
        let completion = prompt.len();
        let assistant = std::iter::once(completion..text.len()).collect();
        Self { text, assistant, completion, has_special_tokens: false }
    }
}

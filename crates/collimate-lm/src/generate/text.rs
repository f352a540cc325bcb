/// Text of tokens, as a tokenizer decodes them.
///
/// Of a text it has to give the same beginning whatever follows, but for a `U+FFFD` at the end, which
/// stands for a character that is not complete.
pub type DecodeTokens<'a> =
    dyn Fn(&[u32]) -> Result<String, Box<dyn std::error::Error + Send + Sync>> + 'a;

/// The stop string that a text now ends before, if any.
pub(super) type Stop = Result<Option<String>, Box<dyn std::error::Error + Send + Sync>>;

/// The text of a row while its tokens come.
pub(super) struct RowText<'a> {
    decode: &'a DecodeTokens<'a>,
    stop_strings: &'a [String],
    /// The last tokens that are in the text, then those that are not yet.
    window: Vec<u32>,
    /// How many of the window are in the text.
    settled: usize,
    text: String,
    /// How many bytes of the text were given away; the rest may become a stop string.
    given: usize,
}

impl<'a> RowText<'a> {
    pub(super) fn new(decode: &'a DecodeTokens<'a>, stop_strings: &'a [String]) -> Self {
        let (window, text) = (Vec::new(), String::new());
        Self { decode, stop_strings, window, settled: 0, text, given: 0 }
    }

    /// Adds a token.
    pub(super) fn push(&mut self, token: u32) -> Stop {
        self.window.push(token);
        self.settle(false)
    }

    /// Adds what was not complete: nothing follows.
    pub(super) fn end(&mut self) -> Stop {
        self.settle(true)
    }

    /// Text that was not given yet and can't become a stop string.
    pub(super) fn piece(&mut self) -> &str {
        let held = self.held();
        let start = std::mem::replace(&mut self.given, self.text.len() - held);
        self.text.get(start..self.given).unwrap_or_default()
    }

    /// All text that was not given yet.
    pub(super) fn rest(&mut self) -> &str {
        let start = std::mem::replace(&mut self.given, self.text.len());
        self.text.get(start..).unwrap_or_default()
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn settle(&mut self, last: bool) -> Stop {
        let (old, new) = self.window.split_at(self.settled.min(self.window.len()));
        if new.is_empty() {
            return Ok(None);
        }
        // Decoded together with those before it: a token at the beginning of a text may lose a space.
        let before = (self.decode)(old)?;
        let after = (self.decode)(&self.window)?;
        let added = match after.strip_prefix(&before) {
            Some(added) => added.to_owned(),
            // Bytes that turn out to be no character: what was given stays.
            None => (self.decode)(new)?,
        };
        if added.is_empty() || (added.ends_with(char::REPLACEMENT_CHARACTER) && !last) {
            return Ok(None);
        }
        self.window.drain(..self.settled);
        self.settled = self.window.len();
        self.text.push_str(&added);
        Ok(self.stop())
    }

    /// Cuts the text before the stop string that is complete first; of several, before the longest.
    fn stop(&mut self) -> Option<String> {
        let pending = self.text.get(self.given..).unwrap_or_default();
        let found = self.stop_strings.iter().filter_map(|stop| {
            let start = pending.find(stop.as_str())?;
            Some((start + stop.len(), start, stop.as_str()))
        });
        let (_, start, stop) = found.min()?;
        self.text.truncate(self.given + start);
        Some(stop.to_owned())
    }

    /// Bytes at the end that a stop string begins with.
    fn held(&self) -> usize {
        let pending = self.text.get(self.given..).unwrap_or_default();
        let starts = pending.char_indices().map(|(start, _)| pending.len() - start);
        let begins = |length: &usize| {
            let end = pending.get(pending.len() - length..).unwrap_or_default();
            self.stop_strings.iter().any(|stop| stop.starts_with(end))
        };
        starts.clone().find(begins).unwrap_or(0)
    }
}

//! Cuts a template's source into text, output, statements and comments, with Jinja's rules for
//! white space (`trim_blocks` and `lstrip_blocks` on).

/// A piece of a template.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    /// Text that is written as it is.
    Text(String),
    /// An expression whose value is written.
    Output(Vec<Token>, usize),
    /// A statement.
    Statement(Vec<Token>, usize),
}

/// A token of an expression or a statement, with the line it stands in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: usize,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Name(String),
    Text(String),
    Integer(String),
    Float(String),
    Sign(&'static str),
}

/// Why a template can't be read, and the line.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) line: usize,
    pub(super) message: String,
}

impl SyntaxError {
    pub(super) fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }
}

const SIGNS: [&str; 27] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}",
    ">", "<", "=", ".", ":", "|", ",", ";", "!",
];

/// Cuts a source.
pub(super) fn pieces(source: &str) -> Result<Vec<Piece>, SyntaxError> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let source = source.strip_suffix('\n').unwrap_or(&source);
    let mut scanner = Scanner { rest: source, line: 1, line_starts: true, pieces: Vec::new() };
    while scanner.next_piece()? {}
    Ok(scanner.pieces)
}

struct Scanner<'source> {
    rest: &'source str,
    line: usize,
    /// Whether what was cut last ended with a line end (or nothing was cut yet).
    line_starts: bool,
    pieces: Vec<Piece>,
}

impl<'source> Scanner<'source> {
    fn take(&mut self, length: usize) -> &'source str {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.bytes().filter(|byte| *byte == b'\n').count();
        if let Some(last) = taken.bytes().last() {
            self.line_starts = last == b'\n';
        }
        self.rest = rest;
        taken
    }

    fn skip_white_space(&mut self) {
        let length = self.rest.len() - self.rest.trim_start_matches(is_space).len();
        self.take(length);
    }

    fn text(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some(Piece::Text(last)) = self.pieces.last_mut() {
            last.push_str(text);
        } else {
            self.pieces.push(Piece::Text(text.to_owned()));
        }
    }

    /// The text before a tag, as the tag's sign and `lstrip_blocks` leave it.
    fn text_before(&mut self, text: &str, sign: Option<u8>, is_output: bool, line_started: bool) {
        let kept = match sign {
            Some(b'-') => text.trim_end_matches(is_space),
            Some(_) => text,
            None if is_output => text,
            None => {
                let line = text.rfind('\n').map_or(0, |position| position + 1);
                let (before, last) = text.split_at(line);
                if (line > 0 || line_started) && last.chars().all(is_space) { before } else { text }
            }
        };
        self.text(kept);
    }

    fn next_piece(&mut self) -> Result<bool, SyntaxError> {
        let Some(start) = tag_start(self.rest) else {
            let rest = self.take(self.rest.len());
            self.text(rest);
            return Ok(false);
        };
        let line_started = self.line_starts;
        let text = self.take(start);
        let kind = self.rest.as_bytes().get(1).copied().unwrap_or_default();
        let sign = self.rest.as_bytes().get(2).copied().filter(|sign| matches!(sign, b'-' | b'+'));
        if kind == b'%'
            && let Some(length) = raw_begin(self.rest)
        {
            self.text_before(text, sign, false, line_started);
            self.take(length);
            return self.raw().map(|()| true);
        }
        self.text_before(text, sign, kind == b'{', line_started);
        self.take(if sign.is_some() { 3 } else { 2 });
        match kind {
            b'#' => self.comment()?,
            b'%' => {
                let line = self.line;
                let tokens = self.tokens("%}")?;
                self.pieces.push(Piece::Statement(tokens, line));
            }
            _ => {
                let line = self.line;
                let tokens = self.tokens("}}")?;
                self.pieces.push(Piece::Output(tokens, line));
            }
        }
        Ok(true)
    }

    fn comment(&mut self) -> Result<(), SyntaxError> {
        let line = self.line;
        let Some(end) = self.rest.find("#}") else {
            return Err(SyntaxError::new(line, "a comment is not closed"));
        };
        let sign = self.rest[..end].bytes().last();
        self.take(end + 2);
        match sign {
            Some(b'-') => self.skip_white_space(),
            Some(b'+') => {}
            _ => self.skip_newline(),
        }
        Ok(())
    }

    fn skip_newline(&mut self) {
        if self.rest.starts_with('\n') {
            self.take(1);
        }
    }

    fn raw(&mut self) -> Result<(), SyntaxError> {
        let line = self.line;
        let line_started = self.line_starts;
        let mut from = 0;
        while let Some(found) = self.rest[from..].find("{%") {
            let start = from + found;
            if let Some((sign, length, end_sign)) = raw_end(&self.rest[start..]) {
                let text = self.take(start);
                self.text_before(text, sign, false, line_started);
                self.take(length);
                match end_sign {
                    Some(b'-') => self.skip_white_space(),
                    Some(_) => {}
                    None => self.skip_newline(),
                }
                return Ok(());
            }
            from = start + 2;
        }
        Err(SyntaxError::new(line, "a raw block is not closed"))
    }

    /// The tokens up to the end of a tag, which is taken with the white space that it takes.
    fn tokens(&mut self, end: &'static str) -> Result<Vec<Token>, SyntaxError> {
        let opened = self.line;
        let mut tokens = Vec::new();
        let mut brackets = Vec::new();
        loop {
            let length = self.rest.len() - self.rest.trim_start_matches(is_space).len();
            self.take(length);
            let line = self.line;
            if brackets.is_empty() {
                let bytes = self.rest.as_bytes();
                let (sign, after) = match bytes.first() {
                    Some(b'-') => (Some(b'-'), &self.rest[1..]),
                    Some(b'+') if end == "%}" => (Some(b'+'), &self.rest[1..]),
                    _ => (None, self.rest),
                };
                if after.starts_with(end) {
                    self.take(if sign.is_some() { 3 } else { 2 });
                    match sign {
                        Some(b'-') => self.skip_white_space(),
                        Some(_) => {}
                        None if end == "%}" => self.skip_newline(),
                        None => {}
                    }
                    return Ok(tokens);
                }
            }
            let Some(first) = self.rest.chars().next() else {
                return Err(SyntaxError::new(opened, format!("a tag is not closed by {end}")));
            };
            let kind = if first == '"' || first == '\'' {
                let (text, length) =
                    string(self.rest, first).map_err(|message| SyntaxError::new(line, message))?;
                self.take(length);
                Kind::Text(text)
            } else if first.is_ascii_digit() {
                let (kind, length) = number(self.rest);
                self.take(length);
                kind
            } else if first == '_' || first.is_alphabetic() {
                let length = self
                    .rest
                    .find(|c: char| c != '_' && !c.is_alphanumeric())
                    .unwrap_or(self.rest.len());
                Kind::Name(self.take(length).to_owned())
            } else if let Some(sign) = SIGNS.iter().find(|sign| self.rest.starts_with(**sign)) {
                match *sign {
                    "(" => brackets.push(")"),
                    "[" => brackets.push("]"),
                    "{" => brackets.push("}"),
                    ")" | "]" | "}" if brackets.pop() != Some(*sign) => {
                        return Err(SyntaxError::new(line, format!("unexpected '{sign}'")));
                    }
                    _ => {}
                }
                self.take(sign.len());
                Kind::Sign(sign)
            } else {
                return Err(SyntaxError::new(line, format!("unexpected character {first:?}")));
            };
            tokens.push(Token { kind, line });
        }
    }
}

/// White space as Python knows it.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

fn tag_start(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut from = 0;
    while let Some(found) = text.get(from..)?.find('{') {
        let position = from + found;
        if matches!(bytes.get(position + 1), Some(b'%' | b'{' | b'#')) {
            return Some(position);
        }
        from = position + 1;
    }
    None
}

fn raw_begin(text: &str) -> Option<usize> {
    let after = text.strip_prefix("{%")?;
    let after = after.strip_prefix(['-', '+']).unwrap_or(after);
    let after = after.trim_start_matches(is_space).strip_prefix("raw")?;
    let after = after.trim_start_matches(is_space);
    let after = match after.strip_prefix("-%}") {
        Some(after) => after.trim_start_matches(is_space),
        None => after.strip_prefix("%}")?,
    };
    Some(text.len() - after.len())
}

/// The signs and the length of `{% endraw %}`.
fn raw_end(text: &str) -> Option<(Option<u8>, usize, Option<u8>)> {
    let after = text.strip_prefix("{%")?;
    let sign = after.bytes().next().filter(|byte| matches!(byte, b'-' | b'+'));
    let after = if sign.is_some() { &after[1..] } else { after };
    let after = after.trim_start_matches(is_space).strip_prefix("endraw")?;
    let after = after.trim_start_matches(is_space);
    let end = after.bytes().next().filter(|byte| matches!(byte, b'-' | b'+'));
    let after = if end.is_some() { &after[1..] } else { after };
    let after = after.strip_prefix("%}")?;
    Some((sign, text.len() - after.len(), end))
}

/// A string literal's value and length.
fn string(text: &str, quote: char) -> Result<(String, usize), String> {
    let mut value = String::new();
    let mut rest = text.char_indices().skip(1);
    while let Some((position, c)) = rest.next() {
        if c == quote {
            return Ok((value, position + 1));
        }
        if c != '\\' {
            value.push(c);
            continue;
        }
        let Some((_, escaped)) = rest.next() else { break };
        let mut code = |digits: usize| -> Result<char, String> {
            let mut number = 0_u32;
            for _ in 0..digits {
                let digit = rest.next().and_then(|(_, c)| c.to_digit(16));
                number = number * 16 + digit.ok_or("a string has an incomplete escape")?;
            }
            char::from_u32(number)
                .ok_or_else(|| "a string has an escape that is no character".into())
        };
        match escaped {
            'n' => value.push('\n'),
            't' => value.push('\t'),
            'r' => value.push('\r'),
            'a' => value.push('\x07'),
            'b' => value.push('\x08'),
            'f' => value.push('\x0c'),
            'v' => value.push('\x0b'),
            '\\' | '\'' | '"' => value.push(escaped),
            '\n' => {}
            'x' => value.push(code(2)?),
            'u' => value.push(code(4)?),
            'U' => value.push(code(8)?),
            'N' => return Err("\\N{…} is not supported in strings".to_owned()),
            '0'..='7' => {
                let mut number = escaped.to_digit(8).unwrap_or_default();
                let mut ahead = rest.clone();
                for _ in 0..2 {
                    let Some(digit) = ahead.next().and_then(|(_, c)| c.to_digit(8)) else { break };
                    number = number * 8 + digit;
                    rest.next();
                }
                value.push(char::from_u32(number).unwrap_or_default());
            }
            other => {
                value.push('\\');
                value.push(other);
            }
        }
    }
    Err("a string is not closed".to_owned())
}

/// A number without its underscores, and its length.
fn number(text: &str) -> (Kind, usize) {
    let bytes = text.as_bytes();
    let digits = |from: usize, radix: u32| {
        let mut end = from;
        while let Some(byte) = bytes.get(end) {
            let is_digit = |byte: &u8| char::from(*byte).is_digit(radix);
            let joins = *byte == b'_' && bytes.get(end + 1).is_some_and(is_digit);
            if !is_digit(byte) && !joins {
                break;
            }
            end += 1;
        }
        end
    };
    for (prefixes, radix) in [(["0x", "0X"], 16), (["0b", "0B"], 2), (["0o", "0O"], 8)] {
        if prefixes.iter().any(|prefix| text.starts_with(prefix)) {
            let end = digits(2, radix);
            if end > 2 {
                let number = u128::from_str_radix(&text[2..end].replace('_', ""), radix);
                let written = number.map_or_else(|_| text[..end].to_owned(), |n| n.to_string());
                return (Kind::Integer(written), end);
            }
        }
    }
    let mut end = digits(0, 10);
    let mut is_float = false;
    if bytes.get(end) == Some(&b'.') && bytes.get(end + 1).is_some_and(u8::is_ascii_digit) {
        is_float = true;
        end = digits(end + 1, 10);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let signed = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        if bytes.get(end + 1 + signed).is_some_and(u8::is_ascii_digit) {
            is_float = true;
            end = digits(end + 1 + signed, 10);
        }
    }
    let written = text[..end].replace('_', "");
    (if is_float { Kind::Float(written) } else { Kind::Integer(written) }, end)
}

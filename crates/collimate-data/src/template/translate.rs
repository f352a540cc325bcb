//! Rewrites a template for the engine that runs it.

use super::expression::{Rewriter, literal};
use super::lexer::{Kind, Piece, SyntaxError, Token, pieces};

/// How the engine's tags begin and end: nothing that a template would write.
pub(super) const BLOCK: (&str, &str) = ("\u{10fff0}%", "%\u{10fff0}");
/// How the engine's output begins and ends.
pub(super) const OUTPUT: (&str, &str) = ("\u{10fff0}<", ">\u{10fff0}");
/// How the engine's comments begin and end.
pub(super) const COMMENT: (&str, &str) = ("\u{10fff0}#", "#\u{10fff0}");

/// Text longer than this is counted when it is written: it could be written very often.
const COUNTED_TEXT: usize = 128;

/// A template as the engine reads it.
pub(super) struct Translated {
    pub(super) source: String,
    /// Whether it marks what carries loss with `{% generation %}`.
    pub(super) has_generation: bool,
}

/// Rewrites a template.
pub(super) fn translate(source: &str) -> Result<Translated, SyntaxError> {
    let mut writer =
        Writer { source: String::new(), line: 1, open: Vec::new(), has_generation: false };
    for piece in pieces(source)? {
        match piece {
            Piece::Text(text) => writer.text(&text),
            Piece::Output(tokens, line) => {
                let mut rewriter = Rewriter::new(&tokens, line);
                let written = rewriter.tuple(true)?;
                rewriter.expect_end()?;
                writer.tag(OUTPUT, line, &written);
            }
            Piece::Statement(tokens, line) => writer.statement(&tokens, line)?,
        }
    }
    Ok(Translated { source: writer.source, has_generation: writer.has_generation })
}

struct Writer {
    source: String,
    line: usize,
    open: Vec<&'static str>,
    has_generation: bool,
}

impl Writer {
    fn push(&mut self, text: &str) {
        self.line += text.bytes().filter(|byte| *byte == b'\n').count();
        self.source.push_str(text);
    }

    fn text(&mut self, text: &str) {
        if text.len() > COUNTED_TEXT || text.contains('\u{10fff0}') {
            self.tag(OUTPUT, 0, &literal(text));
        } else {
            self.push(text);
        }
    }

    /// Writes a tag, in the line where it stood.
    fn tag(&mut self, delimiters: (&str, &str), line: usize, inner: &str) {
        self.push(delimiters.0);
        let missing = line.saturating_sub(self.line);
        self.push(&"\n".repeat(missing));
        self.push(" ");
        self.push(inner);
        self.push(" ");
        self.push(delimiters.1);
    }

    fn block(&mut self, line: usize, inner: &str) {
        self.tag(BLOCK, line, inner);
    }

    fn close(&mut self, name: &'static str, line: usize) -> Result<(), SyntaxError> {
        match self.open.pop() {
            Some(open) if open == name => Ok(()),
            Some(open) => {
                Err(SyntaxError::new(line, format!("unexpected end of {name}: {open} is open")))
            }
            None => Err(SyntaxError::new(line, format!("unexpected end of {name}: none is open"))),
        }
    }

    fn statement(&mut self, tokens: &[Token], line: usize) -> Result<(), SyntaxError> {
        let mut rewriter = Rewriter::new(tokens, line);
        let rewriter = &mut rewriter;
        let name = match rewriter.advance() {
            Some(Kind::Name(name)) => name.as_str(),
            _ => return Err(SyntaxError::new(line, "a tag without a name")),
        };
        match name {
            "for" => {
                let target = target(rewriter)?;
                if !rewriter.skip_name("in") {
                    return rewriter.error("expected 'in'");
                }
                let iterated = rewriter.tuple(false)?;
                let mut written = format!("for {target} in ({iterated})|py_iterate");
                if rewriter.skip_name("if") {
                    written = format!("{written} if {}", rewriter.expression()?);
                }
                if rewriter.skip_name("recursive") {
                    written.push_str(" recursive");
                }
                self.open.push("for");
                self.block(line, &written);
            }
            "if" | "elif" => {
                let condition = rewriter.tuple(false)?;
                if name == "if" {
                    self.open.push("if");
                }
                self.block(line, &format!("{name} {condition}"));
            }
            "else" => self.block(line, "else"),
            "endfor" => self.end("for", "endfor", line)?,
            "endif" => self.end("if", "endif", line)?,
            "endmacro" => self.end("macro", "endmacro", line)?,
            "endcall" => self.end("call", "endcall", line)?,
            "endfilter" => self.end("filter", "endfilter", line)?,
            "endwith" => self.end("with", "endwith", line)?,
            "endset" => self.end("set", "endset", line)?,
            "endblock" => {
                if rewriter.peek().is_some() {
                    rewriter.expect_name()?;
                }
                self.end("block", "endwith", line)?;
            }
            "break" | "continue" => {
                let inside = self
                    .open
                    .iter()
                    .rev()
                    .find(|open| matches!(**open, "for" | "macro" | "call" | "generation"));
                if inside != Some(&"for") {
                    return rewriter.error(format!("'{name}' outside of a loop"));
                }
                self.block(line, name);
            }
            "set" => self.set(rewriter, line)?,
            "macro" => {
                let name = rewriter.expect_name()?;
                let signature = signature(rewriter)?;
                self.open.push("macro");
                self.block(line, &format!("macro {name}({signature})"));
            }
            "call" => {
                let parameters = if rewriter.at_sign("(") {
                    format!("({})", signature(rewriter)?)
                } else {
                    String::new()
                };
                let call = rewriter.expression()?;
                self.open.push("call");
                self.block(line, &format!("call{parameters} {call}"));
            }
            "filter" => {
                let mut written = rewriter.filter()?;
                while rewriter.skip_sign("|") {
                    written = format!("{written}|{}", rewriter.filter()?);
                }
                self.open.push("filter");
                self.block(line, &format!("filter {written}"));
            }
            "with" => {
                let mut parts = Vec::new();
                while rewriter.peek().is_some() {
                    if !parts.is_empty() {
                        rewriter.expect_sign(",")?;
                    }
                    let target = target(rewriter)?;
                    rewriter.expect_sign("=")?;
                    parts.push(format!("{target} = {}", rewriter.expression()?));
                }
                self.open.push("with");
                self.block(line, &format!("with {}", parts.join(", ")));
            }
            "block" => {
                rewriter.expect_name()?;
                self.open.push("block");
                self.block(line, "with");
            }
            "print" => {
                let written = rewriter.tuple(true)?;
                self.tag(OUTPUT, line, &written);
            }
            "generation" => {
                self.has_generation = true;
                self.open.push("generation");
                self.block(line, "with");
                self.block(line, "filter py_generation");
            }
            "endgeneration" => {
                self.close("generation", line)?;
                self.block(line, "endfilter");
                self.block(line, "endwith");
            }
            "include" | "import" | "from" | "extends" => {
                return rewriter
                    .error(format!("'{name}' is not allowed: a chat template stands alone"));
            }
            name => return rewriter.error(format!("unknown tag '{name}'")),
        }
        rewriter.expect_end()
    }

    fn end(&mut self, name: &'static str, written: &str, line: usize) -> Result<(), SyntaxError> {
        self.close(name, line)?;
        self.block(line, written);
        Ok(())
    }

    fn set(&mut self, rewriter: &mut Rewriter<'_>, line: usize) -> Result<(), SyntaxError> {
        let target = target(rewriter)?;
        if rewriter.skip_sign("=") {
            let value = rewriter.tuple(true)?;
            let nested = if target.contains('.') { "|py_hold" } else { "" };
            self.block(line, &format!("set {target} = ({value}){nested}"));
            return Ok(());
        }
        let mut written = format!("set {target}");
        while rewriter.skip_sign("|") {
            written = format!("{written}|{}", rewriter.filter()?);
        }
        self.open.push("set");
        self.block(line, &written);
        Ok(())
    }
}

/// Names that are assigned: `a`, `a.b`, `a, b`, `(a, b)`.
fn target(rewriter: &mut Rewriter<'_>) -> Result<String, SyntaxError> {
    let mut parts = Vec::new();
    let mut commas = 0;
    loop {
        if rewriter.skip_sign("(") {
            parts.push(format!("({})", target(rewriter)?));
            rewriter.expect_sign(")")?;
        } else {
            let mut name = rewriter.expect_name()?;
            if matches!(
                name.as_str(),
                "true" | "false" | "none" | "True" | "False" | "None" | "loop" | "in"
            ) {
                return rewriter.error(format!("can't assign to '{name}'"));
            }
            if rewriter.skip_sign(".") {
                let attribute = rewriter.expect_name()?;
                if attribute.starts_with('_') {
                    return rewriter
                        .error(format!("can't assign to an attribute named '{attribute}'"));
                }
                name = format!("{name}.{attribute}");
            }
            parts.push(name);
        }
        if !rewriter.skip_sign(",") {
            break;
        }
        commas += 1;
        if !matches!(rewriter.peek(), Some(Kind::Name(name)) if name != "in")
            && !rewriter.at_sign("(")
        {
            break;
        }
    }
    let comma = if parts.len() == 1 && commas == 1 { "," } else { "" };
    Ok(format!("{}{comma}", parts.join(", ")))
}

/// Parameters of a macro, without the parentheses.
fn signature(rewriter: &mut Rewriter<'_>) -> Result<String, SyntaxError> {
    rewriter.expect_sign("(")?;
    let mut parameters = Vec::new();
    while !rewriter.at_sign(")") {
        if !parameters.is_empty() {
            rewriter.expect_sign(",")?;
            if rewriter.at_sign(")") {
                break;
            }
        }
        let name = rewriter.expect_name()?;
        if rewriter.skip_sign("=") {
            parameters.push(format!("{name}={}", rewriter.expression()?));
        } else {
            parameters.push(name);
        }
    }
    rewriter.expect_sign(")")?;
    Ok(parameters.join(", "))
}

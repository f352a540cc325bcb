//! Rewrites Jinja's expressions for the engine that runs them, so that what Python's operators do
//! is done by this crate's filters where the engine would do something else.

use std::fmt::Write as _;

use super::lexer::{Kind, SyntaxError, Token};
use super::method_names::is_method;

/// Nesting of expressions that is accepted.
const DEPTH: usize = 60;

/// Reads tokens and writes what the engine is to run.
pub(super) struct Rewriter<'tokens> {
    tokens: &'tokens [Token],
    position: usize,
    line: usize,
    depth: usize,
}

type Written = Result<String, SyntaxError>;

impl<'tokens> Rewriter<'tokens> {
    pub(super) fn new(tokens: &'tokens [Token], line: usize) -> Self {
        Self { tokens, position: 0, line, depth: 0 }
    }

    pub(super) fn peek(&self) -> Option<&'tokens Kind> {
        self.tokens.get(self.position).map(|token| &token.kind)
    }

    fn ahead(&self, by: usize) -> Option<&'tokens Kind> {
        self.tokens.get(self.position + by).map(|token| &token.kind)
    }

    pub(super) fn advance(&mut self) -> Option<&'tokens Kind> {
        let token = self.tokens.get(self.position)?;
        self.line = token.line;
        self.position += 1;
        Some(&token.kind)
    }

    pub(super) fn error<T>(&self, message: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError::new(self.line, message))
    }

    pub(super) fn at_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Kind::Sign(found)) if *found == sign)
    }

    pub(super) fn at_name(&self, name: &str) -> bool {
        matches!(self.peek(), Some(Kind::Name(found)) if found == name)
    }

    pub(super) fn skip_sign(&mut self, sign: &str) -> bool {
        let found = self.at_sign(sign);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn skip_name(&mut self, name: &str) -> bool {
        let found = self.at_name(name);
        if found {
            self.advance();
        }
        found
    }

    pub(super) fn expect_sign(&mut self, sign: &str) -> Result<(), SyntaxError> {
        if self.skip_sign(sign) { Ok(()) } else { self.error(format!("expected '{sign}'")) }
    }

    pub(super) fn expect_name(&mut self) -> Written {
        match self.advance() {
            Some(Kind::Name(name)) => Ok(name.clone()),
            _ => self.error("expected a name"),
        }
    }

    pub(super) fn expect_end(&self) -> Result<(), SyntaxError> {
        match self.tokens.get(self.position) {
            None => Ok(()),
            Some(token) => {
                Err(SyntaxError::new(token.line, format!("unexpected {}", shown(&token.kind))))
            }
        }
    }

    /// An expression, or several with commas between them, which make a tuple.
    pub(super) fn tuple(&mut self, conditional: bool) -> Written {
        let mut items = Vec::new();
        let mut commas = 0;
        loop {
            if self.peek().is_none() || self.at_sign("=") || self.at_sign(")") {
                break;
            }
            if commas > 0 && (self.at_name("if") || self.at_name("recursive") || self.at_name("in"))
            {
                break;
            }
            items.push(if conditional { self.expression()? } else { self.or()? });
            if !self.skip_sign(",") {
                break;
            }
            commas += 1;
        }
        match (items.len(), commas) {
            (0, _) => self.error("expected an expression"),
            (1, 0) => Ok(items.swap_remove(0)),
            (1, _) => Ok(format!("({},)|py_nest", items.swap_remove(0))),
            _ => Ok(format!("({})|py_nest", items.join(", "))),
        }
    }

    /// One expression.
    pub(super) fn expression(&mut self) -> Written {
        self.depth += 1;
        if self.depth > DEPTH {
            return self.error("expressions are nested too deeply");
        }
        let mut written = self.or()?;
        while self.skip_name("if") {
            let condition = self.or()?;
            written = if self.skip_name("else") {
                let otherwise = self.expression()?;
                format!("({written} if {condition} else {otherwise})")
            } else {
                format!("({written} if {condition})")
            };
        }
        self.depth -= 1;
        Ok(written)
    }

    pub(super) fn or(&mut self) -> Written {
        let mut parts = vec![self.and()?];
        while self.skip_name("or") {
            parts.push(self.and()?);
        }
        Ok(joined(parts, " or "))
    }

    fn and(&mut self) -> Written {
        let mut parts = vec![self.not()?];
        while self.skip_name("and") {
            parts.push(self.not()?);
        }
        Ok(joined(parts, " and "))
    }

    fn not(&mut self) -> Written {
        let mut times = 0_usize;
        while self.skip_name("not") {
            times += 1;
        }
        let operand = self.comparison()?;
        Ok(match times {
            0 => operand,
            times if times % 2 == 1 => format!("(not {operand})"),
            _ => format!("(not (not {operand}))"),
        })
    }

    fn comparison(&mut self) -> Written {
        let first = self.sum()?;
        let mut rest: Vec<(&'static str, String)> = Vec::new();
        loop {
            let operator = match self.peek() {
                Some(Kind::Sign(sign @ ("==" | "!=" | "<" | "<=" | ">" | ">="))) => *sign,
                Some(Kind::Name(name)) if name == "in" => "in",
                Some(Kind::Name(name)) if name == "not" => {
                    if !matches!(self.ahead(1), Some(Kind::Name(next)) if next == "in") {
                        break;
                    }
                    self.advance();
                    "not in"
                }
                _ => break,
            };
            self.advance();
            rest.push((operator, self.sum()?));
        }
        Ok(match rest.as_slice() {
            [] => first,
            [(operator @ ("<" | "<=" | ">" | ">="), second)] => {
                format!("({first}|py_compare(\"{operator}\", {second}))")
            }
            [("in", second)] => format!("({first}|py_in({second}))"),
            [("not in", second)] => format!("(not ({first}|py_in({second})))"),
            rest => {
                let mut written = format!("({first}");
                for (operator, operand) in rest {
                    let _ = write!(written, " {operator} {operand}");
                }
                written + ")"
            }
        })
    }

    fn sum(&mut self) -> Written {
        let mut written = self.concatenation()?;
        let mut changed = false;
        loop {
            let subtracts = match self.peek() {
                Some(Kind::Sign("+")) => false,
                Some(Kind::Sign("-")) => true,
                _ => break,
            };
            self.advance();
            let operand = self.concatenation()?;
            changed = true;
            if subtracts {
                written = format!("({written} - {operand})");
            } else {
                let _ = write!(written, "|py_add({operand})");
            }
        }
        Ok(if changed { format!("({written})") } else { written })
    }

    fn concatenation(&mut self) -> Written {
        let first = self.product()?;
        if !self.at_sign("~") {
            return Ok(first);
        }
        let mut operands = Vec::new();
        while self.skip_sign("~") {
            operands.push(self.product()?);
        }
        Ok(format!("({first}|py_concatenate({}))", operands.join(", ")))
    }

    fn product(&mut self) -> Written {
        let mut written = self.power()?;
        let mut changed = false;
        while let Some(Kind::Sign(operator @ ("*" | "/" | "//" | "%"))) = self.peek() {
            self.advance();
            let operand = self.power()?;
            changed = true;
            match *operator {
                "*" => {
                    let _ = write!(written, "|py_multiply({operand})");
                }
                "%" => {
                    let _ = write!(written, "|py_modulo({operand})");
                }
                operator => written = format!("({written} {operator} {operand})"),
            }
        }
        Ok(if changed { format!("({written})") } else { written })
    }

    fn power(&mut self) -> Written {
        let mut written = self.unary(true)?;
        while self.skip_sign("**") {
            let operand = self.unary(true)?;
            written = format!("({written} ** {operand})");
        }
        Ok(written)
    }

    fn unary(&mut self, filters: bool) -> Written {
        self.depth += 1;
        if self.depth > DEPTH {
            return self.error("expressions are nested too deeply");
        }
        let written = if self.skip_sign("-") {
            let is_number = matches!(self.peek(), Some(Kind::Integer(_) | Kind::Float(_)));
            let operand = self.unary(false)?;
            if is_number { format!("(-{operand})") } else { format!("({operand}|py_negative)") }
        } else if self.skip_sign("+") {
            format!("({}|py_positive)", self.unary(false)?)
        } else {
            let primary = self.primary()?;
            self.postfix(primary)?
        };
        let written = if filters { self.filtered(written)? } else { written };
        self.depth -= 1;
        Ok(written)
    }

    fn primary(&mut self) -> Written {
        match self.advance() {
            Some(Kind::Name(name)) => Ok(match name.as_str() {
                "true" | "True" => "true".to_owned(),
                "false" | "False" => "false".to_owned(),
                "none" | "None" => "none".to_owned(),
                "in" | "if" | "else" | "is" | "and" | "or" | "not" => {
                    return self.error(format!("unexpected '{name}'"));
                }
                name => name.to_owned(),
            }),
            Some(Kind::Text(text)) => {
                let mut text = text.clone();
                while let Some(Kind::Text(more)) = self.peek() {
                    text.push_str(more);
                    self.advance();
                }
                Ok(literal(&text))
            }
            Some(Kind::Integer(number) | Kind::Float(number)) => Ok(number.clone()),
            Some(Kind::Sign("(")) => {
                if self.skip_sign(")") {
                    return Ok("()".to_owned());
                }
                let inner = self.tuple(true)?;
                self.expect_sign(")")?;
                Ok(format!("({inner})"))
            }
            Some(Kind::Sign("[")) => {
                let mut items = Vec::new();
                while !self.at_sign("]") {
                    if !items.is_empty() {
                        self.expect_sign(",")?;
                        if self.at_sign("]") {
                            break;
                        }
                    }
                    items.push(self.expression()?);
                }
                self.expect_sign("]")?;
                Ok(if items.is_empty() {
                    "[]".into()
                } else {
                    format!("([{}]|py_nest)", items.join(", "))
                })
            }
            Some(Kind::Sign("{")) => {
                let mut items = Vec::new();
                while !self.at_sign("}") {
                    if !items.is_empty() {
                        self.expect_sign(",")?;
                        if self.at_sign("}") {
                            break;
                        }
                    }
                    let key = self.expression()?;
                    self.expect_sign(":")?;
                    items.push(format!("({key}|py_key): {}", self.expression()?));
                }
                self.expect_sign("}")?;
                Ok(if items.is_empty() {
                    "{}".into()
                } else {
                    format!("({{{}}}|py_nest)", items.join(", "))
                })
            }
            Some(other) => self.error(format!("unexpected {}", shown(other))),
            None => self.error("expected an expression"),
        }
    }

    fn postfix(&mut self, mut written: String) -> Written {
        loop {
            if self.skip_sign(".") {
                match self.advance() {
                    Some(Kind::Name(name)) => {
                        if is_method(name) && !self.at_sign("(") {
                            written = format!("({written}|py_method(\"{name}\"))");
                        } else {
                            let _ = write!(written, ".{name}");
                        }
                    }
                    Some(Kind::Integer(index)) => {
                        let _ = write!(written, "[{index}]");
                    }
                    _ => return self.error("expected a name or a number after '.'"),
                }
            } else if self.skip_sign("[") {
                written = self.subscript(written)?;
            } else if self.at_sign("(") {
                let arguments = self.arguments()?;
                let _ = write!(written, "({arguments})");
            } else {
                return Ok(written);
            }
        }
    }

    fn subscript(&mut self, written: String) -> Written {
        let mut parts: Vec<Option<String>> = Vec::new();
        let mut part = None;
        let mut is_slice = false;
        loop {
            if self.skip_sign("]") {
                parts.push(part);
                break;
            }
            if self.skip_sign(":") {
                is_slice = true;
                parts.push(part.take());
            } else if part.is_some() {
                return self.error("expected ']'");
            } else {
                part = Some(self.expression()?);
            }
        }
        if is_slice {
            if parts.len() > 3 {
                return self.error("a slice has at most three parts");
            }
            let parts: Vec<String> =
                parts.into_iter().map(|part| part.unwrap_or_else(|| "none".to_owned())).collect();
            return Ok(format!("({written}|py_slice({}))", parts.join(", ")));
        }
        match parts.into_iter().next().flatten() {
            Some(index) => Ok(format!("{written}[{index}]")),
            None => self.error("expected a subscript"),
        }
    }

    /// Arguments of a call, without the parentheses.
    pub(super) fn arguments(&mut self) -> Written {
        self.expect_sign("(")?;
        let mut arguments = Vec::new();
        while !self.at_sign(")") {
            if !arguments.is_empty() {
                self.expect_sign(",")?;
                if self.at_sign(")") {
                    break;
                }
            }
            if self.skip_sign("**") {
                arguments.push(format!("**{}", self.expression()?));
            } else if self.skip_sign("*") {
                arguments.push(format!("*{}", self.expression()?));
            } else if let (Some(Kind::Name(name)), Some(Kind::Sign("="))) =
                (self.peek(), self.ahead(1))
            {
                self.advance();
                self.advance();
                arguments.push(format!("{name}={}", self.expression()?));
            } else {
                arguments.push(self.expression()?);
            }
        }
        self.expect_sign(")")?;
        Ok(arguments.join(", "))
    }

    fn filtered(&mut self, mut written: String) -> Written {
        loop {
            if self.skip_sign("|") {
                let _ = write!(written, "|{}", self.filter()?);
            } else if self.skip_name("is") {
                written = self.test(written)?;
            } else if self.at_sign("(") {
                let arguments = self.arguments()?;
                written = format!("({written})({arguments})");
            } else {
                return Ok(written);
            }
        }
    }

    /// A filter with its arguments.
    pub(super) fn filter(&mut self) -> Written {
        let mut name = self.expect_name()?;
        while self.skip_sign(".") {
            name = format!("{name}.{}", self.expect_name()?);
        }
        if name.starts_with("py_") {
            return self.error(format!("no filter named '{name}'"));
        }
        if self.at_sign("(") {
            let arguments = self.arguments()?;
            name = format!("{name}({arguments})");
        }
        Ok(name)
    }

    fn test(&mut self, written: String) -> Written {
        let negated = self.skip_name("not");
        let name = self.expect_name()?;
        let arguments = if self.at_sign("(") {
            self.arguments()?
        } else {
            let takes = match self.peek() {
                Some(Kind::Name(name)) if name == "is" => {
                    return self.error("tests can't be chained with 'is'");
                }
                Some(Kind::Name(name)) => {
                    !matches!(name.as_str(), "else" | "or" | "and" | "if" | "in" | "not")
                }
                Some(Kind::Text(_) | Kind::Integer(_) | Kind::Float(_)) => true,
                Some(Kind::Sign(sign)) => matches!(*sign, "[" | "{"),
                None => false,
            };
            if takes {
                let primary = self.primary()?;
                self.postfix(primary)?
            } else {
                String::new()
            }
        };
        let not = if negated { "not " } else { "" };
        Ok(if arguments.is_empty() {
            format!("({written} is {not}{name})")
        } else {
            format!("({written} is {not}{name}({arguments}))")
        })
    }
}

/// A string as the engine reads it.
pub(super) fn literal(text: &str) -> String {
    let mut written = String::with_capacity(text.len() + 2);
    written.push('"');
    for c in text.chars() {
        match c {
            '"' => written.push_str("\\\""),
            '\\' => written.push_str("\\\\"),
            '\n' => written.push_str("\\n"),
            c => written.push(c),
        }
    }
    written.push('"');
    written
}

fn joined(mut parts: Vec<String>, between: &str) -> String {
    if parts.len() == 1 { parts.swap_remove(0) } else { format!("({})", parts.join(between)) }
}

fn shown(kind: &Kind) -> String {
    match kind {
        Kind::Name(name) => format!("'{name}'"),
        Kind::Text(_) => "a string".to_owned(),
        Kind::Integer(number) | Kind::Float(number) => number.clone(),
        Kind::Sign(sign) => format!("'{sign}'"),
    }
}

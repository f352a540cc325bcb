//! The header's JSON as every writer of weights writes it: no space between tokens, no escape in a
//! string, `dtype`, `shape` and `data_offsets` in this order. Faster than a JSON parser, which
//! reads whatever else there is.

use super::json::Record;
use crate::dtype::Dtype;
use crate::names::NameHasher;

/// Every tensor of a plain header; nothing where it is not plain, or not valid.
pub(super) fn records(json: &str, names: &NameHasher, expected: usize) -> Option<Vec<Record>> {
    let mut cursor = Cursor { rest: json.as_bytes() };
    let mut records = Vec::with_capacity(expected);
    let mut metadata = false;
    cursor.expect(b"{")?;
    if !cursor.accept(b"}") {
        loop {
            let name = cursor.string()?;
            cursor.expect(b":{")?;
            if name == b"__metadata__" {
                if std::mem::replace(&mut metadata, true) {
                    return None;
                }
                cursor.strings()?;
            } else {
                let position = u32::try_from(records.len()).ok()?;
                records.push(cursor.tensor(names.hash(name), position)?);
            }
            if !cursor.accept(b",") {
                break;
            }
        }
        cursor.expect(b"}")?;
    }
    // Writers fill up with spaces, so that the data is aligned.
    cursor.rest.iter().all(|byte| *byte == b' ').then_some(records)
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn expect(&mut self, text: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    fn accept(&mut self, text: &[u8]) -> bool {
        self.expect(text).is_some()
    }

    /// What stands between quotes.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.expect(b"\"")?;
        let end = self.rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..=0x1f))?;
        let (text, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        self.expect(b"\"")?;
        Some(text)
    }

    fn number(&mut self) -> Option<u64> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (text, rest) = self.rest.split_at_checked(digits)?;
        if digits == 0 || digits > 1 && text.first() == Some(&b'0') {
            return None;
        }
        self.rest = rest;
        text.iter().try_fold(0_u64, |number, digit| {
            number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
        })
    }

    /// An object of strings, after its opening brace.
    fn strings(&mut self) -> Option<()> {
        if self.accept(b"}") {
            return Some(());
        }
        loop {
            self.string()?;
            self.expect(b":")?;
            self.string()?;
            if !self.accept(b",") {
                return self.expect(b"}");
            }
        }
    }

    /// What a header says of a tensor, after its opening brace.
    fn tensor(&mut self, name_hash: u64, position: u32) -> Option<Record> {
        self.expect(b"\"dtype\":")?;
        let dtype = Dtype::from_name(self.string()?)?;
        self.expect(b",\"shape\":[")?;
        let mut elements = Some(1_u64);
        if !self.accept(b"]") {
            loop {
                let size = self.number()?;
                elements = elements.and_then(|elements| elements.checked_mul(size));
                if !self.accept(b",") {
                    break;
                }
            }
            self.expect(b"]")?;
        }
        self.expect(b",\"data_offsets\":[")?;
        let begin = self.number()?;
        self.expect(b",")?;
        let end = self.number()?;
        self.expect(b"]}")?;
        Some(Record { name_hash, begin, end, elements, dtype, position })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::DeserializeSeed;

    use super::super::json::Records;
    use super::*;

    /// What both readers make of a text.
    fn both(json: &str) -> (Option<Vec<Record>>, Option<Vec<Record>>) {
        let names = NameHasher::new();
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let parsed = Records { names: &names, expected: 0 }.deserialize(&mut deserializer);
        let parsed = parsed.and_then(|records| deserializer.end().map(|()| records));
        (records(json, &names, 0), parsed.ok())
    }

    const PLAIN: &str = concat!(
        r#"{"__metadata__":{"format":"pt","é":""},"#,
        r#""a":{"dtype":"BF16","shape":[],"data_offsets":[0,2]},"#,
        r#""":{"dtype":"F8_E4M3","shape":[0,18446744073709551615],"data_offsets":[2,10]}}   "#,
    );

    #[test]
    fn plain_headers_are_read() {
        for json in ["{}", "{}  ", r#"{"__metadata__":{}}"#, PLAIN] {
            let (plain, parsed) = both(json);
            assert!(plain.is_some(), "{json}");
            assert_eq!(plain, parsed, "{json}");
        }
    }

    #[test]
    fn whatever_else_is_left_to_the_parser() {
        for (from, to) in [
            ("BF16", "bf16"),
            ("\"a\"", "\"\\u0061\""),
            ("\"a\"", "\"a\n\""),
            ("[]", "[ ]"),
            ("[0,2]", "[00,2]"),
            ("[0,2]", "[0,2,3]"),
            ("[0,2]", "[0]"),
            ("[0,2]", "[0,18446744073709551616]"),
            ("[0,2]", "[-1,2]"),
            ("[0,2]", "[0.0,2]"),
            ("}}   ", "}}  \0"),
            ("}}   ", "}"),
            ("}}   ", "},}"),
            ("\"a\":", "\"__metadata__\":{},\"a\":"),
            ("\"pt\"", "1"),
        ] {
            assert!(PLAIN.contains(from));
            assert_eq!(both(&PLAIN.replacen(from, to, 1)).0, None, "{from} {to}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_the_parser_reads(
            at in 0..PLAIN.len(), with in prop::sample::select(b"\"\\{}[],:0a \n".to_vec())
        ) {
            let mut bytes = PLAIN.as_bytes().to_vec();
            bytes[at] = with;
            if let Ok(json) = str::from_utf8(&bytes) {
                let (plain, parsed) = both(json);
                prop_assert!(plain.is_none() || plain == parsed, "{}", json);
            }
        }
    }
}

//! A look through the opcodes of a pickle before anything is made of them.

use std::io::{BufRead, Read};

use super::PickleError;

/// Most opcodes of one checkpoint: enough for fifty thousand tensors.
pub(super) const OPCODE_LIMIT: u64 = 2_000_000;
/// Most bytes of all pickles of one checkpoint.
pub(super) const BYTE_LIMIT: u64 = 64 << 20;
/// Most bytes of a module's or a class's name.
const NAME_LIMIT: u64 = 256;

/// Checks that so many pickles, one after another, use nothing but what state dictionaries are
/// written with: PyTorch's own loader for weights alone allows no more.
///
/// # Errors
///
/// What is wrong, and at which byte.
pub(super) fn check(source: impl BufRead, pickles: u32) -> Result<(), PickleError> {
    let mut source = Counted { limited: source.take(BYTE_LIMIT) };
    let mut opcodes = 0;
    for _ in 0..pickles {
        loop {
            opcodes += 1;
            if opcodes > OPCODE_LIMIT {
                return Err(PickleError::TooManyOpcodes);
            }
            let at = source.position();
            let [opcode] = source.bytes()?;
            match opcode {
                b'.' => break,
                // MARK, POP, TUPLE, NONE, booleans, empty containers, REDUCE, BUILD, NEWOBJ,
                // what fills containers, BINPERSID.
                b'('
                | b'0'
                | b't'
                | b'N'
                | b')'
                | b']'
                | b'}'
                | b'R'
                | b'b'
                | b's'
                | b'u'
                | b'a'
                | b'e'
                | b'Q'
                | 0x81
                | 0x85..=0x89 => {}
                // BININT1, BINGET, BINPUT, PROTO.
                b'K' | b'h' | b'q' | 0x80 => source.skip(1)?,
                // BININT2.
                b'M' => source.skip(2)?,
                // BININT, LONG_BINGET, LONG_BINPUT.
                b'J' | b'j' | b'r' => source.skip(4)?,
                // BINFLOAT.
                b'G' => source.skip(8)?,
                // SHORT_BINSTRING, LONG1.
                b'U' | 0x8a => {
                    let [len] = source.bytes()?;
                    source.skip(len.into())?;
                }
                // BINSTRING, BINUNICODE.
                b'T' | b'X' => {
                    let len = u32::from_le_bytes(source.bytes()?);
                    source.skip(len.into())?;
                }
                b'c' => {
                    let module = source.line()?;
                    let name = source.line()?;
                    if !is_known(&module, &name) {
                        return Err(PickleError::Global { module, name, at });
                    }
                }
                opcode => return Err(PickleError::Opcode { opcode, at }),
            }
        }
    }
    Ok(())
}

/// Whether state dictionaries are written with this class or function.
fn is_known(module: &str, name: &str) -> bool {
    match module {
        "collections" => matches!(name, "OrderedDict" | "Counter"),
        "builtins" | "__builtin__" => matches!(name, "set" | "frozenset" | "bytearray"),
        "_codecs" => name == "encode",
        "torch._utils" => matches!(
            name,
            "_rebuild_tensor"
                | "_rebuild_tensor_v2"
                | "_rebuild_tensor_v3"
                | "_rebuild_parameter"
                | "_rebuild_parameter_with_state"
        ),
        "torch._tensor" => name == "_rebuild_from_type_v2",
        "torch.nn.parameter" => matches!(name, "Parameter" | "Buffer"),
        "torch.storage" => matches!(name, "UntypedStorage" | "TypedStorage" | "_TypedStorage"),
        "torch" | "torch.cuda" => {
            matches!(name, "Size" | "Tensor" | "device") || is_storage(name) || is_dtype(name)
        }
        _ => false,
    }
}

fn is_storage(name: &str) -> bool {
    name.strip_suffix("Storage").is_some_and(|kind| {
        !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

fn is_dtype(name: &str) -> bool {
    let kind = name.trim_end_matches(|last: char| last.is_ascii_digit());
    matches!(kind, "float" | "bfloat" | "double" | "half" | "int" | "uint" | "long" | "short")
        || matches!(name, "bool" | "complex64" | "complex128")
        || name.starts_with("float8_")
}

/// A pickle that is read forwards, up to a limit.
struct Counted<R> {
    limited: std::io::Take<R>,
}

impl<R: BufRead> Counted<R> {
    fn position(&self) -> u64 {
        BYTE_LIMIT - self.limited.limit()
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let mut bytes = [0; N];
        self.limited.read_exact(&mut bytes).map_err(|_| self.ended())?;
        Ok(bytes)
    }

    fn skip(&mut self, len: u64) -> Result<(), PickleError> {
        let mut skipped = (&mut self.limited).take(len);
        let copied = std::io::copy(&mut skipped, &mut std::io::sink());
        if copied.is_ok_and(|copied| copied == len) { Ok(()) } else { Err(self.ended()) }
    }

    /// A line without its end.
    fn line(&mut self) -> Result<String, PickleError> {
        let at = self.position();
        let mut line = Vec::new();
        let read = (&mut self.limited).take(NAME_LIMIT).read_until(b'\n', &mut line);
        match line.pop() {
            Some(b'\n') if read.is_ok() => Ok(String::from_utf8_lossy(&line).into_owned()),
            _ => Err(PickleError::NoName { at }),
        }
    }

    fn ended(&self) -> PickleError {
        match self.limited.limit() {
            0 => PickleError::TooManyBytes,
            _ => PickleError::Ended { at: self.position() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_state_dictionaries_need_passes() {
        // import pickle, collections; pickle.dumps(collections.OrderedDict(a=[1, 2.5, None, True]), 2)
        let pickle =
            b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01X\x01\x00\x00\x00aq\x02]q\x03\
            (K\x01G@\x04\x00\x00\x00\x00\x00\x00N\x88es.";
        check(&pickle[..], 1).expect("sound");
        for name in ["HalfStorage", "BFloat16Storage", "float32", "bfloat16", "float8_e4m3fn"] {
            assert!(is_known("torch", name), "{name}");
        }
    }

    #[test]
    fn functions_that_weights_do_not_need_are_named() {
        for (pickle, name) in [
            (&b"cposix\nsystem\n(X\x04\x00\x00\x00true\x85R."[..], "posix.system"),
            // Called and thrown away, with a dictionary left behind.
            (b"\x80\x02cbuiltins\neval\nX\x01\x00\x00\x001\x85R0}.", "builtins.eval"),
            (b"ctorch.hub\nload\n.", "torch.hub.load"),
            (b"ctorch\nload\n.", "torch.load"),
            (b"ctorch\nos.Storage\n.", "torch.os.Storage"),
        ] {
            let error = check(pickle, 1).expect_err("refused").to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn opcodes_that_weights_do_not_need_are_refused() {
        // INST, OBJ, STACK_GLOBAL, EXT1, DUP, NEXT_BUFFER, and one that is none.
        for opcode in [b'i', b'o', 0x93, 0x82, b'2', 0x97, 0xff] {
            let error = check(&[b'(', opcode, b'.'][..], 1).expect_err("refused").to_string();
            assert!(error.contains(&format!("{opcode:#04x} at byte 1")), "{error}");
        }
    }

    #[test]
    fn an_end_before_the_stop_is_an_error() {
        for pickle in [&b""[..], b"}", b"X\xff\xff\xff\xffabc", b"J\x00\x00", b"cposix\nsystem"] {
            assert!(check(pickle, 1).is_err(), "{pickle:?}");
        }
        assert!(check(&b"}.}."[..], 3).is_err());
        check(&b"}.}."[..], 2).expect("sound");
    }

    #[test]
    fn the_number_of_opcodes_is_bounded() {
        let error = check(std::io::BufReader::new(std::io::repeat(b'}')), 1)
            .expect_err("endless")
            .to_string();
        assert!(error.contains("opcodes"), "{error}");
    }

    #[test]
    fn the_number_of_bytes_is_bounded() {
        let long = b"X\xff\xff\xff\x7f".chain(std::io::BufReader::new(std::io::repeat(0)));
        let error = check(long, 1).expect_err("endless").to_string();
        assert!(error.contains("bytes"), "{error}");
    }
}

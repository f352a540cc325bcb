//! Bytes from anywhere, read as a `config.json`: a named problem, or an architecture whose sizes
//! can be multiplied without a check and which stays the same when the bytes are read again.

#![no_main]

use collimate_models::Architecture;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let read = Architecture::from_config(bytes);
    assert_eq!(read, Architecture::from_config(bytes));
    let architecture = match read {
        Ok(architecture) => architecture,
        Err(problem) => {
            assert_eq!(problem.file(), Some("config.json"));
            assert!(!problem.to_string().contains('\n'), "{problem}");
            return;
        }
    };
    assert!(std::str::from_utf8(bytes).is_ok(), "text is UTF-8");
    let sizes = [
        architecture.layers,
        architecture.hidden_size,
        architecture.intermediate_size,
        architecture.attention_heads,
        architecture.key_value_heads,
        architecture.head_dim,
        architecture.vocabulary,
        architecture.context_length,
    ];
    for size in sizes.into_iter().flatten() {
        assert!(size > 0 && u32::try_from(size).is_ok(), "{size}");
    }
    if architecture.name.is_some() || architecture.hidden_size.is_some() {
        let cut = &bytes[..bytes.trim_ascii_end().len() - 1];
        assert!(Architecture::from_config(cut).is_err(), "an object needs its last brace");
    }
});

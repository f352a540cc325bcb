//! The types of the elements of GGUF tensors.

/// How elements are packed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct GgmlType {
    pub(super) name: &'static str,
    /// Elements of one block.
    pub(super) block: u64,
    /// Bytes of one block.
    pub(super) bytes: u64,
}

/// The type of this number.
pub(super) fn ggml_type(number: u32) -> Option<GgmlType> {
    let (name, block, bytes) = match number {
        0 => ("F32", 1, 4),
        1 => ("F16", 1, 2),
        2 => ("Q4_0", 32, 18),
        3 => ("Q4_1", 32, 20),
        6 => ("Q5_0", 32, 22),
        7 => ("Q5_1", 32, 24),
        8 => ("Q8_0", 32, 34),
        9 => ("Q8_1", 32, 36),
        10 => ("Q2_K", 256, 84),
        11 => ("Q3_K", 256, 110),
        12 => ("Q4_K", 256, 144),
        13 => ("Q5_K", 256, 176),
        14 => ("Q6_K", 256, 210),
        15 => ("Q8_K", 256, 292),
        16 => ("IQ2_XXS", 256, 66),
        17 => ("IQ2_XS", 256, 74),
        18 => ("IQ3_XXS", 256, 98),
        19 => ("IQ1_S", 256, 50),
        20 => ("IQ4_NL", 32, 18),
        21 => ("IQ3_S", 256, 110),
        22 => ("IQ2_S", 256, 82),
        23 => ("IQ4_XS", 256, 136),
        24 => ("I8", 1, 1),
        25 => ("I16", 1, 2),
        26 => ("I32", 1, 4),
        27 => ("I64", 1, 8),
        28 => ("F64", 1, 8),
        29 => ("IQ1_M", 256, 56),
        30 => ("BF16", 1, 2),
        34 => ("TQ1_0", 256, 54),
        35 => ("TQ2_0", 256, 66),
        39 => ("MXFP4", 32, 17),
        40 => ("NVFP4", 64, 36),
        41 => ("Q1_0", 128, 18),
        _ => return None,
    };
    Some(GgmlType { name, block, bytes })
}

/// The name of a `general.file_type`: what most of a file's tensors are, and in which mixture.
pub(super) fn file_type(number: u64) -> Option<&'static str> {
    // A bit says that the type was guessed.
    Some(match number & !1024 {
        0 => "F32",
        1 => "F16",
        2 => "Q4_0",
        3 => "Q4_1",
        7 => "Q8_0",
        8 => "Q5_0",
        9 => "Q5_1",
        10 => "Q2_K",
        11 => "Q3_K_S",
        12 => "Q3_K_M",
        13 => "Q3_K_L",
        14 => "Q4_K_S",
        15 => "Q4_K_M",
        16 => "Q5_K_S",
        17 => "Q5_K_M",
        18 => "Q6_K",
        19 => "IQ2_XXS",
        20 => "IQ2_XS",
        21 => "Q2_K_S",
        22 => "IQ3_XS",
        23 => "IQ3_XXS",
        24 => "IQ1_S",
        25 => "IQ4_NL",
        26 => "IQ3_S",
        27 => "IQ3_M",
        28 => "IQ2_S",
        29 => "IQ2_M",
        30 => "IQ4_XS",
        31 => "IQ1_M",
        32 => "BF16",
        36 => "TQ1_0",
        37 => "TQ2_0",
        38 => "MXFP4_MOE",
        39 => "NVFP4",
        40 => "Q1_0",
        _ => return None,
    })
}

/// Bits of one weight, as the name of a quantized type states them (`Q4_K_M`: 4).
pub(super) fn bits(name: &str) -> Option<u64> {
    let at = name.find(|character: char| character.is_ascii_digit())?;
    name.get(at..=at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// gguf 0.19.0: `{int(k): (k.name, *v) for k, v in gguf.constants.GGML_QUANT_SIZES.items()}`,
    /// but for `Q8_1`, of which it says 40: ggml's own `block_q8_1` has two halves and 32 bytes.
    #[test]
    fn types_are_those_of_the_reference() {
        let reference = [
            (0, "F32", 1, 4),
            (1, "F16", 1, 2),
            (2, "Q4_0", 32, 18),
            (3, "Q4_1", 32, 20),
            (6, "Q5_0", 32, 22),
            (7, "Q5_1", 32, 24),
            (8, "Q8_0", 32, 34),
            (9, "Q8_1", 32, 36),
            (10, "Q2_K", 256, 84),
            (11, "Q3_K", 256, 110),
            (12, "Q4_K", 256, 144),
            (13, "Q5_K", 256, 176),
            (14, "Q6_K", 256, 210),
            (15, "Q8_K", 256, 292),
            (16, "IQ2_XXS", 256, 66),
            (17, "IQ2_XS", 256, 74),
            (18, "IQ3_XXS", 256, 98),
            (19, "IQ1_S", 256, 50),
            (20, "IQ4_NL", 32, 18),
            (21, "IQ3_S", 256, 110),
            (22, "IQ2_S", 256, 82),
            (23, "IQ4_XS", 256, 136),
            (24, "I8", 1, 1),
            (25, "I16", 1, 2),
            (26, "I32", 1, 4),
            (27, "I64", 1, 8),
            (28, "F64", 1, 8),
            (29, "IQ1_M", 256, 56),
            (30, "BF16", 1, 2),
            (34, "TQ1_0", 256, 54),
            (35, "TQ2_0", 256, 66),
            (39, "MXFP4", 32, 17),
            (40, "NVFP4", 64, 36),
            (41, "Q1_0", 128, 18),
        ];
        let ours = (0..1000).filter_map(|n| ggml_type(n).map(|t| (n, t.name, t.block, t.bytes)));
        assert!(ours.eq(reference));
    }

    #[test]
    fn bits_stand_in_the_name() {
        for (name, expected) in [("Q4_K_M", 4), ("IQ2_XXS", 2), ("Q8_0", 8), ("MXFP4_MOE", 4)] {
            assert_eq!(bits(name), Some(expected), "{name}");
        }
        assert_eq!(file_type(15), Some("Q4_K_M"));
        assert_eq!(file_type(1024 + 15), Some("Q4_K_M"));
    }
}

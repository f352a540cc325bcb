use std::fmt;

use serde::{Deserialize, Serialize};

/// The type of the elements of a safetensors tensor.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[allow(non_camel_case_types, reason = "the names that stand in the files")]
#[non_exhaustive]
pub enum Dtype {
    /// One byte, 0 or 1.
    BOOL,
    /// 4-bit float (e2m1).
    F4,
    /// 6-bit float.
    F6_E2M3,
    /// 6-bit float.
    F6_E3M2,
    /// Unsigned 8-bit integer.
    U8,
    /// Signed 8-bit integer.
    I8,
    /// 8-bit float.
    F8_E5M2,
    /// 8-bit float.
    F8_E4M3,
    /// 8-bit exponent: the scale of a block.
    F8_E8M0,
    /// 8-bit float without negative zero.
    F8_E4M3FNUZ,
    /// 8-bit float without negative zero.
    F8_E5M2FNUZ,
    /// Signed 16-bit integer.
    I16,
    /// Unsigned 16-bit integer.
    U16,
    /// Half-precision float.
    F16,
    /// Brain float.
    BF16,
    /// Signed 32-bit integer.
    I32,
    /// Unsigned 32-bit integer.
    U32,
    /// Single-precision float.
    F32,
    /// Complex number of two single-precision floats.
    C64,
    /// Double-precision float.
    F64,
    /// Signed 64-bit integer.
    I64,
    /// Unsigned 64-bit integer.
    U64,
}

impl Dtype {
    /// Every type, in the order of the enum.
    pub(crate) const ALL: [Self; 22] = [
        Self::BOOL,
        Self::F4,
        Self::F6_E2M3,
        Self::F6_E3M2,
        Self::U8,
        Self::I8,
        Self::F8_E5M2,
        Self::F8_E4M3,
        Self::F8_E8M0,
        Self::F8_E4M3FNUZ,
        Self::F8_E5M2FNUZ,
        Self::I16,
        Self::U16,
        Self::F16,
        Self::BF16,
        Self::I32,
        Self::U32,
        Self::F32,
        Self::C64,
        Self::F64,
        Self::I64,
        Self::U64,
    ];

    /// Bits of one element.
    pub fn bits(self) -> u64 {
        match self {
            Self::F4 => 4,
            Self::F6_E2M3 | Self::F6_E3M2 => 6,
            Self::BOOL
            | Self::U8
            | Self::I8
            | Self::F8_E5M2
            | Self::F8_E4M3
            | Self::F8_E8M0
            | Self::F8_E4M3FNUZ
            | Self::F8_E5M2FNUZ => 8,
            Self::I16 | Self::U16 | Self::F16 | Self::BF16 => 16,
            Self::I32 | Self::U32 | Self::F32 => 32,
            Self::C64 | Self::F64 | Self::I64 | Self::U64 => 64,
        }
    }

    /// The type of this name.
    pub(crate) fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|dtype| dtype.name().as_bytes() == name)
    }

    /// Its name in a header (`BF16`).
    pub fn name(self) -> &'static str {
        match self {
            Self::BOOL => "BOOL",
            Self::F4 => "F4",
            Self::F6_E2M3 => "F6_E2M3",
            Self::F6_E3M2 => "F6_E3M2",
            Self::U8 => "U8",
            Self::I8 => "I8",
            Self::F8_E5M2 => "F8_E5M2",
            Self::F8_E4M3 => "F8_E4M3",
            Self::F8_E8M0 => "F8_E8M0",
            Self::F8_E4M3FNUZ => "F8_E4M3FNUZ",
            Self::F8_E5M2FNUZ => "F8_E5M2FNUZ",
            Self::I16 => "I16",
            Self::U16 => "U16",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::I32 => "I32",
            Self::U32 => "U32",
            Self::F32 => "F32",
            Self::C64 => "C64",
            Self::F64 => "F64",
            Self::I64 => "I64",
            Self::U64 => "U64",
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// safetensors 0.8 is the reference for names and sizes.
    #[test]
    fn names_and_bits_are_those_of_the_reference() {
        for (at, dtype) in Dtype::ALL.into_iter().enumerate() {
            assert_eq!(dtype as usize, at);
            let text = format!("\"{dtype}\"");
            let reference: safetensors::Dtype = serde_json::from_str(&text).expect("a dtype");
            assert_eq!(reference.bitsize() as u64, dtype.bits(), "{dtype}");
            assert_eq!(serde_json::from_str::<Dtype>(&text).expect("a dtype"), dtype);
            assert_eq!(Dtype::from_name(dtype.name().as_bytes()), Some(dtype));
        }
    }
}

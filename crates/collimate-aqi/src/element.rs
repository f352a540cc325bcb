//! The float types that embeddings come in.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

mod sealed {
    pub trait Sealed {}
    impl Sealed for f64 {}
    impl Sealed for f32 {}
    impl Sealed for half::f16 {}
    impl Sealed for half::bf16 {}
}

/// A float type that embeddings may be stored in: `f64`, `f32`, `f16` or `bf16`.
///
/// Whatever the input type, sums are accumulated in `f64`. The trait is sealed.
pub trait Element: sealed::Sealed + Copy + Send + Sync + std::fmt::Debug + 'static {
    /// The type that the inner loops read: `f64` or `f32`.
    type Lane: Lane;

    /// Name as data formats write it, for example `"bf16"`.
    const NAME: &'static str;

    /// The exact value in `f64`.
    fn to_f64(self) -> f64;

    /// The row in the lane type, borrowed where no conversion is needed.
    #[doc(hidden)]
    fn lanes(row: &[Self]) -> Option<&[Self::Lane]>;

    /// Appends the row, converted, to `out`.
    #[doc(hidden)]
    fn extend_lanes(row: &[Self], out: &mut Vec<Self::Lane>);
}

/// What the inner loops read.
#[doc(hidden)]
pub trait Lane: Element + Default {
    /// True if squares of the type can overflow or vanish in `f64`.
    const WIDE: bool;

    fn from_f64(value: f64) -> Self;
}

impl Lane for f64 {
    const WIDE: bool = true;

    fn from_f64(value: f64) -> Self {
        value
    }
}

impl Lane for f32 {
    const WIDE: bool = false;

    #[allow(clippy::cast_possible_truncation, reason = "the value came from an f32")]
    fn from_f64(value: f64) -> Self {
        value as f32
    }
}

macro_rules! own_lane {
    ($type:ty, $name:literal) => {
        impl Element for $type {
            type Lane = $type;
            const NAME: &'static str = $name;

            #[inline(always)]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }

            fn lanes(row: &[Self]) -> Option<&[Self]> {
                Some(row)
            }

            fn extend_lanes(row: &[Self], out: &mut Vec<Self>) {
                out.extend_from_slice(row);
            }
        }
    };
}
own_lane!(f64, "f64");
own_lane!(f32, "f32");

macro_rules! half_lane {
    ($type:ty, $name:literal) => {
        impl Element for $type {
            type Lane = f32;
            const NAME: &'static str = $name;

            #[inline(always)]
            fn to_f64(self) -> f64 {
                <$type>::to_f64(self)
            }

            fn lanes(_: &[Self]) -> Option<&[f32]> {
                None
            }

            fn extend_lanes(row: &[Self], out: &mut Vec<f32>) {
                let start = out.len();
                out.resize(start + row.len(), 0.0);
                row.convert_to_f32_slice(&mut out[start..]);
            }
        }
    };
}
half_lane!(f16, "f16");
half_lane!(bf16, "bf16");

//! The same loops, compiled for the widest vectors that the processor has.
//!
//! The loops are plain Rust that the compiler vectorizes. Which instructions it may use is fixed
//! when a function is compiled, so each kernel is compiled several times and chosen at run time.
//! No variant fuses or reorders operations: all give the same bytes.
#![allow(unsafe_code, reason = "calling a function compiled for instructions that were detected")]

/// A loop to compile for several instruction sets. [`run`](Self::run) must be
/// `#[inline(always)]`, else it stays compiled for the common one.
pub(crate) trait Kernel {
    /// What it computes.
    type Output;

    /// Computes it.
    fn run(self) -> Self::Output;
}

/// Runs a kernel with the widest vectors of this processor.
pub(crate) fn widest<K: Kernel>(kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("avx512dq") {
            // SAFETY: the processor has what the function was compiled for.
            return unsafe { avx512(kernel) };
        }
        if std::is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { avx2(kernel) };
        }
    }
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq")]
fn avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

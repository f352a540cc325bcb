//! Standard errors, intervals and tests.

mod bootstrap;
mod delta;
mod f_test;
mod geometry;
mod interval;
mod jackknife;
mod max_t;
mod permutation;
mod score_interval;
mod space;
mod trace_products;
mod units;

pub use delta::{Delta, DeltaConfig, DeltaSign, delta};
pub use interval::{Interval, IntervalMethod, rho_interval};
pub use jackknife::rho_standard_error;
pub use max_t::{MaxTTest, max_t_test};
pub use permutation::{PermutationTest, permutation_test};

pub(crate) use geometry::Geometry;
pub(crate) use interval::{interval, pair_intervals};
pub(crate) use permutation::null as permutation_null;

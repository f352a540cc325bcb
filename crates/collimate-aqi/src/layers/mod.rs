//! Several layers of one model: which weights pool them into one embedding, and how well each
//! separates the classes by itself.
//!
//! Activations are arrays `[n, L, d]`: rows, layers, dimensions. A pooled embedding is
//! `h̃ = Σ_l α_l h^(l) / s_l` with weights `α` on the simplex and a scale `s_l` for each layer.
//! The default objective is [`Rayleigh`] on layers that are divided by their root mean square
//! ([`LayerScaling::Rms`]): without that division the layer with the longest vectors decides
//! everything, and the paper's own loss ([`PaperHinge`]) runs to that layer.

mod activation;
mod adam;
mod anchor;
mod fit;
mod hinge;
mod moments;
mod pool;
mod rayleigh;
mod read;
mod scales;
mod weights;

pub use activation::{SimplexMap, project_onto_simplex};
pub use anchor::{AnchorPooling, AnchorReport, CosineAnchor};
pub use fit::{LayerFit, LayerObjective, LayerScore, fit_and_score};
pub use hinge::{HingeReport, Margin, PaperHinge};
pub use moments::LayerMoments;
pub use pool::pool_layers;
pub use rayleigh::{Rayleigh, RayleighReport};
pub use scales::{LayerScales, LayerScaling};
pub use weights::{LayerWeights, WeightSource};

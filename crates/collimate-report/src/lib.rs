#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod aqi;
mod axis;
mod chart;
mod check;
mod control;
mod curve;
mod error;
mod figure;
mod finding;
mod float;
mod html;
mod markdown;
mod markup;
mod measure;
mod number;
mod palette;
#[cfg(feature = "png")]
mod png;
mod projection;
mod report;
mod scene;
mod svg;
mod text;
mod thin;
mod write;

pub use aqi::{AqiComparison, Control, ControlKind, Side};
pub use check::CheckedReport;
pub use curve::{Curve, CurvePoint};
pub use error::{ReportError, Result};
pub use figure::Figure;
pub use finding::{Finding, Verdict};
pub use measure::{Better, Estimate, Measure, MeasureGroup};
pub use projection::{Basis, Components, Panel, ProjectedPoint, Projection, Safety, pca};
pub use report::{Fact, Model, Reading, Report, Response, Table};

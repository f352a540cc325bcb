//! Kinds of charts. Each is drawn for a width, since a chart for a screen can't be read when it is
//! shrunk to a phone.

mod forest;
mod frame;
mod line;
mod scatter;

pub(crate) use forest::{Entry, Forest, Row};
pub(crate) use frame::Key;
pub(crate) use line::{LineChart, Point, Series};
pub(crate) use scatter::{Scatter, ScatterPanel};

use crate::scene::Scene;

/// Something that can be drawn.
#[derive(Clone, Debug)]
pub(crate) enum Chart {
    Line(LineChart),
    Forest(Forest),
    Scatter(Scatter),
}

impl Chart {
    /// The chart at this width; its height follows.
    pub(crate) fn draw(&self, width: f64) -> Scene {
        match self {
            Self::Line(chart) => chart.draw(width),
            Self::Forest(chart) => chart.draw(width),
            Self::Scatter(chart) => chart.draw(width),
        }
    }

    /// What a reader should know of how it is drawn.
    pub(crate) fn notes(&self) -> Vec<String> {
        match self {
            Self::Line(chart) => chart.notes(),
            Self::Forest(chart) => chart.notes(),
            Self::Scatter(chart) => chart.notes(),
        }
    }
}

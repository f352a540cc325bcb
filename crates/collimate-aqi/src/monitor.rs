//! Watching the separation of classes over time.

use crate::calibration::mean_and_sd;
use crate::error::{AqiError, Result};
use crate::moments::Moments;
use crate::score::Mode;
use serde::Serialize;

/// What a [`Monitor`] follows from slice to slice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum MonitorStatistic {
    /// AQI-S of the slice with the default weight: from 0 to 100, clipped at 0.
    #[default]
    AqiS,
    /// `ρ_global` of the slice, which is not clipped. Preferable where separation is weak, since
    /// clipping at zero hides half of the noise.
    RhoGlobal,
}

/// Which departures from the baseline raise an alarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AlarmSide {
    /// A fall below the lower limit: separation is lost.
    #[default]
    Below,
    /// A rise above the upper limit.
    Above,
    /// Either.
    Both,
}

/// Where the center and the spread of the control chart come from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "baseline")]
#[non_exhaustive]
pub enum Baseline {
    /// Learned from the first slices, which raise no alarm.
    BurnIn {
        /// How many, at least two.
        slices: usize,
    },
    /// Known beforehand.
    Given {
        /// Mean `μ₀` of the statistic.
        mean: f64,
        /// Standard deviation `σ` of the statistic from slice to slice, above zero.
        sd: f64,
    },
}

/// Settings of a [`Monitor`].
///
/// ```
/// use collimate_aqi::{AlarmSide, Baseline, Monitor, MonitorSettings};
/// let settings = MonitorSettings::default()
///     .with_half_life(24.0)
///     .with_side(AlarmSide::Both)
///     .with_baseline(Baseline::Given { mean: 60.0, sd: 2.5 });
/// assert!(Monitor::new(settings).is_ok());
/// assert!(Monitor::new(settings.with_smoothing(0.0)).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MonitorSettings {
    /// After how many slices a slice counts half in the fading state; above zero. Default 10.
    pub half_life: f64,
    /// Weight `a` of the newest slice in the chart, in `(0, 1]`: smaller values find smaller
    /// shifts, later. Default 0.2.
    pub smoothing: f64,
    /// Half-width `L` of the limits in standard deviations, above zero. Default 3.
    pub width: f64,
    /// What is followed. Default: AQI-S.
    pub statistic: MonitorStatistic,
    /// What raises an alarm. Default: a fall.
    pub side: AlarmSide,
    /// Where the limits come from. Default: the first 20 slices.
    pub baseline: Baseline,
}

impl Default for MonitorSettings {
    fn default() -> Self {
        Self {
            half_life: 10.0,
            smoothing: 0.2,
            width: 3.0,
            statistic: MonitorStatistic::default(),
            side: AlarmSide::default(),
            baseline: Baseline::BurnIn { slices: 20 },
        }
    }
}

impl MonitorSettings {
    /// Sets after how many slices a slice counts half in the fading state.
    #[must_use]
    pub fn with_half_life(mut self, slices: f64) -> Self {
        self.half_life = slices;
        self
    }

    /// Sets the weight of the newest slice in the chart.
    #[must_use]
    pub fn with_smoothing(mut self, smoothing: f64) -> Self {
        self.smoothing = smoothing;
        self
    }

    /// Sets the half-width of the limits in standard deviations.
    #[must_use]
    pub fn with_width(mut self, width: f64) -> Self {
        self.width = width;
        self
    }

    /// Sets what is followed.
    #[must_use]
    pub fn with_statistic(mut self, statistic: MonitorStatistic) -> Self {
        self.statistic = statistic;
        self
    }

    /// Sets what raises an alarm.
    #[must_use]
    pub fn with_side(mut self, side: AlarmSide) -> Self {
        self.side = side;
        self
    }

    /// Sets where the limits come from.
    #[must_use]
    pub fn with_baseline(mut self, baseline: Baseline) -> Self {
        self.baseline = baseline;
        self
    }

    fn check(&self) -> Result<()> {
        let positive = |name, value: f64| {
            if value.is_finite() && value > 0.0 {
                Ok(())
            } else {
                Err(AqiError::parameter(name, value, "a number above zero"))
            }
        };
        positive("half_life", self.half_life)?;
        positive("width", self.width)?;
        if !(self.smoothing > 0.0 && self.smoothing <= 1.0) {
            return Err(AqiError::parameter("smoothing", self.smoothing, "a number in (0, 1]"));
        }
        match self.baseline {
            Baseline::BurnIn { slices } if slices < 2 => {
                Err(AqiError::parameter("slices of the burn-in", slices, "at least two"))
            }
            Baseline::BurnIn { .. } => Ok(()),
            Baseline::Given { mean, sd } => {
                crate::quantile::check_finite("mean of the baseline", &[mean])?;
                positive("sd of the baseline", sd)
            }
        }
    }
}

/// What a [`Monitor`] says about one slice.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Observation {
    /// Number of the slice, from zero.
    pub slice: u64,
    /// The statistic of the slice alone; `None` where it has none.
    pub value: Option<f64>,
    /// Why the slice has no statistic, for example because only one class occurred in it. Such a
    /// slice enters the fading state, but not the chart.
    pub skipped: Option<String>,
    /// The smoothed statistic `z_t`; `None` during burn-in.
    pub ewma: Option<f64>,
    /// The lower limit; `None` during burn-in.
    pub lower: Option<f64>,
    /// The upper limit; `None` during burn-in.
    pub upper: Option<f64>,
    /// True if `z_t` lies beyond a limit that is watched.
    pub alarm: bool,
    /// AQI-S of the fading state; `None` while a class has too few rows in it.
    pub state_aqi_s: Option<f64>,
}

/// Follows the separation of classes through the slices of a stream: a control chart that
/// raises an alarm when it falls, and a state in which the past fades.
///
/// The chart is an exponentially weighted moving average (Roberts 1959) of the statistic `x_t`
/// of each slice by itself:
///
/// ```text
/// z_t = a x_t + (1−a) z_{t−1},   z_0 = μ₀
/// limits: μ₀ ± L σ √( a/(2−a) · (1 − (1−a)^{2t}) )
/// ```
///
/// `t` counts the slices after burn-in that have a statistic. Slices should be of similar size,
/// since `σ` is that of the statistic from slice to slice. An alarm doesn't reset the chart. If
/// all slices of the burn-in have the same value, the limits coincide and any departure raises an
/// alarm.
///
/// The state is what [`Moments::decay`] and [`Moments::merge`] make of the slices: a slice that
/// is `h` half-lives old has the weight `2^-h`. A class whose weight has faded below `2^-100` is
/// forgotten.
///
/// ```
/// use collimate_aqi::{Baseline, Labels, Moments, Monitor, MonitorSettings};
/// use ndarray::array;
/// let labels = Labels::new([0, 0, 1, 1])?;
/// let settings = MonitorSettings::default().with_baseline(Baseline::Given { mean: 92.0, sd: 1.0 });
/// let mut monitor = Monitor::new(settings)?;
/// let apart = array![[0.0], [2.0], [10.0], [12.0]];
/// let mixed = array![[0.0], [12.0], [2.0], [10.0]];
/// assert!(!monitor.observe(&Moments::from_rows(apart.view(), &labels)?)?.alarm);
/// assert!(monitor.observe(&Moments::from_rows(mixed.view(), &labels)?)?.alarm);
/// # Ok::<(), collimate_aqi::AqiError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Monitor {
    settings: MonitorSettings,
    state: Option<Moments>,
    slices: u64,
    burn_in: Vec<f64>,
    chart: Option<Chart>,
}

impl Monitor {
    /// A monitor that has seen nothing.
    ///
    /// # Errors
    /// [`AqiError::Parameter`] for a setting outside its range.
    pub fn new(settings: MonitorSettings) -> Result<Self> {
        settings.check()?;
        let chart = match settings.baseline {
            Baseline::Given { mean, sd } => Some(Chart::new(mean, sd)),
            Baseline::BurnIn { .. } => None,
        };
        Ok(Self { settings, state: None, slices: 0, burn_in: Vec::new(), chart })
    }

    /// Takes in the next slice.
    ///
    /// # Errors
    /// [`AqiError::Incompatible`] if dimensions or classes differ from those of the slices before;
    /// the monitor then stays as it was.
    pub fn observe(&mut self, slice: &Moments) -> Result<Observation> {
        let state = self.faded_with(slice)?;
        let mut observation = Observation {
            slice: self.slices,
            value: None,
            skipped: None,
            ewma: None,
            lower: None,
            upper: None,
            alarm: false,
            state_aqi_s: aqi_s(&state).ok(),
        };
        self.state = Some(state);
        self.slices += 1;
        let value = match self.settings.statistic {
            MonitorStatistic::AqiS => aqi_s(slice),
            MonitorStatistic::RhoGlobal => slice.dispersion().and_then(|d| d.rho_global()),
        };
        match value {
            Ok(value) => {
                observation.value = Some(value);
                self.follow(value, &mut observation);
            }
            Err(reason) => observation.skipped = Some(reason.to_string()),
        }
        Ok(observation)
    }

    /// The moments of all slices, faded by age; `None` before the first slice.
    #[must_use]
    pub fn state(&self) -> Option<&Moments> {
        self.state.as_ref()
    }

    /// Mean `μ₀` and standard deviation `σ` of the chart; `None` during burn-in.
    #[must_use]
    pub fn baseline(&self) -> Option<(f64, f64)> {
        self.chart.as_ref().map(|chart| (chart.mean, chart.sd))
    }

    fn faded_with(&self, slice: &Moments) -> Result<Moments> {
        let Some(state) = &self.state else {
            return Ok(slice.clone());
        };
        let mut state = state.clone();
        state.decay((-1.0 / self.settings.half_life).exp2().max(FORGOTTEN))?;
        for class in &mut state.classes {
            if class.weight < FORGOTTEN {
                class.count = 0;
                (class.weight, class.weight_squared) = (0.0, 0.0);
                class.mean.fill(0.0);
                class.scatter.fill(0.0);
            }
        }
        state.merge(slice)?;
        Ok(state)
    }

    /// Continues the chart, or the burn-in, with the statistic of a slice.
    fn follow(&mut self, value: f64, observation: &mut Observation) {
        let Some(chart) = &mut self.chart else {
            self.burn_in.push(value);
            if let Baseline::BurnIn { slices } = self.settings.baseline
                && self.burn_in.len() >= slices
            {
                let (mean, sd) = baseline(&self.burn_in);
                self.chart = Some(Chart::new(mean, sd));
                self.burn_in = Vec::new();
            }
            return;
        };
        let (ewma, half_width) = chart.step(value, &self.settings);
        let (lower, upper) = (chart.mean - half_width, chart.mean + half_width);
        observation.ewma = Some(ewma);
        observation.lower = Some(lower);
        observation.upper = Some(upper);
        observation.alarm = match self.settings.side {
            AlarmSide::Below => ewma < lower,
            AlarmSide::Above => ewma > upper,
            AlarmSide::Both => ewma < lower || ewma > upper,
        };
    }
}

/// `2^-100`.
const FORGOTTEN: f64 = f64::from_bits((1023 - 100) << 52);

#[derive(Clone, Debug)]
struct Chart {
    mean: f64,
    sd: f64,
    ewma: f64,
    /// `(1−a)^{2t}`.
    remaining: f64,
}

impl Chart {
    fn new(mean: f64, sd: f64) -> Self {
        Self { mean, sd, ewma: mean, remaining: 1.0 }
    }

    /// The next smoothed value, and half the distance between its limits.
    fn step(&mut self, value: f64, settings: &MonitorSettings) -> (f64, f64) {
        let a = settings.smoothing;
        self.ewma += a * (value - self.ewma);
        self.remaining *= (1.0 - a) * (1.0 - a);
        let share = a / (2.0 - a) * (1.0 - self.remaining);
        (self.ewma, settings.width * self.sd * share.sqrt())
    }
}

/// Mean and standard deviation; exactly the value and zero where all values are equal.
fn baseline(values: &[f64]) -> (f64, f64) {
    let first = values[0];
    let (shift, sd) = mean_and_sd(values.iter().map(|value| value - first));
    (first + shift, sd)
}

fn aqi_s(moments: &Moments) -> Result<f64> {
    Ok(Mode::default().score(&moments.dispersion()?)?.value)
}

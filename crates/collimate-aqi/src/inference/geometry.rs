//! What each unit contributes to the moments, and the moments without any one unit, in closed
//! form: two passes over the rows, then `O(k²)` for each unit.

use super::units::Units;
use crate::dispersion::Dispersion;
use crate::element::Element;
use crate::error::{AqiError, Result};
use crate::moments::{Moments, times_power_of_two};
use crate::sample::Sample;
use rayon::prelude::*;

/// The rows of one unit that belong to one class.
pub(crate) struct Part {
    pub(crate) class: usize,
    /// `m`, the number of rows.
    pub(crate) count: f64,
    /// `Σ ‖x − μ_c‖²`.
    squares: f64,
    /// `‖s‖²` with `s = Σ (x − μ_c)`.
    norm: f64,
    /// `s · (μ_c − μ_b)` for every class `b`.
    pub(crate) projections: Vec<f64>,
    /// `s · s'` with the parts of this unit that come before, in their order.
    cross: Vec<f64>,
    /// `s · Σ_h m_hc s_hb` over all units `h`, for every class `b`; empty for single rows.
    counted: Vec<f64>,
}

/// Sums over all units of a grouped sample, for every pair of classes, `[k, k]`.
struct Clusters {
    /// `Σ_h s_ha · s_hb`.
    sums: Vec<f64>,
    /// `Σ_h m_ha m_hb`.
    counts: Vec<f64>,
}

/// Sizes, scatters, gaps and, for grouped rows, the centroids' covariances, of the whole sample
/// and of the sample without any one unit.
pub(crate) struct Geometry {
    whole: Dispersion,
    units: Vec<Vec<Part>>,
    strata: Vec<Vec<usize>>,
    nested: bool,
    clusters: Option<Clusters>,
}

impl Geometry {
    /// # Errors
    /// Those of [`Moments::dispersion`]; [`AqiError::NeedTwoPerClass`] where a grouped sample
    /// has a class in a single group.
    pub(crate) fn new<F: Element>(sample: &Sample<'_, F>, moments: &Moments) -> Result<Self> {
        let whole = moments.dispersion()?;
        let units = Units::new(sample.labels, sample.groups);
        let (strata, nested) = (units.strata(), units.nested());
        let sums_of = |rows: &Vec<usize>| deviation_sums(sample, moments, rows);
        if sample.groups.is_none() {
            let units =
                units.rows().par_iter().map(|rows| parts(&sums_of(rows), moments, None)).collect();
            return Ok(Self { whole, units, strata, nested, clusters: None });
        }
        let sums: Vec<Vec<DeviationSum>> = units.rows().par_iter().map(sums_of).collect();
        let counted = counted_sums(&sums, moments);
        let units = sums.par_iter().map(|sums| parts(sums, moments, Some(&counted))).collect();
        let clusters = Some(Clusters::new(&sums, whole.class_count()));
        let mut geometry = Self { whole, units, strata, nested, clusters };
        geometry.whole.centroid_covariance = Some(geometry.centroid_covariance()?);
        Ok(geometry)
    }

    pub(crate) fn whole(&self) -> &Dispersion {
        &self.whole
    }

    pub(crate) fn units(&self) -> &[Vec<Part>] {
        &self.units
    }

    /// Units of each class, or all units where a group holds several classes.
    pub(crate) fn strata(&self) -> &[Vec<usize>] {
        &self.strata
    }

    /// Whether every unit lies within one class.
    pub(crate) fn nested(&self) -> bool {
        self.nested
    }

    /// Traces of the centroids' covariances, unbiased under independence of the units:
    /// `G/(G−1) Σ_g u_ga · u_gb` with `u_ga = s_ga / n_a` over the `G` units of the stratum.
    fn centroid_covariance(&self) -> Result<Vec<f64>> {
        let Some(clusters) = &self.clusters else { return Ok(Vec::new()) };
        let k = self.whole.class_count();
        let mut covariance = vec![0.0; k * k];
        for a in 0..k {
            for b in (0..k).filter(|&b| !self.nested || a == b) {
                let groups = self.stratum_of(a).len() as f64;
                if groups < 2.0 {
                    let class = self.whole.names[a].clone();
                    return Err(AqiError::NeedTwoPerClass { class, count: 1 });
                }
                covariance[a * k + b] = groups / (groups - 1.0) * clusters.sums[a * k + b]
                    / (self.whole.sizes[a] * self.whole.sizes[b]);
            }
        }
        Ok(covariance)
    }

    fn stratum_of(&self, class: usize) -> &[usize] {
        &self.strata[if self.nested { class } else { 0 }]
    }

    /// The statistics of all rows but those of one unit.
    ///
    /// With `μ'_a = μ_a − s_a/n'_a` and `n'_a = n_a − m_a`: `M2'_a = M2_a − Σ r − ‖s_a‖²/n'_a`,
    /// and the gaps are those of the shifted centroids.
    ///
    /// # Errors
    /// [`AqiError::NeedThreePerClass`] if fewer than two rows, or units, of a class would remain.
    pub(crate) fn without(&self, unit: usize) -> Result<Dispersion> {
        let whole = &self.whole;
        let k = whole.class_count();
        let parts = &self.units[unit];
        let mut rest = whole.clone();
        for part in parts {
            let c = part.class;
            let size = whole.sizes[c] - part.count;
            if size < 2.0 || self.stratum_of(c).len() < 3 {
                return Err(AqiError::NeedThreePerClass { class: whole.names[c].clone() });
            }
            rest.sizes[c] = size;
            rest.effective[c] = size;
            let m2 = whole.m2[c] - part.squares - part.norm / size;
            // Below the rounding of the difference nothing is left.
            rest.m2[c] = if m2 > 4.0 * f64::EPSILON * whole.m2[c] { m2 } else { 0.0 };
        }
        let mut shift = |a: usize, b: usize, by: f64| {
            rest.gaps[a * k + b] += by;
            rest.gaps[b * k + a] += by;
        };
        for (i, part) in parts.iter().enumerate() {
            let (a, size) = (part.class, rest.sizes[part.class]);
            for b in (0..k).filter(|&b| b != a) {
                shift(a, b, part.norm / (size * size) - 2.0 * part.projections[b] / size);
            }
            for (other, cross) in parts[..i].iter().zip(&part.cross) {
                shift(a, other.class, -2.0 * cross / (size * rest.sizes[other.class]));
            }
        }
        rest.gaps.iter_mut().for_each(|gap| *gap = gap.max(0.0));
        if let (Some(clusters), Some(covariance)) = (&self.clusters, &mut rest.centroid_covariance)
        {
            for a in 0..k {
                for b in (0..k).filter(|&b| !self.nested || a == b) {
                    if self.nested && parts.iter().all(|part| part.class != a) {
                        continue;
                    }
                    let groups = self.stratum_of(a).len() as f64;
                    covariance[a * k + b] = (groups - 1.0) / (groups - 2.0)
                        * clusters.without(parts, &rest.sizes, a, b)
                        / (rest.sizes[a] * rest.sizes[b]);
                }
            }
        }
        Ok(rest)
    }

    /// A statistic without each of some units in turn, in their order.
    pub(crate) fn replicates(
        &self,
        units: &[usize],
        statistic: impl Fn(&Dispersion) -> Result<f64> + Sync,
    ) -> Result<Vec<f64>> {
        units.par_iter().map(|&unit| statistic(&self.without(unit)?)).collect()
    }
}

impl Clusters {
    fn new(units: &[Vec<DeviationSum>], k: usize) -> Self {
        let (mut sums, mut counts) = (vec![0.0; k * k], vec![0.0; k * k]);
        for parts in units {
            for a in parts {
                for b in parts {
                    sums[a.class * k + b.class] += dot(&a.sum, &b.sum);
                    counts[a.class * k + b.class] += a.count * b.count;
                }
            }
        }
        Self { sums, counts }
    }

    /// `Σ_{h≠g} s'_ha · s'_hb`, where `s'_ha = s_ha + m_ha s_ga/n'_a` are the deviations from the
    /// centroids without the unit `g` of these parts.
    fn without(&self, parts: &[Part], sizes: &[f64], a: usize, b: usize) -> f64 {
        let k = sizes.len();
        let of = |class: usize| parts.iter().position(|part| part.class == class);
        let (pa, pb) = (of(a), of(b));
        let count = |p: Option<usize>| p.map_or(0.0, |p| parts[p].count);
        let own = match (pa, pb) {
            (Some(p), Some(q)) if p == q => parts[p].norm,
            (Some(p), Some(q)) => parts[p.max(q)].cross[p.min(q)],
            _ => 0.0,
        };
        let counted = |p: Option<usize>, other: usize| p.map_or(0.0, |p| parts[p].counted[other]);
        let (na, nb) = (sizes[a], sizes[b]);
        self.sums[a * k + b] - own
            + (counted(pb, a) - count(pb) * own) / nb
            + (counted(pa, b) - count(pa) * own) / na
            + own * (self.counts[a * k + b] - count(pa) * count(pb)) / (na * nb)
    }
}

/// `s = Σ (x − μ_c)` over the rows of one unit and class.
pub(crate) struct DeviationSum {
    pub(crate) class: usize,
    pub(crate) sum: Vec<f64>,
    count: f64,
    squares: f64,
}

/// The sums of one unit, by ascending class, in the unit of `moments`.
pub(crate) fn deviation_sums<F: Element>(
    sample: &Sample<'_, F>,
    moments: &Moments,
    rows: &[usize],
) -> Vec<DeviationSum> {
    let exponent = moments.exponent.unwrap_or(0);
    let mut sums: Vec<DeviationSum> = Vec::with_capacity(1);
    for &row in rows {
        let class = sample.labels.codes()[row];
        let at = sums.iter().position(|part| part.class == class).unwrap_or_else(|| {
            let sum = vec![0.0; moments.dim];
            sums.push(DeviationSum { class, sum, count: 0.0, squares: 0.0 });
            sums.len() - 1
        });
        let part = &mut sums[at];
        let mean = &moments.classes[class].mean;
        let mut square = 0.0;
        for ((sum, x), mean) in part.sum.iter_mut().zip(sample.rows.row(row)).zip(mean) {
            let x = x.to_f64();
            let x = if exponent == 0 { x } else { times_power_of_two(x, -exponent) };
            let deviation = x - mean;
            *sum += deviation;
            square += deviation * deviation;
        }
        part.squares += square;
        part.count += 1.0;
    }
    sums.sort_by_key(|part| part.class);
    sums
}

/// `Σ_h m_ha s_hb`, `[k · k]` vectors.
fn counted_sums(units: &[Vec<DeviationSum>], moments: &Moments) -> Vec<Vec<f64>> {
    let k = moments.classes.len();
    let mut counted = vec![vec![0.0; moments.dim]; k * k];
    for parts in units {
        for a in parts {
            for b in parts {
                for (total, s) in counted[a.class * k + b.class].iter_mut().zip(&b.sum) {
                    *total += a.count * s;
                }
            }
        }
    }
    counted
}

fn parts(sums: &[DeviationSum], moments: &Moments, counted: Option<&[Vec<f64>]>) -> Vec<Part> {
    let k = moments.classes.len();
    sums.iter()
        .enumerate()
        .map(|(i, DeviationSum { class, sum, count, squares })| {
            let mean = &moments.classes[*class].mean;
            let project = |other: &Vec<f64>| {
                sum.iter().zip(mean.iter().zip(other)).map(|(s, (a, b))| s * (a - b)).sum()
            };
            Part {
                class: *class,
                count: *count,
                squares: *squares,
                norm: dot(sum, sum),
                projections: moments.classes.iter().map(|other| project(&other.mean)).collect(),
                cross: sums[..i].iter().map(|other| dot(sum, &other.sum)).collect(),
                counted: counted.map_or_else(Vec::new, |counted| {
                    (0..k).map(|b| dot(sum, &counted[class * k + b])).collect()
                }),
            }
        })
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Labels;
    use ndarray::{Array2, Axis};

    /// Leaving out in closed form against computing anew, for groups within and across classes.
    #[test]
    fn the_closed_form_equals_computing_anew() -> Result<()> {
        let rows = Array2::from_shape_fn((24, 7), |(i, j)| {
            f64::from(((7919 * i + 104_729 * j + 31 * i * j) % 1000) as u32) * 1e200
        });
        let labels = Labels::new((0..24).map(|i| i % 3))?;
        let across = Labels::new((0..24).map(|i| i / 5))?;
        let within = Labels::new((0..24).map(|i| (i % 3) * 10 + (i / 3) % 4))?;
        let uneven = Labels::new((0..24).map(|i| (i % 3) * 10 + (i * i / 7) % 5))?;
        for groups in [None, Some(&across), Some(&within), Some(&uneven)] {
            let mut sample = Sample::new(rows.view(), &labels)?;
            if let Some(groups) = groups {
                sample = sample.with_groups(groups)?;
            }
            let geometry = Geometry::new(&sample, &Moments::from_rows(rows.view(), &labels)?)?;
            let units = Units::new(&labels, sample.groups);
            for (unit, left) in units.rows().iter().enumerate() {
                let kept: Vec<usize> = (0..24).filter(|row| !left.contains(row)).collect();
                let (rows, labels) = (rows.select(Axis(0), &kept), labels.select(&kept)?);
                let groups = groups.map(|groups| groups.select(&kept)).transpose()?;
                let mut sample = Sample::new(rows.view(), &labels)?;
                if let Some(groups) = &groups {
                    sample = sample.with_groups(groups)?;
                }
                let anew = Geometry::new(&sample, &Moments::from_rows(rows.view(), &labels)?)?;
                let (found, anew) = (geometry.without(unit)?, anew.whole());
                assert_eq!(found.sizes, anew.sizes);
                for (value, expected) in [
                    (found.rho_global()?, anew.rho_global()?),
                    (found.rho_local()?, anew.rho_local()?),
                    (found.calinski_harabasz()?, anew.calinski_harabasz()?),
                    (found.xie_beni(), anew.xie_beni()),
                ] {
                    assert!((value / expected - 1.0).abs() < 1e-9, "{value} {expected}");
                }
            }
        }
        Ok(())
    }

    /// `ρ` without the first row of each class, as published for this set.
    #[test]
    fn leaving_out_one_row_of_a_small_set() -> Result<()> {
        let rows = ndarray::array![
            [0., 0., 0.],
            [3., 0., 0.],
            [0., 3., 0.],
            [6., 6., 6.],
            [7., 6., 6.],
            [6., 8., 6.],
            [6., 6., 9.],
            [10., 9., 8.]
        ];
        let labels = Labels::new([0, 0, 0, 1, 1, 1, 1, 1])?;
        let moments = Moments::from_rows(rows.view(), &labels)?;
        let geometry = Geometry::new(&Sample::new(rows.view(), &labels)?, &moments)?;
        for (unit, expected) in [(0, 0.764_011_799_410_03), (3, 0.818_083_961_248_654)] {
            let rho = geometry.without(unit)?.rho_global()?;
            assert!((rho - expected).abs() < 1e-14, "{rho}");
        }
        Ok(())
    }
}

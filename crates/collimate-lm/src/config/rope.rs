use super::{Fields, RopeScaling, RotaryConfig};
use crate::error::Result;

/// Rotary embeddings as a family's configuration class takes them.
pub(crate) struct Rope<'a> {
    /// Width of a head.
    pub(crate) head_dim: usize,
    /// The older name of the base, outside `rope_parameters`.
    pub(crate) theta: &'a str,
    /// The base that is meant where none is stated.
    pub(crate) default_theta: f64,
    /// Which part of a head is turned: the older name of the fraction, and what is meant where none
    /// is stated; none always turns all.
    pub(crate) partial: Option<(&'a str, f64)>,
    /// Most positions.
    pub(crate) max_position_embeddings: usize,
    /// Longest text of the pretraining, where the class has that outside `rope_parameters`.
    pub(crate) original_max_position_embeddings: Option<usize>,
    /// Whether LongRoPE is the only scaling, of which `su` and `yarn` are older names.
    pub(crate) only_longrope: bool,
}

impl Rope<'_> {
    /// The one rotary embedding of a model: of `rope_scaling` and the fields beside it, or of
    /// `rope_parameters`.
    pub(crate) fn read(&self, fields: &Fields<'_>) -> Result<RotaryConfig> {
        for name in ["rope_scaling", "rope_parameters"] {
            let Some(parameters) = fields.object(name)? else { continue };
            if let Some(kind) = LAYER_TYPES.iter().find(|kind| parameters.has(kind)) {
                return Err(parameters.unsupported(kind));
            }
            return self.of(Some(&parameters), fields);
        }
        self.of(None, fields)
    }

    /// Of some parameters, and of `outer` what they lack.
    pub(crate) fn of(
        &self,
        parameters: Option<&Fields<'_>>,
        outer: &Fields<'_>,
    ) -> Result<RotaryConfig> {
        let inner = |name: &str| parameters.filter(|parameters| parameters.has(name));
        let (at, name) =
            inner("rope_theta").map_or((outer, self.theta), |inner| (inner, "rope_theta"));
        let theta = at.positive(name, self.default_theta)?;
        if theta <= 1.0 {
            return Err(at.error(name, format!("expected a number above 1, found {theta}")));
        }
        let dim = self.dim(parameters, outer)?;
        let scaling = match parameters {
            Some(parameters) => self.scaling(parameters, outer, dim)?,
            None => RopeScaling::None,
        };
        Ok(RotaryConfig { dim, theta, scaling })
    }

    /// How many of a head's numbers are turned.
    fn dim(&self, parameters: Option<&Fields<'_>>, outer: &Fields<'_>) -> Result<usize> {
        const NAME: &str = "partial_rotary_factor";
        let (older, default) = self.partial.unwrap_or((NAME, 1.0));
        let inner = parameters.filter(|parameters| parameters.has(NAME));
        let (at, name) = inner.map_or((outer, older), |inner| (inner, NAME));
        let fraction = at.positive(name, default)?;
        if fraction > 1.0 {
            return Err(at.error(name, format!("expected at most 1, found {fraction}")));
        }
        if fraction < 1.0 && self.partial.is_none() {
            return Err(at.unsupported(name));
        }
        let dim = (self.head_dim as f64 * fraction) as usize;
        if dim == 0 || !dim.is_multiple_of(2) {
            let message = format!("{dim} numbers of each head would be turned, which is not even");
            return Err(if at.has(name) {
                at.error(name, message)
            } else {
                outer.error("head_dim", message)
            });
        }
        Ok(dim)
    }

    fn scaling(&self, fields: &Fields<'_>, outer: &Fields<'_>, dim: usize) -> Result<RopeScaling> {
        if fields.has("mrope_section") {
            return Err(fields.unsupported("mrope_section"));
        }
        let name = if fields.has("rope_type") { "rope_type" } else { "type" };
        let factor = || fields.required("factor");
        let kind = match fields.text(name, "default")? {
            "su" | "yarn" if self.only_longrope => "longrope",
            kind => kind,
        };
        Ok(match kind {
            "default" => RopeScaling::None,
            "longrope" => self.longrope(fields, outer, dim)?,
            _ if self.only_longrope => return Err(fields.unsupported(name)),
            "linear" => RopeScaling::Linear { factor: factor()? },
            "dynamic" => {
                if dim <= 2 {
                    let message =
                        format!("needs more than 2 turned numbers of each head, has {dim}");
                    return Err(fields.error(name, message));
                }
                let max_position_embeddings = self.max_position_embeddings;
                RopeScaling::Dynamic { factor: factor()?, max_position_embeddings }
            }
            "llama3" => {
                let low_freq_factor = fields.required("low_freq_factor")?;
                let high_freq_factor = fields.required("high_freq_factor")?;
                if high_freq_factor <= low_freq_factor {
                    let message = format!("expected more than low_freq_factor, {low_freq_factor}");
                    return Err(fields.error("high_freq_factor", message));
                }
                RopeScaling::Llama3 {
                    factor: factor()?,
                    low_freq_factor,
                    high_freq_factor,
                    original_max_position_embeddings: self.original(fields, outer)?,
                }
            }
            "yarn" => self.yarn(fields, outer)?,
            _ => return Err(fields.unsupported(name)),
        })
    }

    fn yarn(&self, fields: &Fields<'_>, outer: &Fields<'_>) -> Result<RopeScaling> {
        let original_max_position_embeddings = self.original(fields, outer)?;
        let factor = self.factor(fields, original_max_position_embeddings)?;
        let or =
            |name, default| fields.positive_or_none(name, None).map(|beta| beta.unwrap_or(default));
        let logarithm =
            |scale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 };
        let mscale = fields.positive_or_none("mscale", None)?;
        let mscale_all_dim = fields.positive_or_none("mscale_all_dim", None)?;
        let attention_factor = match (mscale, mscale_all_dim) {
            (Some(mscale), Some(all)) => logarithm(mscale) / logarithm(all),
            _ => logarithm(1.0),
        };
        Ok(RopeScaling::Yarn {
            factor,
            original_max_position_embeddings,
            beta_fast: or("beta_fast", 32.0)?,
            beta_slow: or("beta_slow", 1.0)?,
            truncate: fields.flag("truncate", true)?,
            attention_factor: or("attention_factor", attention_factor)?,
        })
    }

    fn longrope(&self, fields: &Fields<'_>, outer: &Fields<'_>, dim: usize) -> Result<RopeScaling> {
        let original = self.original(fields, outer)?;
        let factor = self.factor(fields, original)?;
        let attention_factor = match fields.positive_or_none("attention_factor", None)? {
            Some(factor) => factor,
            None if factor <= 1.0 => 1.0,
            None => (1.0 + factor.ln() / (original as f64).ln()).sqrt(),
        };
        if !attention_factor.is_finite() {
            let message = format!("no attention_factor follows from {original}; state it");
            return Err(fields.error("original_max_position_embeddings", message));
        }
        Ok(RopeScaling::Longrope {
            short_factor: fields.numbers("short_factor", dim / 2)?,
            long_factor: fields.numbers("long_factor", dim / 2)?,
            original_max_position_embeddings: original,
            attention_factor,
        })
    }

    /// `factor`, or how many times longer texts became.
    fn factor(&self, fields: &Fields<'_>, original: usize) -> Result<f64> {
        let implied = self.max_position_embeddings as f64 / original as f64;
        fields.positive_or_none("factor", None).map(|factor| factor.unwrap_or(implied))
    }

    /// Longest text of the pretraining: what stands outside `rope_parameters` comes first.
    fn original(&self, fields: &Fields<'_>, outer: &Fields<'_>) -> Result<usize> {
        const NAME: &str = "original_max_position_embeddings";
        if let Some(original) = self.original_max_position_embeddings {
            return Ok(original);
        }
        let at = if outer.has(NAME) { outer } else { fields };
        at.size(NAME, self.max_position_embeddings)
    }
}

/// Where rotary embeddings differ from layer to layer, their parameters lie under these.
const LAYER_TYPES: [&str; 2] = ["full_attention", "sliding_attention"];

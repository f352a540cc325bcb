use crate::config::{Fields, LayerConfig};
use crate::error::Result;

const FULL: &str = "full_attention";
const SLIDING: &str = "sliding_attention";

/// Layers that are all alike.
pub(super) fn alike(
    fields: &Fields<'_>,
    count: usize,
    rotary: Option<usize>,
    sliding_window: Option<usize>,
) -> Result<Vec<LayerConfig>> {
    let kind = if sliding_window.is_some() { SLIDING } else { FULL };
    // A family that has one kind takes no list of kinds, whatever it says.
    if let Some(kinds) = fields.texts("layer_types")?
        && kinds.iter().any(|other| *other != kind)
    {
        let message = format!("all layers of this model type have {kind}");
        return Err(fields.error("layer_types", message));
    }
    Ok(vec![LayerConfig { rotary, sliding_window }; count])
}

/// Layers of which some have a sliding window, and a rotary embedding of their own.
pub(super) struct Alternating {
    pub(super) count: usize,
    pub(super) sliding_window: Option<usize>,
    /// The rotary embedding of layers with a window, and of those without.
    pub(super) rotary: [usize; 2],
}

impl Alternating {
    /// As `layer_types` says; without it `slides` says which layers have a window.
    pub(super) fn read(
        &self,
        fields: &Fields<'_>,
        slides: impl Fn(usize) -> bool,
    ) -> Result<Vec<LayerConfig>> {
        const NAME: &str = "layer_types";
        let slides: Vec<bool> =
            match fields.texts(NAME)? {
                None => (0..self.count).map(slides).collect(),
                Some(kinds) if kinds.len() != self.count => {
                    let message = format!("expected {} of them, found {}", self.count, kinds.len());
                    return Err(fields.error(NAME, message));
                }
                Some(kinds) => kinds
                    .iter()
                    .map(|kind| match *kind {
                        FULL => Ok(false),
                        SLIDING => Ok(true),
                        _ => Err(fields
                            .error(NAME, format!("expected {FULL} or {SLIDING} of each layer"))),
                    })
                    .collect::<Result<_>>()?,
            };
        if self.sliding_window.is_none() && slides.contains(&true) {
            let message = "layers with a window need its size".to_owned();
            return Err(fields.error("sliding_window", message));
        }
        let [sliding, full] = self.rotary;
        let layer = |slides| match slides {
            true => LayerConfig { rotary: Some(sliding), sliding_window: self.sliding_window },
            false => LayerConfig { rotary: Some(full), sliding_window: None },
        };
        Ok(slides.into_iter().map(layer).collect())
    }
}

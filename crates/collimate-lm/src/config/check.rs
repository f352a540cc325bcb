use std::path::Path;

use super::{AttentionConfig, DecoderConfig, RotaryConfig};
use crate::error::{LmError, Result};

/// Most numbers of one tensor.
const MAX_NUMBERS: u128 = 1 << 40;
/// Widest head.
const MAX_HEAD_DIM: usize = 1 << 16;

impl DecoderConfig {
    /// That the parts fit each other, so that no size can overflow where they are multiplied.
    ///
    /// # Errors
    ///
    /// What does not fit.
    pub(crate) fn check(&self, path: &Path) -> Result<()> {
        let error = |field: &str, message: String| LmError::Config {
            path: path.to_owned(),
            field: field.to_owned(),
            message,
        };
        let AttentionConfig { num_attention_heads, num_key_value_heads, head_dim, .. } =
            self.attention;
        if num_key_value_heads == 0 || !num_attention_heads.is_multiple_of(num_key_value_heads) {
            let message = format!(
                "{num_key_value_heads} don't divide num_attention_heads, {num_attention_heads}"
            );
            return Err(error("num_key_value_heads", message));
        }
        if head_dim > MAX_HEAD_DIM {
            return Err(error(
                "head_dim",
                format!("expected at most {MAX_HEAD_DIM}, found {head_dim}"),
            ));
        }
        let heads = num_attention_heads as u128 * head_dim as u128;
        let rows = [
            ("vocab_size", self.vocab_size as u128),
            ("intermediate_size", 2 * self.intermediate_size as u128),
            ("num_attention_heads", 3 * heads),
            ("max_position_embeddings", self.max_position_embeddings as u128),
        ];
        for (field, rows) in rows {
            let positions = field == "max_position_embeddings" && !self.learned_positions;
            if !positions && rows * self.hidden_size as u128 > MAX_NUMBERS {
                let message =
                    format!("a tensor would have {rows} rows of {} numbers", self.hidden_size);
                return Err(error(field, message));
            }
        }
        if !self.rotaries.iter().all(|rotary| self.turns(rotary)) {
            let message = "frequencies would not be finite".to_owned();
            return Err(error("rope_parameters", message));
        }
        Ok(())
    }

    /// Whether all frequencies are finite.
    fn turns(&self, rotary: &RotaryConfig) -> bool {
        [1, self.max_position_embeddings, self.max_position_embeddings + 1].into_iter().all(
            |sequence| {
                let frequencies = rotary.frequencies(sequence);
                frequencies.attention_factor.is_finite()
                    && frequencies.inverse.iter().all(|frequency| frequency.is_finite())
            },
        )
    }
}

use crate::config::TargetModules;
use crate::error::{PeftError, Result};

/// The modules that PEFT adapts in models of a type, the `model_type` of their `config.json`,
/// unless told otherwise: the projections of queries and values.
///
/// They are few. `all-linear` learns more, at the price of more parameters.
///
/// # Errors
///
/// [`PeftError::NoDefaultTargets`] for types of which PEFT 0.21.2 or this crate knows none, Phi-3
/// among them.
///
/// # Examples
///
/// ```
/// use collimate_peft::{TargetModules, default_target_modules};
///
/// assert_eq!(default_target_modules("llama")?, TargetModules::list(["q_proj", "v_proj"]));
/// assert!(default_target_modules("phi3").is_err());
/// # Ok::<(), collimate_peft::PeftError>(())
/// ```
pub fn default_target_modules(model_type: &str) -> Result<TargetModules> {
    match model_type {
        "llama" | "mistral" | "mixtral" | "qwen2" | "qwen3" | "gemma" | "gemma2"
        | "gemma3_text" => Ok(TargetModules::list(["q_proj", "v_proj"])),
        "gpt2" => Ok(TargetModules::list(["c_attn"])),
        "gpt_neox" => Ok(TargetModules::list(["query_key_value"])),
        _ => Err(PeftError::NoDefaultTargets { model_type: model_type.to_owned() }),
    }
}

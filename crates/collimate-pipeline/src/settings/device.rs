use std::path::Path;
use std::sync::atomic::AtomicBool;

use collimate_lm::{Decoder, DeviceError, LoadEvent, parse_device, parse_dtype};

use crate::error::{PipelineError, Result};
use crate::recipe::{CheckedRecipe, WeightDtype};

impl CheckedRecipe {
    /// The name of the type of the weights while a model runs.
    pub(crate) fn dtype(&self) -> &'static str {
        match self.recipe().dtype {
            WeightDtype::F32 => "f32",
            WeightDtype::Bf16 => "bf16",
            WeightDtype::F16 => "f16",
        }
    }

    /// That there is the device, before anything is done.
    ///
    /// # Errors
    ///
    /// [`PipelineError::Setting`]: there is none of this name.
    pub(crate) fn check_device(&self) -> Result<()> {
        parse_device(&self.recipe().device).map(drop).map_err(refused("device"))
    }

    /// Loads the model of a folder to where the recipe has it run.
    ///
    /// # Errors
    ///
    /// As [`CheckedRecipe::check_device`]; [`PipelineError::Lm`].
    pub(crate) fn load(
        &self,
        folder: &Path,
        cancelled: &AtomicBool,
        observer: &mut dyn FnMut(&LoadEvent),
    ) -> Result<Decoder> {
        let device = parse_device(&self.recipe().device).map_err(refused("device"))?;
        let dtype = parse_dtype(self.dtype()).map_err(refused("dtype"))?;
        Ok(Decoder::load_watched(folder, &device, dtype, cancelled, observer)?)
    }
}

fn refused(field: &'static str) -> impl FnOnce(DeviceError) -> PipelineError {
    move |error| PipelineError::Setting { field, message: format!("can't be had: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::testing::checked;

    #[test]
    fn each_type_is_known_to_the_models() {
        for word in ["f32", "bf16", "f16"] {
            let recipe = checked(&format!("dtype: {word}"));
            assert_eq!(recipe.dtype(), word);
            assert!(parse_dtype(recipe.dtype()).is_ok());
        }
        assert_eq!(checked("").dtype(), "f32");
    }

    #[test]
    fn a_device_that_is_not_there_is_told_with_those_that_are() {
        #[cfg(feature = "flex")]
        checked("").check_device().unwrap();
        let recipe = checked("device: tpu");
        let error = recipe.check_device().unwrap_err().to_string();
        assert!(error.starts_with("`device` can't be had: 'tpu' names no device;"), "{error}");
        let cancelled = AtomicBool::new(false);
        let loaded = recipe.load("nowhere".as_ref(), &cancelled, &mut |_| {});
        assert_eq!(loaded.unwrap_err().to_string(), error);
    }
}

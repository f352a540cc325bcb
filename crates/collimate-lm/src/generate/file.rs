use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::GenerationConfig;
use crate::error::{LmError, Result};

/// A `generation_config.json`: the settings that a model comes with.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GenerationFile {
    /// The settings; what the file doesn't say is as in [`GenerationConfig::default`].
    pub config: GenerationConfig,
    /// The keys that transformers does not know either, sorted.
    pub ignored: Vec<String>,
}

/// The largest file that is read.
const LARGEST: u64 = 1 << 20;

impl GenerationFile {
    /// Reads a `generation_config.json`.
    ///
    /// # Errors
    /// [`LmError::Io`]; as for [`GenerationFile::from_json`]; [`LmError::Config`] for what is not a regular
    /// file or has more than 1 MiB.
    pub fn read(path: &Path) -> Result<Self> {
        let io = |source| LmError::Io { path: path.to_owned(), source };
        let refuse = |message: &str| {
            let (path, field) = (path.to_owned(), "the file".to_owned());
            LmError::Config { path, field, message: message.to_owned() }
        };
        // What is not a regular file is never opened: a pipe would block.
        if !fs::metadata(path).map_err(io)?.is_file() {
            return Err(refuse("is not a regular file"));
        }
        let mut json = Vec::new();
        File::open(path).map_err(io)?.take(LARGEST + 1).read_to_end(&mut json).map_err(io)?;
        if json.len() as u64 > LARGEST {
            return Err(refuse("has more than 1 MiB"));
        }
        Self::from_json(&json, path)
    }

    /// Reads the bytes of a `generation_config.json`; the path is for messages.
    ///
    /// What changes the result and is not supported, as beam search, is an error. What only concerns
    /// speed, memory or the form of the output does not count.
    ///
    /// ```
    /// use collimate_lm::GenerationFile;
    ///
    /// let read = |json: &str| GenerationFile::from_json(json.as_bytes(), "config".as_ref());
    /// let file = read(r#"{"do_sample": true, "top_p": 0.9, "eos_token_id": [2, 7]}"#)?;
    /// assert_eq!(file.config.eos_token_ids, [2, 7]);
    /// assert_eq!(
    ///     read(r#"{"num_beams": 4}"#).unwrap_err().to_string(),
    ///     "config: num_beams: is 4, which is not supported; set it to 1"
    /// );
    /// # Ok::<(), collimate_lm::LmError>(())
    /// ```
    ///
    /// # Errors
    /// [`LmError::Json`], and [`LmError::Config`] for a key that is not supported or has the wrong type.
    pub fn from_json(json: &[u8], path: &Path) -> Result<Self> {
        let fields: Map<String, Value> = serde_json::from_slice(json)
            .map_err(|source| LmError::Json { path: path.to_owned(), source })?;
        let fields = Fields { fields, path };
        for &(field, neutral) in UNSUPPORTED {
            fields.refuse_unless(field, neutral)?;
        }
        let default = GenerationConfig::default();
        let config = GenerationConfig {
            max_new_tokens: fields.read("max_new_tokens")?,
            max_length: fields.read("max_length")?,
            do_sample: fields.read("do_sample")?.unwrap_or(default.do_sample),
            temperature: fields.read("temperature")?.unwrap_or(default.temperature),
            top_k: fields.read("top_k")?.unwrap_or(default.top_k),
            top_p: fields.read("top_p")?.unwrap_or(default.top_p),
            min_p: fields.read("min_p")?.unwrap_or(default.min_p),
            repetition_penalty: fields
                .read("repetition_penalty")?
                .unwrap_or(default.repetition_penalty),
            eos_token_ids: fields.one_or_more("eos_token_id")?,
            stop_strings: fields.one_or_more("stop_strings")?,
            ..default
        };
        let known = |key: &&String| {
            READ.contains(&key.as_str())
                || HARMLESS.contains(&key.as_str())
                || UNSUPPORTED.iter().any(|(field, _)| field == key)
        };
        let mut ignored: Vec<String> =
            fields.fields.keys().filter(|key| !known(key)).cloned().collect();
        ignored.sort_unstable();
        Ok(Self { config, ignored })
    }
}

struct Fields<'a> {
    fields: Map<String, Value>,
    path: &'a Path,
}

impl Fields<'_> {
    /// As in transformers, null is as if nothing was said.
    fn value(&self, field: &str) -> Option<&Value> {
        self.fields.get(field).filter(|value| !value.is_null())
    }

    fn read<T: DeserializeOwned>(&self, field: &str) -> Result<Option<T>> {
        let read = |value: &Value| {
            T::deserialize(value).map_err(|error| self.error(field, format!("{error}")))
        };
        self.value(field).map(read).transpose()
    }

    fn one_or_more<T: DeserializeOwned>(&self, field: &str) -> Result<Vec<T>> {
        match self.value(field) {
            Some(Value::Array(_)) => Ok(self.read(field)?.unwrap_or_default()),
            _ => Ok(self.read(field)?.into_iter().collect()),
        }
    }

    fn refuse_unless(&self, field: &str, neutral: Neutral) -> Result<()> {
        let Some(value) = self.value(field) else { return Ok(()) };
        let (harmless, remedy) = match neutral {
            Neutral::Absent => (value.as_array().is_some_and(Vec::is_empty), "remove it"),
            Neutral::Off => (*value == Value::Bool(false), "set it to false"),
            Neutral::Zero => (value.as_f64() == Some(0.0), "set it to 0"),
            Neutral::One => (value.as_f64() == Some(1.0), "set it to 1"),
            Neutral::Exact => (value.as_str() != Some("quantized"), "remove it"),
        };
        if harmless {
            return Ok(());
        }
        let mut shown: String = value.to_string().chars().take(60).collect();
        if shown.len() < value.to_string().len() {
            shown.push('…');
        }
        Err(self.error(field, format!("is {shown}, which is not supported; {remedy}")))
    }

    fn error(&self, field: &str, message: String) -> LmError {
        LmError::Config { path: self.path.to_owned(), field: field.to_owned(), message }
    }
}

/// The value with which a key changes nothing; null always does.
#[derive(Clone, Copy)]
enum Neutral {
    /// None but null, or an empty list.
    Absent,
    Off,
    Zero,
    One,
    /// All that don't round keys and values.
    Exact,
}

/// Keys that change the result.
const UNSUPPORTED: &[(&str, Neutral)] = &[
    ("assistant_ensemble_weight", Neutral::Absent),
    ("bad_words_ids", Neutral::Absent),
    ("begin_suppress_tokens", Neutral::Absent),
    ("cache_implementation", Neutral::Exact),
    ("constraints", Neutral::Absent),
    ("diversity_penalty", Neutral::Zero),
    ("dola_layers", Neutral::Absent),
    ("encoder_no_repeat_ngram_size", Neutral::Zero),
    ("encoder_repetition_penalty", Neutral::One),
    ("epsilon_cutoff", Neutral::Zero),
    ("eta_cutoff", Neutral::Zero),
    ("exponential_decay_length_penalty", Neutral::Absent),
    ("force_words_ids", Neutral::Absent),
    ("forced_bos_token_id", Neutral::Absent),
    ("forced_eos_token_id", Neutral::Absent),
    ("guidance_scale", Neutral::One),
    ("max_time", Neutral::Absent),
    ("min_length", Neutral::Zero),
    ("min_new_tokens", Neutral::Zero),
    ("no_repeat_ngram_size", Neutral::Zero),
    ("num_beam_groups", Neutral::One),
    ("num_beams", Neutral::One),
    ("num_return_sequences", Neutral::One),
    ("penalty_alpha", Neutral::Zero),
    ("sequence_bias", Neutral::Absent),
    ("suppress_tokens", Neutral::Absent),
    ("token_healing", Neutral::Off),
    ("top_h", Neutral::Absent),
    ("typical_p", Neutral::One),
    ("watermarking_config", Neutral::Absent),
];

/// Keys that become settings.
const READ: &[&str] = &[
    "do_sample",
    "eos_token_id",
    "max_length",
    "max_new_tokens",
    "min_p",
    "repetition_penalty",
    "stop_strings",
    "temperature",
    "top_k",
    "top_p",
];

/// Keys that change nothing: they say how fast or in what form, or count in beam search only, or turn
/// what is an error here into something else.
const HARMLESS: &[&str] = &[
    "_commit_hash",
    "_from_model_config",
    "assistant_confidence_threshold",
    "assistant_early_exit",
    "assistant_lookbehind",
    "bos_token_id",
    "cache_config",
    "compile_config",
    "continuous_batching_config",
    "decoder_start_token_id",
    "disable_compile",
    "early_stopping",
    "is_assistant",
    "length_penalty",
    "low_memory",
    "max_cache_len",
    "max_matching_ngram_size",
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "output_attentions",
    "output_hidden_states",
    "output_logits",
    "output_scores",
    "pad_token_id",
    "prefill_chunk_size",
    "prompt_lookup_num_tokens",
    "remove_invalid_values",
    "renormalize_logits",
    "return_dict_in_generate",
    "speculation_type",
    "target_lookbehind",
    "transformers_version",
    "use_cache",
    "use_mtp",
];

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    fn read(json: &str) -> Result<GenerationFile> {
        GenerationFile::from_json(json.as_bytes(), Path::new("generation_config.json"))
    }

    fn refused(json: &str) -> String {
        match read(json) {
            Err(LmError::Config { field, .. }) => field,
            other => panic!("{json}: {other:?}"),
        }
    }

    #[test]
    fn what_counts_is_read() {
        let file = read(
            r#"{"bos_token_id": 1, "do_sample": true, "eos_token_id": 2, "max_length": 4096,
                "pad_token_id": 0, "repetition_penalty": 1.05, "temperature": 1, "top_k": 20,
                "top_p": 0.8, "min_p": null, "stop_strings": "User:", "num_beams": 1,
                "transformers_version": "5.23.0"}"#,
        );
        let expected = GenerationConfig::default()
            .with_do_sample(true)
            .with_eos_token_ids([2])
            .with_max_length(4096)
            .with_repetition_penalty(1.05)
            .with_top_k(20)
            .with_top_p(0.8)
            .with_stop_strings(["User:".to_owned()]);
        assert_eq!(file.unwrap(), GenerationFile { config: expected, ignored: vec![] });
        assert_eq!(read("{}").unwrap().config, GenerationConfig::default());
    }

    #[test]
    fn every_key_that_changes_the_result_is_refused() {
        for (field, neutral) in UNSUPPORTED {
            let (harmless, other) = match neutral {
                Neutral::Absent => ("[]", "[7]"),
                Neutral::Off => ("false", "true"),
                Neutral::Zero => ("0", "0.5"),
                Neutral::One => ("1.0", "4"),
                Neutral::Exact => ("\"static\"", "\"quantized\""),
            };
            assert!(read(&format!(r#"{{"{field}": {harmless}}}"#)).is_ok(), "{field}");
            assert!(read(&format!(r#"{{"{field}": null}}"#)).is_ok(), "{field}");
            assert_eq!(refused(&format!(r#"{{"{field}": {other}}}"#)), *field);
        }
    }

    #[test]
    fn every_key_of_transformers_is_known() {
        let reference = include_str!("../../tests/fixtures/sampling.json");
        let reference: Value = serde_json::from_str(reference).unwrap();
        let keys: Vec<String> = Vec::deserialize(&reference["keys"]).unwrap();
        assert!(keys.len() > 60);
        let nothing = keys.into_iter().map(|key| (key, Value::Null)).collect();
        let file = read(&Value::Object(nothing).to_string()).unwrap();
        assert_eq!(file.ignored, [""; 0]);
    }

    #[test]
    fn wrong_types_are_refused() {
        for (json, field) in [
            (r#"{"top_k": -1}"#, "top_k"),
            (r#"{"top_k": 1.5}"#, "top_k"),
            (r#"{"temperature": "hot"}"#, "temperature"),
            (r#"{"eos_token_id": [1, -2]}"#, "eos_token_id"),
            (r#"{"eos_token_id": 4294967296}"#, "eos_token_id"),
            (r#"{"stop_strings": [1]}"#, "stop_strings"),
            (r#"{"do_sample": 1}"#, "do_sample"),
        ] {
            assert_eq!(refused(json), field);
        }
        assert!(matches!(read("[]"), Err(LmError::Json { .. })));
        assert!(matches!(read("{"), Err(LmError::Json { .. })));
    }

    #[test]
    fn keys_that_nobody_knows_are_reported() {
        let file =
            read(r#"{"max_window_size": 1, "chat_format": "x", "use_cache": true}"#).unwrap();
        assert_eq!(file.ignored, ["chat_format", "max_window_size"]);
    }

    #[test]
    fn only_small_regular_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(GenerationFile::read(folder.path()), Err(LmError::Config { .. })));
        let path = folder.path().join("generation_config.json");
        assert!(matches!(GenerationFile::read(&path), Err(LmError::Io { .. })));
        fs::write(&path, format!("{{{}}}", " ".repeat(LARGEST as usize))).unwrap();
        assert!(matches!(GenerationFile::read(&path), Err(LmError::Config { .. })));
        fs::write(&path, r#"{"top_k": 3}"#).unwrap();
        assert_eq!(GenerationFile::read(&path).unwrap().config.top_k, 3);
    }
}

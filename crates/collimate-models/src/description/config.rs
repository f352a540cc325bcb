//! `config.json`, read once for all that it says.

use super::alignment::AlignmentInfo;
use super::architecture::{Architecture, Quantization};
use super::families::{self, Unstated};
use super::fields::{Fields, Report, Schema, Value};
use super::json;
use crate::folder::Folder;
use crate::problem::Problem;

/// Its name.
pub(super) const FILE: &str = "config.json";

const LAYERS: &[&str] =
    &["num_hidden_layers", "n_layer", "num_layers", "n_layers", "decoder_layers"];
const HIDDEN_SIZE: &[&str] = &["hidden_size", "n_embd", "n_embed", "d_model", "dim", "emb_dim"];
const INTERMEDIATE_SIZE: &[&str] = &[
    "intermediate_size",
    "n_inner",
    "ffn_dim",
    "ffn_hidden_size",
    "d_ff",
    "hidden_dim",
    "decoder_ffn_dim",
];
const HEADS: &[&str] = &[
    "num_attention_heads",
    "n_head",
    "n_heads",
    "num_heads",
    "decoder_attention_heads",
    "attention_heads",
];
const KEY_VALUE_HEADS: &[&str] =
    &["num_key_value_heads", "n_head_kv", "num_kv_heads", "multi_query_group_num"];
const HEAD_DIM: &[&str] = &["head_dim", "kv_channels", "d_kv"];
const VOCABULARY: &[&str] = &["vocab_size", "padded_vocab_size"];
const CONTEXT: &[&str] = &[
    "max_position_embeddings",
    "n_positions",
    "n_ctx",
    "max_seq_len",
    "max_sequence_length",
    "seq_length",
];
/// Where the language model of a model for several kinds of input stands.
const TEXT: &[&str] = &["text_config", "language_config", "llm_config"];
/// Families that share one key and value head unless `multi_query` says otherwise.
const MULTI_QUERY: [&str; 2] = ["falcon", "gpt_bigcode"];

static SCHEMA: Schema = Schema(&[
    ("aligned_model", None),
    ("alignment_technique", None),
    ("alignment_timestamp", None),
    ("architectures", None),
    ("attention_heads", None),
    ("d_ff", None),
    ("d_kv", None),
    ("d_model", None),
    ("decoder_attention_heads", None),
    ("decoder_ffn_dim", None),
    ("decoder_layers", None),
    ("dim", None),
    ("display_name", None),
    ("dtype", None),
    ("emb_dim", None),
    ("ffn_dim", None),
    ("ffn_hidden_size", None),
    ("head_dim", None),
    ("hidden_dim", None),
    ("hidden_size", None),
    ("intermediate_size", None),
    ("kv_channels", None),
    ("language_config", Some(&SCHEMA)),
    ("llm_config", Some(&SCHEMA)),
    ("max_position_embeddings", None),
    ("max_seq_len", None),
    ("max_sequence_length", None),
    ("model_name", None),
    ("model_type", None),
    ("multi_query", None),
    ("multi_query_group_num", None),
    ("n_ctx", None),
    ("n_embd", None),
    ("n_embed", None),
    ("n_head", None),
    ("n_head_kv", None),
    ("n_heads", None),
    ("n_inner", None),
    ("n_layer", None),
    ("n_layers", None),
    ("n_positions", None),
    ("new_decoder_architecture", None),
    ("num_attention_heads", None),
    ("num_heads", None),
    ("num_hidden_layers", None),
    ("num_key_value_heads", None),
    ("num_kv_heads", None),
    ("num_layers", None),
    ("padded_vocab_size", None),
    ("parent_model", None),
    ("parent_model_name", None),
    ("quantization_config", Some(&QUANTIZATION)),
    ("seq_length", None),
    ("text_config", Some(&SCHEMA)),
    ("tie_word_embeddings", None),
    ("torch_dtype", None),
    ("vocab_size", None),
]);

static QUANTIZATION: Schema = Schema(&[
    ("bits", None),
    ("load_in_4bit", None),
    ("load_in_8bit", None),
    ("quant_method", None),
]);

/// What `config.json` says.
pub(super) struct Config(Fields);

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    ///
    /// The problem, where it can't be read or is not an object.
    pub(super) fn read(folder: &Folder) -> Result<Self, Problem> {
        json::read(folder, FILE, &SCHEMA).map(Self)
    }

    /// Reads its bytes.
    ///
    /// # Errors
    ///
    /// [`Problem::Invalid`] or [`Problem::LfsPointer`].
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        json::parse(FILE, bytes, &SCHEMA).map(Self)
    }

    /// Layers, sizes and types.
    pub(super) fn architecture(&self, problems: &mut Vec<Problem>) -> Architecture {
        let report = &mut Report { file: FILE, problems };
        let outer = &self.0;
        let inner = TEXT.iter().find_map(|key| outer.object(key, report));
        let level = Levels { inner, outer };

        let model_type = outer.text("model_type", report).map(str::to_owned);
        let inner_type = inner.and_then(|inner| inner.text("model_type", report));
        let family = inner_type.or(model_type.as_deref());
        let defaults = family.and_then(families::find);

        let hidden_size = level.size(HIDDEN_SIZE, report);
        let attention_heads = level.size(HEADS, report);
        let key_value_heads = level.key_value_heads(family, attention_heads, report);
        let head_dim = level.size(HEAD_DIM, report).or_else(|| {
            match level.default(HEAD_DIM, defaults.map(|family| family.head_dim)) {
                Unstated::Is(size) => Some(size),
                Unstated::Derived => hidden_size
                    .zip(attention_heads)
                    .and_then(|(width, heads)| (width % heads == 0).then(|| width / heads)),
                Unstated::Unknown => None,
            }
        });
        let tied_embeddings = outer
            .flag("tie_word_embeddings", report)
            .or_else(|| inner?.flag("tie_word_embeddings", report))
            .or_else(|| families::find(model_type.as_deref()?)?.tied);
        Architecture {
            name: outer.texts("architectures", report).into_iter().next(),
            layers: level.size(LAYERS, report),
            hidden_size,
            intermediate_size: level.size(INTERMEDIATE_SIZE, report),
            attention_heads,
            key_value_heads,
            head_dim,
            vocabulary: level.size(VOCABULARY, report),
            context_length: level.size(CONTEXT, report),
            dtype: level.text(&["dtype", "torch_dtype"], report),
            tied_embeddings,
            quantization: level.quantization(report),
            model_type,
        }
    }

    /// How the model was aligned, if it says that it was, or names a parent.
    pub(super) fn alignment(&self, problems: &mut Vec<Problem>) -> Option<AlignmentInfo> {
        AlignmentInfo::from_fields(&self.0, &mut Report { file: FILE, problems })
    }

    /// The keys for a name for people: `display_name`, then `model_name`.
    pub(super) fn names(&self, problems: &mut Vec<Problem>) -> [Option<&str>; 2] {
        let report = &mut Report { file: FILE, problems };
        ["display_name", "model_name"].map(|key| self.0.text(key, report))
    }
}

/// The whole configuration, and the part of the language model where there is one.
struct Levels<'a> {
    inner: Option<&'a Fields>,
    outer: &'a Fields,
}

impl<'a> Levels<'a> {
    fn each(&self) -> impl Iterator<Item = &'a Fields> {
        self.inner.into_iter().chain([self.outer])
    }

    /// The first of some keys that is stated, in the inner part if it stands there.
    fn size(&self, keys: &[&str], report: &mut Report<'_>) -> Option<u64> {
        self.each().find_map(|fields| keys.iter().find_map(|key| fields.size(key, report)))
    }

    fn text(&self, keys: &[&str], report: &mut Report<'_>) -> Option<String> {
        let found =
            self.each().find_map(|fields| keys.iter().find_map(|key| fields.text(key, report)));
        found.map(str::to_owned)
    }

    fn flag(&self, key: &str, report: &mut Report<'_>) -> Option<bool> {
        self.each().find_map(|fields| fields.flag(key, report))
    }

    /// What holds where none of some keys states a value: they follow from the other sizes if one
    /// of them says `null`, or if the family is not known.
    fn default(&self, keys: &[&str], of_family: Option<Unstated>) -> Unstated {
        let mut stated = self.each().flat_map(|fields| keys.iter().map(|key| fields.get(key)));
        if stated.any(|value| *value != Value::Absent && *value != Value::Null) {
            // Of the wrong kind, or different from layer to layer.
            return Unstated::Unknown;
        }
        let mut stated = self.each().flat_map(|fields| keys.iter().map(|key| fields.get(key)));
        if stated.any(|value| *value == Value::Null) {
            return Unstated::Derived;
        }
        of_family.unwrap_or(Unstated::Derived)
    }

    fn key_value_heads(
        &self,
        family: Option<&str>,
        heads: Option<u64>,
        report: &mut Report<'_>,
    ) -> Option<u64> {
        let by_default = family.is_some_and(|family| MULTI_QUERY.contains(&family));
        let shared = self.flag("multi_query", report).unwrap_or(by_default);
        if shared && self.flag("new_decoder_architecture", report) != Some(true) {
            return Some(1);
        }
        if let Some(stated) = self.size(KEY_VALUE_HEADS, report) {
            return Some(stated);
        }
        let defaults = family.and_then(families::find).map(|family| family.key_value_heads);
        match self.default(KEY_VALUE_HEADS, defaults) {
            Unstated::Is(number) => Some(number),
            Unstated::Derived => heads,
            Unstated::Unknown if family == Some("gpt_bigcode") => heads,
            Unstated::Unknown => None,
        }
    }

    fn quantization(&self, report: &mut Report<'_>) -> Option<Quantization> {
        let key = "quantization_config";
        let found = self.outer.object(key, report);
        let fields = found.or_else(|| self.inner?.object(key, report))?;
        let four = fields.flag("load_in_4bit", report) == Some(true);
        let eight = fields.flag("load_in_8bit", report) == Some(true);
        let stated = fields.text("quant_method", report).map(str::to_owned);
        let method = stated.unwrap_or_else(|| {
            if four || eight {
                return "bitsandbytes".to_owned();
            }
            if matches!(fields.get("quant_method"), Value::Absent | Value::Null | Value::Text(_)) {
                report.field(fields, "quant_method", "is missing".to_owned());
            }
            "unknown".to_owned()
        });
        let loaded = if four { Some(4) } else { eight.then_some(8) };
        Some(Quantization { method, bits: fields.size("bits", report).or(loaded) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: &str) -> (Architecture, Vec<String>) {
        let mut problems = Vec::new();
        let architecture = Config::parse(config.as_bytes()).unwrap().architecture(&mut problems);
        (architecture, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn known_keys_are_sorted() {
        for schema in [&SCHEMA, &QUANTIZATION] {
            assert!(schema.0.is_sorted_by(|a, b| a.0 < b.0));
        }
    }

    #[test]
    fn a_field_of_the_wrong_kind_is_reported_and_the_rest_is_read() {
        let (found, problems) = read(
            r#"{"architectures": "LlamaForCausalLM", "model_type": 3, "num_hidden_layers": -2,
                "hidden_size": 64.5, "num_attention_heads": 0, "num_key_value_heads": "4",
                "intermediate_size": 4294967296, "vocab_size": [1], "head_dim": {"a": 1},
                "max_position_embeddings": true, "tie_word_embeddings": "yes",
                "torch_dtype": "float16", "quantization_config": "gptq", "text_config": []}"#,
        );
        assert_eq!(found.name.as_deref(), Some("LlamaForCausalLM"));
        assert_eq!(found.dtype.as_deref(), Some("float16"));
        assert_eq!(found.vocabulary, Some(1));
        assert_eq!((found.layers, found.hidden_size, found.attention_heads), (None, None, None));
        assert_eq!((found.key_value_heads, found.head_dim), (None, None));
        assert_eq!((found.context_length, found.tied_embeddings), (None, None));
        let expected = [
            "config.json: text_config is a list; an object is expected",
            "config.json: model_type is 3; a text is expected",
            "config.json: hidden_size is 64.5; a whole number from 1 to 4294967295 is expected",
            "config.json: num_attention_heads is 0; a whole number from 1 to 4294967295 is expected",
            "config.json: num_key_value_heads is \"4\"; a whole number from 1 to 4294967295 is expected",
            "config.json: head_dim is an object; a whole number from 1 to 4294967295 is expected",
            "config.json: tie_word_embeddings is \"yes\"; true or false is expected",
            "config.json: num_hidden_layers is -2; a whole number from 1 to 4294967295 is expected",
            "config.json: intermediate_size is 4294967296; a whole number from 1 to 4294967295 is expected",
            "config.json: max_position_embeddings is true; a whole number from 1 to 4294967295 is expected",
            "config.json: quantization_config is \"gptq\"; an object is expected",
        ];
        assert_eq!(problems, expected);
    }

    #[test]
    fn a_wrong_value_gives_way_to_another_name_of_the_same_field() {
        let (found, problems) = read(r#"{"num_hidden_layers": "x", "n_layer": 3}"#);
        assert_eq!(found.layers, Some(3));
        assert_eq!(problems.len(), 1);
    }

    #[test]
    fn sizes_of_each_layer_are_one_size_if_they_are_equal() {
        let (found, problems) = read(
            r#"{"intermediate_size": [8, 8], "num_attention_heads": [4, 2], "hidden_size": 8}"#,
        );
        assert_eq!((found.intermediate_size, found.attention_heads), (Some(8), None));
        assert_eq!((found.key_value_heads, found.head_dim), (None, None));
        assert_eq!(problems, Vec::<String>::new());
        let (found, problems) = read(r#"{"intermediate_size": [8, null]}"#);
        assert_eq!(found.intermediate_size, None);
        assert!(
            problems[0]
                .ends_with("intermediate_size holds null; whole numbers above 0 are expected")
        );
    }

    #[test]
    fn shared_key_heads() {
        let heads = |config: &str| read(config).0.key_value_heads;
        assert_eq!(heads(r#"{"n_head": 8, "multi_query": true}"#), Some(1));
        assert_eq!(heads(r#"{"n_head": 8, "multi_query": false}"#), Some(8));
        assert_eq!(heads(r#"{"n_head": 8, "n_head_kv": 2, "model_type": "RefinedWeb"}"#), Some(2));
        assert_eq!(heads(r#"{"num_attention_heads": 32, "multi_query_group_num": 2}"#), Some(2));
        assert_eq!(
            heads(r#"{"model_type": "gpt_bigcode", "n_head": 8, "multi_query": false}"#),
            Some(8)
        );
        assert_eq!(heads(r#"{"model_type": "mistral", "num_attention_heads": 6}"#), Some(8));
        let null =
            r#"{"model_type": "mistral", "num_attention_heads": 6, "num_key_value_heads": null}"#;
        assert_eq!(heads(null), Some(6));
    }

    #[test]
    fn quantization_says_its_bits_in_several_ways() {
        let read = |config: &str| {
            let (found, problems) = read(&format!("{{\"quantization_config\": {config}}}"));
            found.quantization.map(|q| (q.method, q.bits, problems.len()))
        };
        let is = |method: &str, bits, problems| Some((method.to_owned(), bits, problems));
        assert_eq!(read(r#"{"quant_method": "gptq", "bits": 4}"#), is("gptq", Some(4), 0));
        assert_eq!(
            read(r#"{"load_in_4bit": false, "load_in_8bit": true}"#),
            is("bitsandbytes", Some(8), 0)
        );
        assert_eq!(read(r#"{"quant_method": "fp8"}"#), is("fp8", None, 0));
        assert_eq!(read("{}"), is("unknown", None, 1));
        assert_eq!(read(r#"{"quant_method": 3}"#), is("unknown", None, 1));
        assert_eq!(read("null"), None);
    }

    #[test]
    fn the_language_model_of_several_parts_is_the_one_described() {
        let (found, problems) = read(
            r#"{"architectures": ["A"], "model_type": "outer", "hidden_size": 5, "vocab_size": 9,
                "torch_dtype": "float16",
                "llm_config": {"model_type": "llama", "architectures": ["B"], "hidden_size": 8,
                               "num_attention_heads": 2, "torch_dtype": "bfloat16",
                               "text_config": {"num_hidden_layers": 7}}}"#,
        );
        assert_eq!(found.name.as_deref(), Some("A"));
        assert_eq!(found.model_type.as_deref(), Some("outer"));
        assert_eq!((found.hidden_size, found.head_dim), (Some(8), Some(4)));
        assert_eq!((found.vocabulary, found.layers), (Some(9), None));
        assert_eq!(found.dtype.as_deref(), Some("bfloat16"));
        assert_eq!(found.tied_embeddings, None);
        assert_eq!(problems, Vec::<String>::new());
        let (found, _) = read(r#"{"text_config": {"tie_word_embeddings": true}}"#);
        assert_eq!(found.tied_embeddings, Some(true));
    }
}

//! Values with more than one way to be written.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer, StrDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A model, as it is found.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModelChoice {
    /// A name, whole or in part; a path, which begins with `.` or `/`; or `embedded`, the small model that
    /// the program brings.
    pub model: String,
    /// What it is called in the results. Default: its own name.
    pub alias: Option<String>,
}

impl ModelChoice {
    /// A model by its name or path.
    pub fn new(model: impl Into<String>) -> Self {
        Self { model: model.into(), alias: None }
    }

    /// Sets what it is called in the results.
    #[must_use]
    pub fn with_alias(mut self, alias: impl Into<String>) -> Self {
        self.alias = Some(alias.into());
        self
    }
}

impl<'de> Deserialize<'de> for ModelChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            model: String,
            #[serde(default)]
            alias: Option<String>,
        }

        struct Choice;
        impl<'de> Visitor<'de> for Choice {
            type Value = ModelChoice;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a model's name or path, or `model` with `alias`")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<ModelChoice, E> {
                Ok(ModelChoice::new(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ModelChoice, A::Error> {
                let Fields { model, alias } = Fields::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ModelChoice { model, alias })
            }
        }
        deserializer.deserialize_any(Choice)
    }
}

impl JsonSchema for ModelChoice {
    fn schema_name() -> Cow<'static, str> {
        "ModelChoice".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A model: a name, whole or in part; a path, which begins with `.` or `/`; or `embedded`.",
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {
                        "model": {"type": "string", "description": "The name or path."},
                        "alias": {"type": ["string", "null"], "description": "What it is called in the results. Default: its own name."},
                    },
                    "required": ["model"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}

/// How often something happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Every {
    /// After so many steps.
    Steps(u64),
    /// After each epoch.
    Epoch,
    /// Never.
    Never,
}

impl<'de> Deserialize<'de> for Every {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match word_or_number(deserializer, &["epoch", "never"], "a number of steps")? {
            Written::Number(steps) => Self::Steps(steps),
            Written::Word("epoch") => Self::Epoch,
            Written::Word(_) => Self::Never,
        })
    }
}

impl Serialize for Every {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Steps(steps) => serializer.serialize_u64(*steps),
            Self::Epoch => serializer.serialize_str("epoch"),
            Self::Never => serializer.serialize_str("never"),
        }
    }
}

impl JsonSchema for Every {
    fn schema_name() -> Cow<'static, str> {
        "Every".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "How often something happens: after so many steps, after each epoch, or never.",
            "anyOf": [{"type": "integer", "minimum": 1}, {"enum": ["epoch", "never"]}],
        })
    }
}

/// Which layers a headline is of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum LayerChoice {
    /// The last one.
    Final,
    /// The one of this number.
    Index(usize),
    /// All, with equal weights.
    Uniform,
    /// All, with weights that are fitted on one part of the prompts and scored on the other.
    Fitted,
}

impl<'de> Deserialize<'de> for LayerChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let words = &["final", "uniform", "fitted"];
        Ok(match word_or_number(deserializer, words, "the number of a layer")? {
            Written::Number(layer) => Self::Index(usize::try_from(layer).map_err(Error::custom)?),
            Written::Word("final") => Self::Final,
            Written::Word("uniform") => Self::Uniform,
            Written::Word(_) => Self::Fitted,
        })
    }
}

impl Serialize for LayerChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Final => serializer.serialize_str("final"),
            Self::Index(layer) => serializer.serialize_u64(*layer as u64),
            Self::Uniform => serializer.serialize_str("uniform"),
            Self::Fitted => serializer.serialize_str("fitted"),
        }
    }
}

impl JsonSchema for LayerChoice {
    fn schema_name() -> Cow<'static, str> {
        "LayerChoice".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Which layers the headline is of: the last one, the one of a number, all with equal weights, or all with fitted weights.",
            "anyOf": [{"type": "integer", "minimum": 0}, {"enum": ["final", "uniform", "fitted"]}],
        })
    }
}

/// Which modules are adapted.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Targets {
    /// All linear modules but the head.
    AllLinear,
    /// Those whose names end in one of these.
    Names(Vec<String>),
    /// Those whose whole name matches a regular expression.
    Pattern(String),
}

impl<'de> Deserialize<'de> for Targets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Targets;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("`all-linear`, a list of names, or a regular expression")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Targets, E> {
                Ok(match text.eq_ignore_ascii_case("all-linear") {
                    true => Targets::AllLinear,
                    false => Targets::Pattern(text.to_owned()),
                })
            }

            fn visit_seq<A: SeqAccess<'de>>(self, names: A) -> Result<Targets, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(names)).map(Targets::Names)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl Serialize for Targets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::AllLinear => serializer.serialize_str("all-linear"),
            Self::Names(names) => names.serialize(serializer),
            Self::Pattern(pattern) => serializer.serialize_str(pattern),
        }
    }
}

impl JsonSchema for Targets {
    fn schema_name() -> Cow<'static, str> {
        "Targets".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Which modules are adapted: `all-linear`, a list of names, or a regular expression for whole names.",
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        })
    }
}

/// A value, or a list of such values.
pub(super) fn one_or_many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct OneOrMany<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMany<T> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("one, or a list of several")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<T>, E> {
            Ok(vec![T::deserialize(StrDeserializer::new(text))?])
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<T>, A::Error> {
            Ok(vec![T::deserialize(MapAccessDeserializer::new(map))?])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Vec<T>, A::Error> {
            Vec::deserialize(SeqAccessDeserializer::new(list))
        }
    }
    deserializer.deserialize_any(OneOrMany(PhantomData))
}

pub(super) fn one_or_many_texts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
}

pub(super) fn one_or_many_models(generator: &mut SchemaGenerator) -> Schema {
    let one = generator.subschema_for::<ModelChoice>();
    json_schema!({"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]})
}

/// A number of bytes, or one with a unit.
pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    struct Size;
    impl Visitor<'_> for Size {
        type Value = Option<u64>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a whole number of bytes above 0, such as 5GB")
        }

        fn visit_unit<E: Error>(self) -> Result<Option<u64>, E> {
            Ok(None)
        }

        fn visit_u64<E: Error>(self, bytes: u64) -> Result<Option<u64>, E> {
            Ok(Some(bytes))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Option<u64>, E> {
            let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            let unit = text.get(number.len()..).unwrap_or_default().to_ascii_uppercase();
            let unit = match unit.as_str() {
                "" | "B" => Some(1),
                "KB" => Some(1_000),
                "MB" => Some(1_000_000),
                "GB" => Some(1_000_000_000),
                "KIB" => Some(1 << 10),
                "MIB" => Some(1 << 20),
                "GIB" => Some(1 << 30),
                _ => None,
            };
            let bytes = number.trim().parse::<u64>().ok().zip(unit);
            match bytes.and_then(|(number, unit)| number.checked_mul(unit)) {
                Some(bytes) => Ok(Some(bytes)),
                None => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
            }
        }
    }
    deserializer.deserialize_any(Size)
}

pub(super) fn size_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"anyOf": [
        {"type": "integer", "minimum": 1},
        {"type": "string", "pattern": "^[0-9]+ *([KMGkmg]?[Bb]|[KMGkmg][Ii][Bb])?$"},
        {"type": "null"},
    ]})
}

enum Written {
    Number(u64),
    Word(&'static str),
}

fn word_or_number<'de, D: Deserializer<'de>>(
    deserializer: D,
    words: &'static [&'static str],
    number: &'static str,
) -> Result<Written, D::Error> {
    struct WordOrNumber(&'static [&'static str], &'static str);
    impl Visitor<'_> for WordOrNumber {
        type Value = Written;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "{}", self.1)?;
            self.0.iter().try_for_each(|word| write!(formatter, " or `{word}`"))
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<Written, E> {
            Ok(Written::Number(number))
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Written, E> {
            let word = self.0.iter().find(|word| **word == text);
            word.map(|word| Written::Word(word)).ok_or_else(|| E::unknown_variant(text, self.0))
        }
    }
    deserializer.deserialize_any(WordOrNumber(words, number))
}

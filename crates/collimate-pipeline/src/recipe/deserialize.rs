//! From a tree to a recipe. What is wrong is said of the field and of where it was given.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::node::{Content, Field, Node, Origin};

/// Why a tree is no recipe.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) origin: Option<Origin>,
    /// The names on the way to the field, the last one first.
    pub(super) path: Vec<String>,
    /// What the file calls it, where that is not its name in a recipe.
    pub(super) called: Option<String>,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    UnknownField(&'static [&'static str]),
    Value(String),
}

impl Fault {
    fn new(what: What) -> Self {
        Self { origin: None, path: Vec::new(), called: None, what }
    }

    fn value(message: String) -> Self {
        Self::new(What::Value(message))
    }

    fn at(mut self, origin: &Origin) -> Self {
        self.origin.get_or_insert_with(|| origin.clone());
        self
    }

    fn within(mut self, field: &Field) -> Self {
        self.path.push(field.name.clone());
        if self.called.is_none() {
            self.called.clone_from(&field.called);
        }
        self.at(&field.origin)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::UnknownField(_) => formatter.write_str("is no field"),
            What::Value(message) => formatter.write_str(message),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::value(message.to_string())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let hint = match (found, expected.to_string().as_str()) {
            (
                Unexpected::Unsigned(_)
                | Unexpected::Signed(_)
                | Unexpected::Float(_)
                | Unexpected::Bool(_),
                "a string",
            ) => "; put it in quotes",
            _ => "",
        };
        Self::value(format!("is {}; it has to be {}{hint}", shown(found), plain(expected)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::value(format!("is {}; it has to be {}", shown(found), plain(expected)))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let nearest = super::suggest::nearest(variant, expected.iter().copied());
        let hint = nearest.map(|word| format!("; `{word}` is meant?")).unwrap_or_default();
        let words: Vec<String> = expected.iter().map(|word| format!("`{word}`")).collect();
        Self::value(format!("is `{variant}`; it has to be one of {}{hint}", words.join(", ")))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let mut fault = Self::new(What::UnknownField(expected));
        fault.path.push(field.to_owned());
        fault
    }

    fn missing_field(field: &'static str) -> Self {
        Self::value(format!("has no `{field}`, which it needs"))
    }
}

fn shown(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Str(text) => format!("{text:?}"),
        Unexpected::Unsigned(number) => number.to_string(),
        Unexpected::Signed(number) => number.to_string(),
        Unexpected::Float(number) => number.to_string(),
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unit => "empty".to_owned(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a group of fields".to_owned(),
        other => other.to_string(),
    }
}

fn plain(expected: &dyn Expected) -> String {
    match expected.to_string().as_str() {
        "u64" | "usize" | "u32" => "a whole number, not below 0".to_owned(),
        "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" | "path string" => "text".to_owned(),
        "a sequence" => "a list".to_owned(),
        "a map" => "a group of fields".to_owned(),
        other if other.starts_with("struct ") => "a group of fields".to_owned(),
        other if other.starts_with("enum ") || other == "variant identifier" => "a word".to_owned(),
        other => other.to_owned(),
    }
}

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.content {
            Content::Null => visitor.visit_unit(),
            Content::Bool(value) => visitor.visit_bool(*value),
            Content::Integer(value) => match (u64::try_from(*value), i64::try_from(*value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => Err(Fault::value(format!("is {value}, which is too large"))),
            },
            Content::Float(value) => visitor.visit_f64(*value),
            Content::Text(text) => visitor.visit_str(text),
            Content::List(nodes) => visitor.visit_seq(List { nodes: nodes.iter(), at: 0 }),
            Content::Fields(fields) => {
                visitor.visit_map(Fields { fields: fields.iter(), now: None })
            }
        }
        .map_err(|fault| fault.at(&self.origin))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.content {
            Content::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    /// What is empty has no field, so that all are as by default.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self.content {
            Content::Null => visitor.visit_map(Fields { fields: [].iter(), now: None }),
            Content::List(_) => Err(de::Error::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
        .map_err(|fault| fault.at(&self.origin))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.content {
            Content::Text(word) => {
                visitor.visit_enum(IntoDeserializer::<Fault>::into_deserializer(word.as_str()))
            }
            Content::Fields(fields) if fields.len() == 1 => fields.first().map_or_else(
                || Err(not_a_word(self, words)),
                |field| visitor.visit_enum(Choice(field)).map_err(|fault| fault.at(&field.origin)),
            ),
            _ => Err(not_a_word(self, words)),
        }
        .map_err(|fault| fault.at(&self.origin))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier ignored_any
    }
}

fn not_a_word(node: &Node, words: &'static [&'static str]) -> Fault {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    Fault::value(format!("is {}; it has to be one of {}", node.kind(), words.join(", ")))
}

struct Fields<'de> {
    fields: std::slice::Iter<'de, Field>,
    now: Option<&'de Field>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.now = self.fields.next();
        let Some(field) = self.now else { return Ok(None) };
        let key: StrDeserializer<'_, Fault> = StrDeserializer::new(&field.name);
        seed.deserialize(key).map(Some).map_err(|fault| match fault.what {
            What::UnknownField(_) => {
                Fault { called: field.called.clone(), ..fault.at(&field.origin) }
            }
            What::Value(_) => fault.within(field),
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some(field) = self.now else { return Err(de::Error::custom("has no value")) };
        seed.deserialize(&field.value).map_err(|fault| fault.within(field))
    }
}

struct List<'de> {
    nodes: std::slice::Iter<'de, Node>,
    at: usize,
}

impl<'de> SeqAccess<'de> for List<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some(node) = self.nodes.next() else { return Ok(None) };
        let at = self.at;
        self.at += 1;
        seed.deserialize(node).map(Some).map_err(|mut fault| {
            fault.path.push(at.to_string());
            fault.at(&node.origin)
        })
    }
}

/// A word with a value, as in `{by_length: 64}`.
struct Choice<'de>(&'de Field);

impl<'de> EnumAccess<'de> for Choice<'de> {
    type Error = Fault;
    type Variant = &'de Field;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, &'de Field), Fault> {
        let word: StrDeserializer<'_, Fault> = StrDeserializer::new(&self.0.name);
        Ok((seed.deserialize(word)?, self.0))
    }
}

impl<'de> VariantAccess<'de> for &'de Field {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.value.content {
            Content::Null => Ok(()),
            _ => Err(Fault::value("has no value".to_owned()).within(self)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        seed.deserialize(&self.value).map_err(|fault| fault.within(self))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        de::Deserializer::deserialize_any(&self.value, visitor).map_err(|fault| fault.within(self))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        de::Deserializer::deserialize_any(&self.value, visitor).map_err(|fault| fault.within(self))
    }
}

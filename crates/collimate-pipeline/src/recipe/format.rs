//! Files as trees of values, each with its line.

use std::cell::Cell;
use std::fmt;
use std::io::Read;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_saphyr::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Place, RecipeError, Result};
use super::node::{Content, Field, Node, Origin};

/// How a recipe is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum RecipeFormat {
    /// YAML (`.yaml`, `.yml`).
    Yaml,
    /// TOML (`.toml`).
    Toml,
    /// JSON (`.json`).
    Json,
}

impl RecipeFormat {
    /// What the end of a path says.
    ///
    /// ```
    /// use collimate_pipeline::RecipeFormat;
    ///
    /// assert_eq!(RecipeFormat::of_path("recipe.yml".as_ref()), Some(RecipeFormat::Yaml));
    /// assert_eq!(RecipeFormat::of_path("recipe.txt".as_ref()), None);
    /// ```
    pub fn of_path(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "yaml" | "yml" => Some(Self::Yaml),
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    pub(super) fn parse(self, text: &str, path: &Path) -> Result<Node> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let parsed = match self {
            Self::Yaml => yaml(text),
            Self::Toml => toml(text),
            Self::Json => json(text),
        };
        parsed.map_err(|Broken { line, message }| RecipeError::Syntax {
            place: Place::File { path: path.to_owned(), line },
            message,
        })
    }
}

/// Why a text is not of its format.
pub(super) struct Broken {
    line: Option<u64>,
    pub(super) message: String,
}

/// YAML within limits far above what any recipe holds.
pub(super) fn yaml(text: &str) -> Result<Node, Broken> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 50_000,
            max_nodes: 20_000,
            max_depth: 32,
            flow_nesting_limit: 32,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_recorded_anchor_events: 10_000,
            max_recorded_anchor_bytes: 1 << 20,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
            max_replay_stack_depth: 8,
        },
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::Error,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::Reject,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    let root: Spanned<Yaml> =
        serde_saphyr::from_str_with_options(text, options).map_err(|error| Broken {
            line: error.location().map(|at| at.line()).filter(|line| *line > 0),
            message: in_words(&error),
        })?;
    Ok(at_line(root))
}

/// What is wrong with YAML, without the place, which is said before.
fn in_words(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    match error {
        Error::DuplicateMappingKey { key: Some(key), .. } => format!("`{key}` stands twice"),
        Error::NonFiniteFloat { value, .. } => format!("`{value}` is not finite"),
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => {
            "it has more values, documents, depth or aliases than any recipe".to_owned()
        }
        error => without_place(&error.to_string().replace('\n', " ")),
    }
}

fn without_place(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}

struct Yaml(Content);

fn at_line(spanned: Spanned<Yaml>) -> Node {
    Node::new(Origin::Line(spanned.referenced.line()), spanned.value.0)
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Children;
        impl<'de> Parts<'de> for Children {
            fn node<A: SeqAccess<'de>>(&self, list: &mut A) -> Result<Option<Node>, A::Error> {
                Ok(list.next_element::<Spanned<Yaml>>()?.map(at_line))
            }

            fn field<A: MapAccess<'de>>(&self, map: &mut A) -> Result<Option<Field>, A::Error> {
                let Some(key) = map.next_key::<Spanned<String>>()? else { return Ok(None) };
                let value = at_line(map.next_value::<Spanned<Yaml>>()?);
                let origin = Origin::Line(key.referenced.line());
                Ok(Some(Field { name: key.value, origin, called: None, value }))
            }
        }
        deserializer.deserialize_any(Contents(Children)).map(Self)
    }
}

/// JSON. Its reader says no lines, so that the bytes are counted that it takes.
fn json(text: &str) -> Result<Node, Broken> {
    let at = At { line: Cell::new(1), last: Cell::new(0) };
    let mut deserializer =
        serde_json::Deserializer::from_reader(Counted { bytes: text.as_bytes(), at: &at });
    let root = Json(&at).deserialize(&mut deserializer);
    root.and_then(|root| deserializer.end().map(|()| root)).map_err(|error| Broken {
        line: Some(error.line() as u64).filter(|line| *line > 0),
        message: without_place(&error.to_string()),
    })
}

struct At {
    line: Cell<u64>,
    last: Cell<u8>,
}

struct Counted<'a> {
    bytes: &'a [u8],
    at: &'a At,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        // One by one: what was taken is what was looked at.
        let (Some((byte, rest)), Some(place)) = (self.bytes.split_first(), buffer.first_mut())
        else {
            return Ok(0);
        };
        // The end of a line belongs to it: a number is known to have ended when that was seen.
        if self.at.last.replace(*byte) == b'\n' {
            self.at.line.set(self.at.line.get() + 1);
        }
        *place = *byte;
        self.bytes = rest;
        Ok(1)
    }
}

struct Json<'a>(&'a At);

impl Json<'_> {
    fn line(&self) -> Origin {
        Origin::Line(self.0.line.get())
    }
}

impl<'de> DeserializeSeed<'de> for Json<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        let content = deserializer.deserialize_any(Contents(Json(self.0)))?;
        Ok(Node::new(self.line(), content))
    }
}

impl<'de> Parts<'de> for Json<'_> {
    fn node<A: SeqAccess<'de>>(&self, list: &mut A) -> Result<Option<Node>, A::Error> {
        list.next_element_seed(Json(self.0))
    }

    fn field<A: MapAccess<'de>>(&self, map: &mut A) -> Result<Option<Field>, A::Error> {
        let Some(name) = map.next_key::<String>()? else { return Ok(None) };
        let origin = self.line();
        let value = map.next_value_seed(Json(self.0))?;
        Ok(Some(Field { name, origin, called: None, value }))
    }
}

/// How the parts of a list or an object are read.
trait Parts<'de> {
    fn node<A: SeqAccess<'de>>(&self, list: &mut A) -> Result<Option<Node>, A::Error>;
    fn field<A: MapAccess<'de>>(&self, map: &mut A) -> Result<Option<Field>, A::Error>;
}

struct Contents<P>(P);

impl<'de, P: Parts<'de>> Visitor<'de> for Contents<P> {
    type Value = Content;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Integer(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Integer(value.into()))
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Content, E> {
        Ok(Content::Integer(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Content, E> {
        match value.is_finite() {
            true => Ok(Content::Float(value)),
            false => Err(E::custom("a number is not finite")),
        }
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = self.0.node(&mut list)? {
            nodes.push(node);
        }
        Ok(Content::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut fields: Vec<Field> = Vec::new();
        while let Some(field) = self.0.field(&mut map)? {
            if fields.iter().any(|known| known.name == field.name) {
                return Err(de::Error::custom(format!("`{}` stands twice", field.name)));
            }
            fields.push(field);
        }
        Ok(Content::Fields(fields))
    }
}

fn toml(text: &str) -> Result<Node, Broken> {
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let line = |at: usize| ends.partition_point(|end| *end < at) as u64 + 1;
    let root = DeTable::parse(text).map_err(|error| Broken {
        line: error.span().map(|span| line(span.start)),
        message: error.message().to_owned(),
    })?;
    Ok(Node::new(Origin::Line(1), table(root.get_ref(), &line)?))
}

fn table(table: &DeTable<'_>, line: &dyn Fn(usize) -> u64) -> Result<Content, Broken> {
    let fields = table.iter().map(|(key, value)| {
        let name = key.get_ref().clone().into_owned();
        let at = line(value.span().start);
        let value = Node::new(Origin::Line(at), of_toml(value.get_ref(), at, line)?);
        Ok(Field { name, origin: Origin::Line(line(key.span().start)), called: None, value })
    });
    Ok(Content::Fields(fields.collect::<Result<_, _>>()?))
}

fn of_toml(value: &DeValue<'_>, at: u64, line: &dyn Fn(usize) -> u64) -> Result<Content, Broken> {
    let broken = |message: &str| Broken { line: Some(at), message: message.to_owned() };
    Ok(match value {
        DeValue::String(text) => Content::Text(text.clone().into_owned()),
        DeValue::Integer(integer) => {
            let number = i128::from_str_radix(integer.as_str(), integer.radix());
            Content::Integer(number.map_err(|_| broken("a number is too large"))?)
        }
        DeValue::Float(float) => match float.as_str().parse::<f64>() {
            Ok(number) if number.is_finite() => Content::Float(number),
            _ => return Err(broken("a number is not finite")),
        },
        DeValue::Boolean(value) => Content::Bool(*value),
        DeValue::Datetime(_) => return Err(broken("a date is no value here")),
        DeValue::Array(values) => {
            let nodes = values.iter().map(|value| {
                let at = line(value.span().start);
                Ok(Node::new(Origin::Line(at), of_toml(value.get_ref(), at, line)?))
            });
            Content::List(nodes.collect::<Result<_, _>>()?)
        }
        DeValue::Table(fields) => table(fields, line)?,
    })
}

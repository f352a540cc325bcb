//! The header's JSON, read in one pass and without keeping any of its strings.
//!
//! What serde derives would do for these shapes is kept, down to the forms that nobody writes (a
//! tensor as an array of three): the reference reader accepts them.

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::dtype::Dtype;
use crate::names::NameHasher;

/// What a header says of one tensor, without its name and shape.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Record {
    pub(super) name_hash: u64,
    pub(super) begin: u64,
    pub(super) end: u64,
    /// Nothing where the product overflows.
    pub(super) elements: Option<u64>,
    pub(super) dtype: Dtype,
    /// Its place in the header.
    pub(super) position: u32,
}

/// Reads every tensor into a [`Record`].
pub(super) struct Records<'a> {
    pub(super) names: &'a NameHasher,
    pub(super) expected: usize,
}

impl<'de> DeserializeSeed<'de> for Records<'_> {
    type Value = Vec<Record>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Records<'_> {
    type Value = Vec<Record>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut records = Vec::with_capacity(self.expected);
        let mut metadata = false;
        while let Some(name_hash) = map.next_key_seed(Name(self.names))? {
            let Some(name_hash) = name_hash else {
                if std::mem::replace(&mut metadata, true) {
                    return Err(A::Error::duplicate_field("__metadata__"));
                }
                map.next_value::<Option<Strings>>()?;
                continue;
            };
            let tensor: Tensor<Product> = map.next_value()?;
            let position = u32::try_from(records.len()).map_err(A::Error::custom)?;
            records.push(Record {
                name_hash,
                begin: tensor.data_offsets.0,
                end: tensor.data_offsets.1,
                elements: tensor.shape.0,
                dtype: tensor.dtype,
                position,
            });
        }
        Ok(records)
    }
}

/// The keyed hash of a name; nothing for `__metadata__`.
struct Name<'a>(&'a NameHasher);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<u64>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a tensor")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok((name != "__metadata__").then(|| self.0.hash(name.as_bytes())))
    }
}

/// One tensor's entry.
pub(super) struct Tensor<S> {
    pub(super) dtype: Dtype,
    pub(super) shape: S,
    pub(super) data_offsets: (u64, u64),
}

impl<'de, S: Deserialize<'de>> Deserialize<'de> for Tensor<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const FIELDS: &[&str] = &["dtype", "shape", "data_offsets"];
        deserializer.deserialize_struct("tensor", FIELDS, TensorVisitor(std::marker::PhantomData))
    }
}

struct TensorVisitor<S>(std::marker::PhantomData<S>);

impl<'de, S: Deserialize<'de>> Visitor<'de> for TensorVisitor<S> {
    type Value = Tensor<S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a tensor: an object of dtype, shape and data_offsets")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let dtype = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        let shape = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
        let data_offsets = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(2, &self))?;
        Ok(Tensor { dtype, shape, data_offsets })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut dtype, mut shape, mut data_offsets) = (None, None, None);
        while let Some(field) = map.next_key::<Field>()? {
            match field {
                Field::Dtype => once(&mut dtype, &mut map, "dtype")?,
                Field::Shape => once(&mut shape, &mut map, "shape")?,
                Field::DataOffsets => once(&mut data_offsets, &mut map, "data_offsets")?,
                Field::Other => {
                    map.next_value::<Any>()?;
                }
            }
        }
        Ok(Tensor {
            dtype: dtype.ok_or_else(|| A::Error::missing_field("dtype"))?,
            shape: shape.ok_or_else(|| A::Error::missing_field("shape"))?,
            data_offsets: data_offsets.ok_or_else(|| A::Error::missing_field("data_offsets"))?,
        })
    }
}

fn once<'de, A: MapAccess<'de>, T: Deserialize<'de>>(
    slot: &mut Option<T>,
    map: &mut A,
    field: &'static str,
) -> Result<(), A::Error> {
    if slot.is_some() {
        return Err(A::Error::duplicate_field(field));
    }
    *slot = Some(map.next_value()?);
    Ok(())
}

enum Field {
    Dtype,
    Shape,
    DataOffsets,
    Other,
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldVisitor;

        impl Visitor<'_> for FieldVisitor {
            type Value = Field;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field of a tensor")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Field, E> {
                Ok(match name {
                    "dtype" => Field::Dtype,
                    "shape" => Field::Shape,
                    "data_offsets" => Field::DataOffsets,
                    _ => Field::Other,
                })
            }
        }

        deserializer.deserialize_identifier(FieldVisitor)
    }
}

/// The product of a shape.
struct Product(Option<u64>);

impl<'de> Deserialize<'de> for Product {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ProductVisitor;

        impl<'de> Visitor<'de> for ProductVisitor {
            type Value = Product;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a shape: an array of non-negative integers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Product, A::Error> {
                let mut product = Some(1_u64);
                while let Some(size) = seq.next_element::<u64>()? {
                    product = product.and_then(|product| product.checked_mul(size));
                }
                Ok(Product(product))
            }
        }

        deserializer.deserialize_seq(ProductVisitor)
    }
}

/// An object of strings, looked at and dropped.
struct Strings;

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StringsVisitor;

        impl<'de> Visitor<'de> for StringsVisitor {
            type Value = Strings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strings, A::Error> {
                while map.next_entry::<Text, Text>()?.is_some() {}
                Ok(Strings)
            }
        }

        deserializer.deserialize_map(StringsVisitor)
    }
}

/// A string, looked at and dropped.
struct Text;

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl Visitor<'_> for TextVisitor {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, _: &str) -> Result<Text, E> {
                Ok(Text)
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// Any value, looked at and dropped. [`IgnoredAny`] would let pass what is no JSON: a lone
/// surrogate, a number beyond all bounds, any depth.
struct Any;

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyVisitor;

        impl<'de> Visitor<'de> for AnyVisitor {
            type Value = Any;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_bool<E>(self, _: bool) -> Result<Any, E> {
                Ok(Any)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Any, E> {
                Ok(Any)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Any, E> {
                Ok(Any)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Any, E> {
                Ok(Any)
            }

            fn visit_str<E>(self, _: &str) -> Result<Any, E> {
                Ok(Any)
            }

            fn visit_unit<E>(self) -> Result<Any, E> {
                Ok(Any)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Any, A::Error> {
                while seq.next_element::<Any>()?.is_some() {}
                Ok(Any)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Any, A::Error> {
                while map.next_entry::<Text, Any>()?.is_some() {}
                Ok(Any)
            }
        }

        deserializer.deserialize_any(AnyVisitor)
    }
}

/// Calls a function for every tensor, with its name and shape.
pub(super) struct Each<F>(pub(super) F);

impl<'de, F: FnMut(String, Tensor<Vec<u64>>)> DeserializeSeed<'de> for Each<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(String, Tensor<Vec<u64>>)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
            } else {
                let tensor = map.next_value()?;
                (self.0)(name, tensor);
            }
        }
        Ok(())
    }
}

/// Every name of a tensor, in the order of the header, until one is enough.
pub(super) struct Names<F>(pub(super) F);

impl<'de, F: FnMut(&str)> DeserializeSeed<'de> for Names<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(&str)> Visitor<'de> for Names<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            map.next_value::<IgnoredAny>()?;
            if name != "__metadata__" {
                (self.0)(&name);
            }
        }
        Ok(())
    }
}

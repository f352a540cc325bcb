/// A part of a recipe: a struct with a default and a setter for each field.
macro_rules! section {
    ($(#[$about:meta])* $name:ident {
        $($(#[$field_about:meta])* $field:ident, $setter:ident: $type:ty = $default:expr;)*
    }) => {
        $(#[$about])*
        #[derive(
            Clone, Debug, PartialEq, schemars::JsonSchema, serde::Deserialize, serde::Serialize,
        )]
        #[serde(default, deny_unknown_fields)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_about])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $name {
            $(
                #[doc = concat!("Sets `", stringify!($field), "`.")]
                #[must_use]
                pub fn $setter(mut self, $field: $type) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

/// A choice between words.
macro_rules! words {
    ($(#[$about:meta])* $name:ident {
        $($(#[$word_about:meta])* $word:ident,)*
    }) => {
        $(#[$about])*
        #[derive(
            Clone, Copy, Debug, Default, Eq, PartialEq, schemars::JsonSchema, serde::Deserialize,
            serde::Serialize,
        )]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$word_about])* $word,)*
        }
    };
}

pub(super) use {section, words};

//! Chat templates, run as transformers runs them.

mod arguments;
mod bounds;
mod built_in;
mod continued;
mod environment;
mod expression;
mod filters;
mod folder;
mod format;
mod headers;
mod lexer;
mod lists;
mod method_names;
mod methods;
mod python;
mod rendering;
mod spans;
mod strftime;
mod tojson;
mod translate;
mod values;

pub use built_in::BuiltIn;
pub use folder::TemplateFolder;
pub use rendering::{ChatTemplate, RenderOptions};
pub use strftime::TemplateTime;

//! Bodies as data: decode what an upstream answered, filter and merge it, write it out again.
//!
//! The common path never builds a tree. [`scan`] checks a body byte by byte and notes where its members stand; a
//! [`Document`] is that list of places over one or more bodies; [`Edit`] and `merge` change the list; writing copies
//! the bytes. What must look at values (flatmap, parameters, other encodings) asks for a [`Value`].

mod decode;
mod document;
mod edit;
mod encode;
mod error;
mod flatmap;
mod go_float;
mod go_quote;
pub mod go_time;
mod merge;
mod parameter;
mod path;
pub mod render;
pub mod rss;
mod scan;
mod text;
mod tree;
mod value;
pub mod xml;
pub mod yaml;

pub use decode::{Decoder, JsonRules};
pub use document::Document;
pub use edit::{Edit, EditSpec};
pub use encode::{float, html_escaped, write_string, write_value};
pub use error::{DecodeError, EditError, SyntaxError};
pub use flatmap::{Flatmap, FlatmapOp};
pub use go_float::shortest;
pub use go_quote::quote;
pub use parameter::parameter;
pub use scan::DEPTH_MAX;
pub use value::{Map, Number, Value};

#[cfg(test)]
mod tests;

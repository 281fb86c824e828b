//! XML bodies to and from trees, in the shape that clbanning/mxj gives them.

mod decode;
mod encode;
mod token;

pub use decode::decode;
pub use encode::encode;
pub(super) use token::{Attribute, Mode, Token, Tokens, XML_NAMESPACE};

/// Elements that may be open at once. The original has no bound; no sane document comes near this one.
pub const DEPTH_MAX: usize = 1000;

/// Why a body could not be read: the text that clients get to see with `return_error_msg`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodingError {
    pub message: String,
}

impl EncodingError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl std::fmt::Display for EncodingError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for EncodingError {}

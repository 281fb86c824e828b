//! rss
use crate::json::{Map, xml::EncodingError};
pub fn decode(_body: &[u8]) -> Result<Map, EncodingError> { Err(EncodingError::new("todo")) }

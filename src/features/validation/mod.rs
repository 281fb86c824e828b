//! The namespaces `validation/…`: what requests and answers must be like.

pub mod cel;

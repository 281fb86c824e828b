//! `shoal/…`: what the original has no words for.

pub mod limits;

//! `modifier/…`: requests and answers that are changed on their way.

pub mod lua;
pub mod lua_backend;
pub mod martian;

//! `backend/…`: how one backend is called and how its statuses are read.

pub mod http;
pub mod http_client;

//! `auth/…`: who may ask, with tokens that are checked, made, taken back, and fetched.

pub mod client_credentials;
pub mod jwk;
pub mod revoker;
pub mod signer;
pub mod validator;

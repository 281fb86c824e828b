//! Signed tokens and the keys behind them: JWS in its compact form, JWK sets, and where they come from.
//!
//! Follows RFC 7515, 7517, 7518 and 8037 as far as the original does, and the advice of RFC 8725: the configured
//! algorithm decides, never the token's; a key serves the one algorithm it was read for.

pub mod algorithm;
pub mod jwks;
pub mod key;
pub mod options;
pub mod secret;
pub mod set;
pub mod signing;
pub mod strict;
pub mod token;
pub mod verified;

pub use algorithm::Algorithm;
pub use key::{Key, KeyId};
pub use set::{KeyCache, KeySet};
pub use token::Token;

//! `Revocation`: where the validators ask whether a token was taken back before its time.

use std::fmt;
use std::sync::OnceLock;

use super::claims::Claims;

/// Whether a token with these claims was taken back. It must not wait.
pub type IsRevoked = Box<dyn Fn(&Claims) -> bool + Send + Sync>;

/// One for each plan: empty unless a revoker is configured.
#[derive(Default)]
pub struct Revocation(OnceLock<IsRevoked>);

// === impl Revocation ===

impl Revocation {
    /// Installs the revoker; the first one stays.
    pub fn install(&self, is_revoked: IsRevoked) {
        // A service has one block of each name.
        let _ = self.0.set(is_revoked);
    }

    pub fn is_revoked(&self, claims: &Claims) -> bool {
        self.0.get().is_some_and(|is_revoked| is_revoked(claims))
    }
}

impl fmt::Debug for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Revocation").field(&self.0.get().is_some()).finish()
    }
}

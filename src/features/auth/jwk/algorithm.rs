//! `Algorithm`: how tokens are signed (RFC 7518 section 3.1, RFC 8037 section 3.1).

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{
    self, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, RsaEncoding, RsaParameters,
};

/// The algorithms that a validator or a signer can be set to. `none` is no algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

/// The kind of key that an algorithm takes.
pub enum Family {
    Hmac(hmac::Algorithm),
    Rsa(&'static RsaParameters, &'static dyn RsaEncoding),
    /// With the curve's name.
    Ec(&'static str, &'static EcdsaVerificationAlgorithm, &'static EcdsaSigningAlgorithm),
    Ed25519,
}

const ALL: [(Algorithm, &str); 13] = [
    (Algorithm::Hs256, "HS256"),
    (Algorithm::Hs384, "HS384"),
    (Algorithm::Hs512, "HS512"),
    (Algorithm::Rs256, "RS256"),
    (Algorithm::Rs384, "RS384"),
    (Algorithm::Rs512, "RS512"),
    (Algorithm::Ps256, "PS256"),
    (Algorithm::Ps384, "PS384"),
    (Algorithm::Ps512, "PS512"),
    (Algorithm::Es256, "ES256"),
    (Algorithm::Es384, "ES384"),
    (Algorithm::Es512, "ES512"),
    (Algorithm::EdDsa, "EdDSA"),
];

// === impl Algorithm ===

impl Algorithm {
    /// By its exact name.
    pub fn named(name: &str) -> Option<Algorithm> {
        ALL.iter().find(|(_, known)| *known == name).map(|(algorithm, _)| *algorithm)
    }

    pub fn name(self) -> &'static str {
        ALL.iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name)
    }

    /// All names, for hints.
    pub fn names() -> String {
        ALL.map(|(_, name)| name).join(", ")
    }

    pub fn family(self) -> Family {
        use signature as s;
        match self {
            Algorithm::Hs256 => Family::Hmac(hmac::HMAC_SHA256),
            Algorithm::Hs384 => Family::Hmac(hmac::HMAC_SHA384),
            Algorithm::Hs512 => Family::Hmac(hmac::HMAC_SHA512),
            Algorithm::Rs256 => Family::Rsa(&s::RSA_PKCS1_2048_8192_SHA256, &s::RSA_PKCS1_SHA256),
            Algorithm::Rs384 => Family::Rsa(&s::RSA_PKCS1_2048_8192_SHA384, &s::RSA_PKCS1_SHA384),
            Algorithm::Rs512 => Family::Rsa(&s::RSA_PKCS1_2048_8192_SHA512, &s::RSA_PKCS1_SHA512),
            Algorithm::Ps256 => Family::Rsa(&s::RSA_PSS_2048_8192_SHA256, &s::RSA_PSS_SHA256),
            Algorithm::Ps384 => Family::Rsa(&s::RSA_PSS_2048_8192_SHA384, &s::RSA_PSS_SHA384),
            Algorithm::Ps512 => Family::Rsa(&s::RSA_PSS_2048_8192_SHA512, &s::RSA_PSS_SHA512),
            Algorithm::Es256 => Family::Ec(
                "P-256",
                &s::ECDSA_P256_SHA256_FIXED,
                &s::ECDSA_P256_SHA256_FIXED_SIGNING,
            ),
            Algorithm::Es384 => Family::Ec(
                "P-384",
                &s::ECDSA_P384_SHA384_FIXED,
                &s::ECDSA_P384_SHA384_FIXED_SIGNING,
            ),
            Algorithm::Es512 => Family::Ec(
                "P-521",
                &s::ECDSA_P521_SHA512_FIXED,
                &s::ECDSA_P521_SHA512_FIXED_SIGNING,
            ),
            Algorithm::EdDsa => Family::Ed25519,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        for (algorithm, name) in ALL {
            assert_eq!(Algorithm::named(name), Some(algorithm));
            assert_eq!(algorithm.name(), name);
            assert_eq!(Algorithm::named(&name.to_lowercase()), None);
        }
        for name in ["none", "None", "", "RS257", " RS256", "RS256\0"] {
            assert_eq!(Algorithm::named(name), None, "{name:?}");
        }
    }
}

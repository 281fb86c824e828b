//! `Pinned`: trusts a certificate that is itself named in `ca_certs`, beside those that an authority has signed.
//!
//! `openssl req -x509` makes such certificates: they sign themselves and claim to be an authority. Go takes them for what
//! they are shown as; the library refuses an authority that is shown as a server.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};

#[derive(Debug)]
pub struct Pinned {
    authorities: Arc<WebPkiServerVerifier>,
    /// The certificates of `ca_certs`.
    named: Vec<CertificateDer<'static>>,
}

impl Pinned {
    pub fn new(
        authorities: Arc<WebPkiServerVerifier>,
        named: Vec<CertificateDer<'static>>,
    ) -> Pinned {
        Pinned { authorities, named }
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.authorities.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        // Only what the library has no name for: a wrong name or an expired certificate has one.
        let Err(Error::InvalidCertificate(CertificateError::Other(_))) = verdict else {
            return verdict;
        };
        if !self.named.iter().any(|named| named == end_entity) {
            return verdict;
        }
        let (from, until) =
            validity(end_entity).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        if now.as_secs() < from {
            return Err(Error::InvalidCertificate(CertificateError::NotValidYet));
        }
        if now.as_secs() > until {
            return Err(Error::InvalidCertificate(CertificateError::Expired));
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The version of a certificate, `[0]`, which the first version lacks.
const VERSION: u8 = 0xA0;

/// From when to when a certificate holds, in seconds since 1970 (RFC 5280 section 4.1.2.5).
fn validity(certificate: &[u8]) -> Option<(u64, u64)> {
    let (SEQUENCE, certificate, _) = element(certificate)? else { return None };
    let (SEQUENCE, mut fields, _) = element(certificate)? else { return None };
    if fields.first() == Some(&VERSION) {
        fields = element(fields)?.2;
    }
    // Serial number, algorithm, issuer.
    for _ in 0..3 {
        fields = element(fields)?.2;
    }
    let (SEQUENCE, validity, _) = element(fields)? else { return None };
    let (tag, from, rest) = element(validity)?;
    let from = moment(tag, from)?;
    let (tag, until, _) = element(rest)?;
    Some((from, moment(tag, until)?))
}

/// Tag and content of the first DER element, and what follows it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let bytes = rest.get(..usize::from(first & 0x7F)).filter(|bytes| bytes.len() <= 3)?;
        rest = &rest[bytes.len()..];
        length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    }
    Some((tag, rest.get(..length)?, &rest[length..]))
}

fn moment(tag: u8, text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        // Two digits of the year: 1950 to 2049.
        UTC_TIME => {
            let century = if text.get(..2)? < "50" { "20" } else { "19" };
            format!("{century}{text}")
        }
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let time = chrono::NaiveDateTime::parse_from_str(&text, "%Y%m%d%H%M%SZ").ok()?;
    u64::try_from(time.and_utc().timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificates_days_are_read() {
        let mut params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        for (year, until) in [(2049, 2_493_072_000), (2060, 2_840_140_800)] {
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let key = rcgen::KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            assert_eq!(validity(certificate.der()), Some((1_577_836_800, until)), "{year}");
        }
    }

    #[test]
    fn what_is_no_certificate_has_no_days() {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        for end in 0..80 {
            assert_eq!(validity(&der[..end]), None, "{end}");
        }
        assert_eq!(validity(&[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]), None);
    }
}

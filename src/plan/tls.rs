//! TLS as configured: which files hold the certificates, and what may be agreed on. The files are read later.
//!
//! Follows lura, transport/http/server/server.go (specification, section 1.9).

use crate::config::problem::Problem;
use crate::config::service::Service;
use crate::config::shape::Shaped;

/// Names of versions that the original knows, lowest first.
const VERSIONS: [(&str, Option<Version>); 5] = [
    ("SSL3.0", None),
    ("TLS10", None),
    ("TLS11", None),
    ("TLS12", Some(Version::Tls12)),
    ("TLS13", Some(Version::Tls13)),
];
/// Cipher suites of TLS 1.2 that are served, as their numbers in the protocol.
const SUITES: [u16; 6] = [0xC02B, 0xC02C, 0xCCA9, 0xC02F, 0xC030, 0xCCA8];
/// Cipher suites of TLS 1.3; all of them are always allowed, as in the original.
const SUITES_13: [u16; 3] = [0x1301, 0x1302, 0x1303];
/// Suites that the original knows and that no longer are safe: CBC, RC4, 3DES, keys exchanged by RSA.
const SUITES_REFUSED: [u16; 16] = [
    0x0005, 0x000A, 0x002F, 0x0035, 0x003C, 0x009C, 0x009D, 0xC007, 0xC009, 0xC00A, 0xC011, 0xC012,
    0xC013, 0xC014, 0xC023, 0xC027,
];
/// Groups that keys are exchanged with: P-256, P-384, X25519, X25519MLKEM768.
const GROUPS: [u16; 4] = [23, 24, 29, 4588];
/// P-521, which the original prefers and the library does not have.
const GROUP_P521: u16 = 25;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    Tls12,
    Tls13,
}

/// What both sides may agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    pub min: Version,
    pub max: Version,
    /// Suites of TLS 1.2 in order of preference; empty means all that are served.
    pub suites: Vec<u16>,
    /// Groups in order of preference; empty means the defaults.
    pub groups: Vec<u16>,
}

/// A certificate with its chain, and its private key: two PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFiles {
    pub certificate: String,
    pub private_key: String,
}

/// Whose certificates count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authorities {
    /// PEM files.
    pub files: Vec<String>,
    /// Those of the system as well.
    pub with_system: bool,
}

/// TLS towards clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    /// The first that fits the name a client asks for is shown, else the first.
    pub keys: Vec<KeyFiles>,
    /// Clients must show a certificate of one of these.
    pub client_authorities: Option<Authorities>,
    pub protocol: Protocol,
}

/// TLS towards upstreams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// Any certificate will do.
    pub is_insecure: bool,
    pub authorities: Authorities,
    /// Shown to upstreams that ask; the first that fits.
    pub certificates: Vec<KeyFiles>,
    pub protocol: Protocol,
}

impl Protocol {
    /// False where the lowest version lies above the highest: then nobody can be agreed with.
    pub fn is_possible(&self) -> bool {
        self.min <= self.max
    }
}

/// TLS towards clients; `None` where plain HTTP is served.
pub(super) fn server(service: &Service, problems: &mut Vec<Problem>) -> Option<ServerTls> {
    let tls = service.tls.as_ref().filter(|tls| !tls.boolean("disabled"))?;
    let mut keys = pairs(tls, "keys", "public_key", "private_key");
    // The former place of the pair counts, too, after the list.
    let (public, private) = (tls.text("public_key"), tls.text("private_key"));
    let listed = keys.len();
    if !public.is_empty() || !private.is_empty() {
        keys.push(KeyFiles { certificate: public.into(), private_key: private.into() });
    }
    if keys.is_empty() {
        let problem = Problem::refuse(tls.place_of("keys"), "public key not defined");
        problems.push(problem.hint(
            "name a certificate and its key: \"keys\": [{\"public_key\": …, \"private_key\": …}], or set tls.disabled",
        ));
    }
    for (index, pair) in keys.iter().enumerate() {
        let place = |key| match index < listed {
            true => tls.place_of("keys").index(index).key(key),
            false => tls.place_of(key),
        };
        for (file, key, what) in [
            (&pair.certificate, "public_key", "public key not defined"),
            (&pair.private_key, "private_key", "private key not defined"),
        ] {
            if file.is_empty() {
                let problem = Problem::refuse(place(key), what);
                problems.push(problem.hint("a certificate and its key are two PEM files"));
            }
        }
    }
    let protocol = protocol(tls, problems);
    if !protocol.is_possible() {
        let what = "min_version lies above max_version: no client can be served";
        problems.push(Problem::refuse(tls.place_of("max_version"), what).hint(ABSENT_VERSION));
    }
    let client_authorities = tls.boolean("enable_mtls").then(|| {
        let mut authorities = authorities(tls);
        // The original trusts what the listed pairs hold, and not what the former place holds.
        authorities.files.extend(keys[..listed].iter().map(|pair| pair.certificate.clone()));
        authorities
    });
    if let Some(none) = &client_authorities
        && none.files.is_empty()
        && !none.with_system
    {
        let what = "enable_mtls without any authority: no client could be let in";
        problems.push(Problem::refuse(tls.place_of("ca_certs"), what).hint("name ca_certs"));
    }
    Some(ServerTls { keys, client_authorities, protocol })
}

/// TLS towards upstreams. Where nothing is said of it, TLS 1.2 will do; a block raises that to 1.3, as in the original.
pub(super) fn client(service: &Service, problems: &mut Vec<Problem>) -> ClientTls {
    let is_insecure_anyway = service.client.allow_insecure_connections;
    let system = Authorities { files: Vec::new(), with_system: true };
    let Some(tls) = &service.client_tls else {
        let min = if is_insecure_anyway { Version::Tls13 } else { Version::Tls12 };
        let protocol =
            Protocol { min, max: Version::Tls13, suites: Vec::new(), groups: Vec::new() };
        return ClientTls {
            is_insecure: is_insecure_anyway,
            authorities: system,
            certificates: Vec::new(),
            protocol,
        };
    };
    let certificates = pairs(tls, "client_certs", "certificate", "private_key");
    for (index, pair) in certificates.iter().enumerate() {
        if pair.certificate.is_empty() || pair.private_key.is_empty() {
            let place = tls.place_of("client_certs").index(index);
            let problem = Problem::lenient(place, "certificate or private_key is missing");
            problems.push(problem.hint("each entry names two PEM files"));
        }
    }
    let protocol = protocol(tls, problems);
    if !protocol.is_possible() {
        let what = "min_version lies above max_version: no upstream can be called over TLS";
        problems.push(Problem::lenient(tls.place_of("max_version"), what).hint(ABSENT_VERSION));
    }
    ClientTls {
        is_insecure: is_insecure_anyway || tls.boolean("allow_insecure_connections"),
        authorities: authorities(tls),
        certificates,
        protocol,
    }
}

const ABSENT_VERSION: &str = "an absent min_version means TLS13: write \"min_version\": \"TLS12\"";

fn pairs(tls: &Shaped, list: &str, certificate: &str, key: &str) -> Vec<KeyFiles> {
    let pairs = tls.pairs(list, certificate, key).into_iter();
    pairs
        .map(|(certificate, key)| KeyFiles {
            certificate: certificate.into(),
            private_key: key.into(),
        })
        .collect()
}

fn authorities(tls: &Shaped) -> Authorities {
    Authorities {
        files: tls.texts("ca_certs").into_iter().map(str::to_owned).collect(),
        with_system: !tls.boolean("disable_system_ca_pool"),
    }
}

fn protocol(tls: &Shaped, problems: &mut Vec<Problem>) -> Protocol {
    let min = version(tls, "min_version", problems);
    let max = version(tls, "max_version", problems);
    let (suites, wanted) = suites(tls, problems);
    let mut protocol = Protocol { min, max, suites, groups: groups(tls, problems) };
    if wanted && protocol.suites.is_empty() && protocol.min == Version::Tls12 {
        // Nothing is left of what TLS 1.2 could use.
        let what = "none of the suites is served: TLS 1.2 is not spoken";
        problems.push(Problem::warn(tls.place_of("cipher_suites"), what));
        protocol.min = Version::Tls13;
    }
    protocol
}

fn version(tls: &Shaped, key: &'static str, problems: &mut Vec<Problem>) -> Version {
    let name = tls.text(key);
    if name.is_empty() {
        return Version::Tls13;
    }
    match VERSIONS.iter().find(|(known, _)| *known == name) {
        Some((_, Some(version))) => *version,
        Some((_, None)) => {
            let what = format!("{name} is not spoken any more (RFC 8996): TLS12 counts");
            problems.push(Problem::warn(tls.place_of(key), what));
            Version::Tls12
        }
        None => {
            let what = format!("{name:?} names no version of TLS");
            problems.push(
                Problem::lenient(tls.place_of(key), what)
                    .hint("write TLS12 or TLS13; --lenient takes TLS13, as the original does"),
            );
            Version::Tls13
        }
    }
}

/// The suites of TLS 1.2 to be used, and whether any were named.
fn suites(tls: &Shaped, problems: &mut Vec<Problem>) -> (Vec<u16>, bool) {
    let named = tls.integers("cipher_suites");
    let mut suites = Vec::new();
    let mut dropped = Vec::new();
    for number in &named {
        match u16::try_from(*number) {
            Ok(id) if SUITES.contains(&id) => suites.push(id),
            Ok(id) if SUITES_13.contains(&id) => {}
            Ok(id) if SUITES_REFUSED.contains(&id) => {
                dropped.push(number.to_string());
            }
            _ => {
                let what = format!("{number} is the number of no cipher suite");
                problems.push(
                    Problem::lenient(tls.place_of("cipher_suites"), what)
                        .hint("known are 49195, 49196, 49199, 49200, 52392 and 52393"),
                );
            }
        }
    }
    if !dropped.is_empty() {
        let what =
            format!("not served, since they are not safe any more: suites {}", dropped.join(", "));
        problems.push(Problem::warn(tls.place_of("cipher_suites"), what));
    }
    (suites, !named.is_empty())
}

fn groups(tls: &Shaped, problems: &mut Vec<Problem>) -> Vec<u16> {
    let named = tls.integers("curve_preferences");
    let mut groups = Vec::new();
    for number in &named {
        match u16::try_from(*number) {
            Ok(id) if GROUPS.contains(&id) => groups.push(id),
            Ok(GROUP_P521) => {
                let what = "P-521 (25) is not served; it is left out";
                problems.push(Problem::warn(tls.place_of("curve_preferences"), what));
            }
            _ => {
                let what = format!("{number} is the number of no curve");
                problems.push(Problem::lenient(tls.place_of("curve_preferences"), what).hint(
                    "known are 23 (P-256), 24 (P-384), 29 (X25519) and 4588 (X25519MLKEM768)",
                ));
            }
        }
    }
    if groups.is_empty() && !named.is_empty() {
        let what = "none of the curves is served: the defaults count";
        problems.push(Problem::warn(tls.place_of("curve_preferences"), what));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::config::problem::Severity;

    fn service(rest: &str) -> Service {
        let text = format!("{{\"version\": 3, \"endpoints\": [], {rest}}}");
        config::parse("krakend.json", text.as_bytes(), &[]).expect("it can be read").service
    }

    fn server_of(block: &str) -> (Option<ServerTls>, Vec<Problem>) {
        let mut problems = Vec::new();
        let tls = server(&service(&format!("\"tls\": {block}")), &mut problems);
        (tls, problems)
    }

    fn client_of(rest: &str) -> (ClientTls, Vec<Problem>) {
        let mut problems = Vec::new();
        let tls = client(&service(rest), &mut problems);
        (tls, problems)
    }

    #[test]
    fn the_former_pair_comes_after_the_list_and_is_no_authority() {
        let (tls, problems) = server_of(
            r#"{"keys": [{"public_key": "a.pem", "private_key": "a.key"}], "public_key": "b.pem",
                "private_key": "b.key", "enable_mtls": true, "ca_certs": ["ca.pem"], "disable_system_ca_pool": true}"#,
        );
        let tls = tls.unwrap();
        let names: Vec<&str> = tls.keys.iter().map(|pair| pair.certificate.as_str()).collect();
        assert_eq!((names, problems), (vec!["a.pem", "b.pem"], Vec::new()));
        let authorities = tls.client_authorities.unwrap();
        assert_eq!(authorities.files, ["ca.pem", "a.pem"]);
        assert!(!authorities.with_system);
        assert_eq!((tls.protocol.min, tls.protocol.max), (Version::Tls13, Version::Tls13));
    }

    #[test]
    fn a_missing_half_is_refused_by_name() {
        for (block, what) in [
            ("{}", "public key not defined"),
            (r#"{"public_key": "a.pem"}"#, "private key not defined"),
            (r#"{"private_key": "a.key"}"#, "public key not defined"),
            (r#"{"keys": [{"public_key": "a.pem"}]}"#, "private key not defined"),
        ] {
            let (_, problems) = server_of(block);
            assert_eq!(problems.len(), 1, "{block}");
            assert_eq!(problems[0].what, what, "{block}");
            assert_eq!(problems[0].severity, Severity::Refuse);
        }
        assert_eq!(server_of(r#"{"disabled": true}"#), (None, Vec::new()));
    }

    #[test]
    fn old_versions_and_suites_are_raised_with_a_warning_and_unknown_ones_refused() {
        let pair = r#""public_key": "a.pem", "private_key": "a.key""#;
        let (tls, problems) = server_of(&format!(
            r#"{{{pair}, "min_version": "TLS10", "cipher_suites": [5, 49199, 4865], "curve_preferences": [25, 24]}}"#
        ));
        let protocol = tls.unwrap().protocol;
        assert_eq!((protocol.min, protocol.max), (Version::Tls12, Version::Tls13));
        assert_eq!((protocol.suites, protocol.groups), (vec![49199], vec![24]));
        assert!(problems.iter().all(|problem| problem.severity == Severity::Warn));
        assert_eq!(problems.len(), 3);
        for wrong in
            [r#""min_version": "1.2""#, r#""cipher_suites": [1]"#, r#""curve_preferences": [1]"#]
        {
            let (_, problems) = server_of(&format!("{{{pair}, {wrong}}}"));
            assert_eq!(problems[0].severity, Severity::Lenient, "{wrong}");
            assert!(problems[0].hint.is_some());
        }
    }

    #[test]
    fn suites_that_are_all_unsafe_leave_only_version_13() {
        let pair = r#""public_key": "a.pem", "private_key": "a.key""#;
        let (tls, problems) =
            server_of(&format!(r#"{{{pair}, "min_version": "TLS12", "cipher_suites": [47]}}"#));
        assert_eq!(tls.unwrap().protocol.min, Version::Tls13);
        assert_eq!(problems.len(), 2);
        let (_, problems) = server_of(&format!(r#"{{{pair}, "max_version": "TLS12"}}"#));
        assert_eq!(problems[0].severity, Severity::Refuse);
    }

    #[test]
    fn a_block_for_upstreams_raises_the_least_version() {
        let min = |rest| client_of(rest).0.protocol.min;
        assert_eq!(min("\"port\": 1"), Version::Tls12);
        assert_eq!(min("\"client_tls\": {}"), Version::Tls13);
        assert_eq!(min("\"allow_insecure_connections\": true"), Version::Tls13);
        assert!(client_of("\"allow_insecure_connections\": true").0.is_insecure);
        assert!(client_of("\"client_tls\": {\"allow_insecure_connections\": true}").0.is_insecure);
        let (tls, problems) = client_of("\"client_tls\": {\"max_version\": \"TLS12\"}");
        assert!(!tls.protocol.is_possible());
        assert_eq!(problems[0].severity, Severity::Lenient);
    }
}

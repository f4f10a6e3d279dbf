//! OpenSSL's cipher lists (ciphers(1)), as far as rustls has what they name.
//!
//! A list chooses among the suites of TLS 1.2; those of TLS 1.3 are always there, as in OpenSSL. The
//! order is that in which we choose. AES with a key of 128 bits comes first, as its hash, SHA-256, is
//! what processors have instructions for: with SHA-384 the hashes of a handshake take as long as its
//! signature.

use rustls::crypto::aws_lc_rs::cipher_suite as suites;
use rustls::{CipherSuite, SupportedCipherSuite};

/// A suite of TLS 1.2 as OpenSSL names it, and the words that mean it among others.
struct Known {
    suite: SupportedCipherSuite,
    name: &'static str,
    iana: &'static str,
    words: &'static [&'static str],
}

const KNOWN: [Known; 6] = [
    Known {
        suite: suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        name: "ECDHE-ECDSA-AES128-GCM-SHA256",
        iana: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        words: &["ECDSA", "aECDSA", "AESGCM", "AES", "AES128", "SHA256"],
    },
    Known {
        suite: suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        name: "ECDHE-ECDSA-AES256-GCM-SHA384",
        iana: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        words: &["ECDSA", "aECDSA", "AESGCM", "AES", "AES256", "SHA384"],
    },
    Known {
        suite: suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        name: "ECDHE-ECDSA-CHACHA20-POLY1305",
        iana: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        words: &["ECDSA", "aECDSA", "CHACHA20", "SHA256"],
    },
    Known {
        suite: suites::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        name: "ECDHE-RSA-AES128-GCM-SHA256",
        iana: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        words: &["RSA", "aRSA", "AESGCM", "AES", "AES128", "SHA256"],
    },
    Known {
        suite: suites::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        name: "ECDHE-RSA-AES256-GCM-SHA384",
        iana: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        words: &["RSA", "aRSA", "AESGCM", "AES", "AES256", "SHA384"],
    },
    Known {
        suite: suites::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        name: "ECDHE-RSA-CHACHA20-POLY1305",
        iana: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        words: &["RSA", "aRSA", "CHACHA20", "SHA256"],
    },
];

/// Words that mean every suite there is.
const ALL: [&str; 8] = ["ALL", "DEFAULT", "HIGH", "ECDHE", "EECDH", "kECDHE", "kEECDH", "TLSv1.2"];

const TLS13: [SupportedCipherSuite; 3] = [
    suites::TLS13_AES_128_GCM_SHA256,
    suites::TLS13_AES_256_GCM_SHA384,
    suites::TLS13_CHACHA20_POLY1305_SHA256,
];

impl Known {
    fn is_meant_by(&self, word: &str) -> bool {
        word.split('+').all(|part| {
            ALL.contains(&part)
                || self.words.contains(&part)
                || part == self.name
                || part == self.iana
        })
    }
}

/// All there are.
pub(super) fn all() -> Vec<SupportedCipherSuite> {
    TLS13.into_iter().chain(KNOWN.iter().map(|known| known.suite)).collect()
}

/// Whether a suite is one of ChaCha20-Poly1305, which is quicker than AES where there are no
/// instructions for that.
pub(super) fn is_chacha(suite: &CipherSuite) -> bool {
    matches!(
        suite,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
            | CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
    )
}

/// The suites that a list leaves, and the parts of it that mean none.
///
/// # Errors
///
/// It leaves none of TLS 1.2.
pub(super) fn choose(list: &str) -> Result<(Vec<SupportedCipherSuite>, Vec<String>), String> {
    let mut chosen: Vec<&Known> = Vec::new();
    let mut banned: Vec<&str> = Vec::new();
    let mut unknown = Vec::new();
    for part in list.split([':', ',', ' ', ';']).filter(|part| !part.is_empty()) {
        let (word, is_wanted) = match part.split_at_checked(1) {
            Some(("!", word)) => {
                banned.push(word);
                (word, false)
            }
            Some(("-", word)) => (word, false),
            Some(("+" | "@", _)) => continue,
            _ => (part, true),
        };
        if is_wanted {
            let meant = || KNOWN.iter().filter(|known| known.is_meant_by(word));
            let is_tls13 = TLS13.iter().any(|suite| name(*suite) == word);
            if meant().next().is_none() && !is_tls13 {
                unknown.push(word.to_owned());
            }
            for known in meant() {
                if !chosen.iter().any(|chosen| chosen.name == known.name) {
                    chosen.push(known);
                }
            }
        } else {
            chosen.retain(|known| !known.is_meant_by(word));
        }
    }
    chosen.retain(|known| !banned.iter().any(|word| known.is_meant_by(word)));
    if chosen.is_empty() {
        let names: Vec<_> = KNOWN.iter().map(|known| known.name).collect();
        return Err(format!("`{list}` leaves no cipher; there are {}", names.join(", ")));
    }
    let suites = TLS13.into_iter().chain(chosen.into_iter().map(|known| known.suite));
    Ok((suites.collect(), unknown))
}

/// A suite's name as OpenSSL has it, which is what mod_ssl's SSL_CIPHER is.
pub(super) fn name(suite: SupportedCipherSuite) -> &'static str {
    let id = suite.suite();
    if let Some(known) = KNOWN.iter().find(|known| known.suite.suite() == id) {
        return known.name;
    }
    match id {
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<&'static str> {
        let (suites, _) = choose(list).expect("some are left");
        let of12 = suites.into_iter().filter(|suite| suite.tls13().is_none());
        of12.map(name).collect()
    }

    #[test]
    fn names_choose_in_their_order() {
        let list = "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305";
        let expected = ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"];
        assert_eq!(names(list), expected);
        assert_eq!(names("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"), expected[..1]);
    }

    #[test]
    fn words_choose_and_ban() {
        assert_eq!(names("HIGH:!aNULL:!MD5").len(), 6);
        assert_eq!(names("ECDHE+AESGCM:!AES128").len(), 2);
        assert_eq!(
            names("ECDHE+CHACHA20:ECDHE+AESGCM").first(),
            Some(&"ECDHE-ECDSA-CHACHA20-POLY1305")
        );
        assert_eq!(names("ALL:-RSA:@STRENGTH").len(), 3);
        assert_eq!(names("!ECDSA:ALL").len(), 3);
    }

    #[test]
    fn what_there_is_not_is_named() {
        let (_, unknown) = choose("ECDHE-RSA-AES128-GCM-SHA256:AES128-SHA:RC4").expect("one");
        assert_eq!(unknown, ["AES128-SHA", "RC4"]);
        assert!(choose("AES128-SHA:DES-CBC3-SHA").expect_err("none").contains("leaves no cipher"));
        assert!(choose("ALL:!ECDHE").is_err());
    }

    #[test]
    fn those_of_tls13_stay() {
        let (suites, _) = choose("ECDHE-RSA-AES128-GCM-SHA256").expect("one");
        assert_eq!(suites.iter().filter(|suite| suite.tls13().is_some()).count(), 3);
    }
}

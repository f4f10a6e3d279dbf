//! What an operator should know about certificates that can be used, and will not do.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::bundle::Bundle;
use super::identity::{distinguished_name, time};

/// Time before its end from which a certificate that was not renewed is worth a word.
const SOON: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What is wrong with the certificates of a bundle, one line each.
pub(super) fn on(bundle: &Bundle, now: SystemTime) -> Vec<String> {
    let mut advice = on_time(bundle, now);
    for_each(bundle, |origin, chain| {
        let Some(own) = chain.first() else { return };
        if !matches!(own.subject_alternative_name(), Ok(Some(_))) {
            advice.push(format!(
                "the certificate in `{origin}` has no alternative name (subjectAltName): browsers \
                 and most other clients look at nothing else, and will refuse it"
            ));
        }
        let broken = chain.windows(2).find_map(|pair| match pair {
            [one, next] if one.issuer().as_raw() != next.subject().as_raw() => Some((one, next)),
            _ => None,
        });
        if let Some((one, next)) = broken {
            advice.push(format!(
                "the certificates in `{origin}` are not in order: `{}` was not signed by `{}`, which \
                 comes after it; clients may not find the way to an authority that they know",
                distinguished_name(one.subject()),
                distinguished_name(next.subject()),
            ));
        }
    });
    advice
}

/// Which certificates are over, are not good yet, or end soon.
pub(super) fn on_time(bundle: &Bundle, now: SystemTime) -> Vec<String> {
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let soon = now.saturating_add_unsigned(SOON.as_secs());
    let mut advice = Vec::new();
    for_each(bundle, |origin, chain| {
        let Some(validity) = chain.first().map(|own| own.validity()) else { return };
        let (from, until) = (validity.not_before, validity.not_after);
        let what = if until.timestamp() < now {
            format!("was good until {} and clients refuse it: renew it", time(until))
        } else if from.timestamp() > now {
            format!("is good from {} on, and clients refuse it until then", time(from))
        } else if until.timestamp() < soon {
            format!("is good until {} only: renew it", time(until))
        } else {
            return;
        };
        advice.push(format!("the certificate in `{origin}` {what}"));
    });
    advice
}

/// Calls `look` with the file and the certificates of each chain that can be read.
fn for_each(bundle: &Bundle, mut look: impl FnMut(&str, &[X509Certificate<'_>])) {
    for pair in &bundle.pairs {
        let ders: Vec<_> = CertificateDer::pem_slice_iter(&pair.chain).flatten().collect();
        let chain = ders.iter().filter_map(|der| Some(X509Certificate::from_der(der).ok()?.1));
        look(&pair.origin, &chain.collect::<Vec<_>>());
    }
}

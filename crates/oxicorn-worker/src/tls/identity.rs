//! A client's certificate as environ shows it: mod_ssl's names and forms.
//!
//! <https://httpd.apache.org/docs/2.4/mod/mod_ssl.html#envvars>. Only a certificate that was
//! verified in the handshake comes here. Names are in the order and form of RFC 2253.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use x509_parser::der_parser::asn1_rs::Oid;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{
    ASN1Time, AttributeTypeAndValue, FromDer, GeneralName, X509Certificate, X509Name,
};

/// Whether the client has a certificate that is good.
pub(super) const VERIFY: &str = "SSL_CLIENT_VERIFY";

/// Attributes that have a variable of their own, by their object identifiers.
const ATTRIBUTES: [(&str, &str, &str); 9] = [
    ("2.5.4.3", "SSL_CLIENT_S_DN_CN", "SSL_CLIENT_I_DN_CN"),
    ("2.5.4.6", "SSL_CLIENT_S_DN_C", "SSL_CLIENT_I_DN_C"),
    ("2.5.4.7", "SSL_CLIENT_S_DN_L", "SSL_CLIENT_I_DN_L"),
    ("2.5.4.8", "SSL_CLIENT_S_DN_ST", "SSL_CLIENT_I_DN_ST"),
    ("2.5.4.10", "SSL_CLIENT_S_DN_O", "SSL_CLIENT_I_DN_O"),
    ("2.5.4.11", "SSL_CLIENT_S_DN_OU", "SSL_CLIENT_I_DN_OU"),
    ("2.5.4.12", "SSL_CLIENT_S_DN_T", "SSL_CLIENT_I_DN_T"),
    ("0.9.2342.19200300.100.1.1", "SSL_CLIENT_S_DN_UID", "SSL_CLIENT_I_DN_UID"),
    ("1.2.840.113549.1.9.1", "SSL_CLIENT_S_DN_Email", "SSL_CLIENT_I_DN_Email"),
];

/// Most names of one kind that are told: a certificate may have any number of them.
const MOST_NAMES: usize = 32;

/// Adds the variables of a verified certificate, as they are at this time.
pub(super) fn add(
    variables: &mut Vec<(Cow<'static, str>, String)>,
    certificate: &CertificateDer<'_>,
    now: SystemTime,
) {
    let mut add = |key: &'static str, value: String| variables.push((key.into(), value));
    add(VERIFY, "SUCCESS".to_owned());
    add("SSL_CLIENT_CERT", pem(certificate));
    // The verifier has read it, so this cannot fail for what an application may rely on.
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return };
    add("SSL_CLIENT_M_VERSION", (parsed.version().0 + 1).to_string());
    add("SSL_CLIENT_M_SERIAL", serial(parsed.raw_serial()));
    add("SSL_CLIENT_S_DN", distinguished_name(parsed.subject()));
    add("SSL_CLIENT_I_DN", distinguished_name(parsed.issuer()));
    add("SSL_CLIENT_V_START", time(parsed.validity().not_before));
    add("SSL_CLIENT_V_END", time(parsed.validity().not_after));
    add("SSL_CLIENT_V_REMAIN", days_left(parsed.validity().not_after, now).to_string());
    add("SSL_CLIENT_A_SIG", short_name(&parsed.signature_algorithm.algorithm));
    add("SSL_CLIENT_A_KEY", short_name(&parsed.public_key().algorithm.algorithm));
    for (oid, subject, issuer) in ATTRIBUTES {
        for (name, key) in [(parsed.subject(), subject), (parsed.issuer(), issuer)] {
            let found = name.iter_attributes().find(|each| each.attr_type().to_id_string() == oid);
            if let Some(value) = found.map(value) {
                add(key, value);
            }
        }
    }
    let Ok(Some(alternatives)) = parsed.subject_alternative_name() else { return };
    let (mut emails, mut hosts) = (0, 0);
    for name in &alternatives.value.general_names {
        let (kind, count, value) = match name {
            GeneralName::RFC822Name(value) => ("Email", &mut emails, value),
            GeneralName::DNSName(value) => ("DNS", &mut hosts, value),
            _ => continue,
        };
        if *count < MOST_NAMES {
            variables.push((format!("SSL_CLIENT_SAN_{kind}_{count}").into(), (*value).to_owned()));
            *count += 1;
        }
    }
}

/// Whole days until a time; 0 if it is over.
fn days_left(end: ASN1Time, now: SystemTime) -> u64 {
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    u64::try_from(end.timestamp()).unwrap_or(0).saturating_sub(now) / (24 * 60 * 60)
}

/// The certificate as PEM (RFC 7468).
fn pem(certificate: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in certificate.chunks(48) {
        for group in line.chunks(3) {
            let of = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
            let bits = of(0) << 16 | of(1) << 8 | of(2);
            for place in 0..4 {
                let index = (bits >> (18 - 6 * place) & 63) as usize;
                let is_filled = place <= group.len();
                text.push(if is_filled { char::from(ALPHABET[index]) } else { '=' });
            }
        }
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

/// A serial number in hexadecimal, as OpenSSL prints it.
fn serial(bytes: &[u8]) -> String {
    let skip =
        bytes.iter().take_while(|byte| **byte == 0).count().min(bytes.len().saturating_sub(1));
    bytes.iter().skip(skip).map(|byte| format!("{byte:02X}")).collect()
}

/// A time as OpenSSL prints it: `Nov 29 19:13:06 2026 GMT`.
pub(super) fn time(time: ASN1Time) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let at = time.to_datetime();
    let month = MONTHS[usize::from(u8::from(at.month())) - 1];
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    format!("{month} {:2} {hour:02}:{minute:02}:{second:02} {} GMT", at.day(), at.year())
}

/// A name in the form of RFC 2253: the last part first.
pub(super) fn distinguished_name(name: &X509Name<'_>) -> String {
    let parts = name.iter_rdn().map(|part| {
        let attributes = part
            .iter()
            .map(|each| format!("{}={}", short_name(each.attr_type()), escape(&value(each))));
        attributes.collect::<Vec<_>>().join("+")
    });
    let mut parts: Vec<_> = parts.collect();
    parts.reverse();
    parts.join(",")
}

fn short_name(oid: &Oid<'_>) -> String {
    // RFC 2253's abbreviations, which the registry has; numbers for the rest.
    match oid2abbrev(oid, oid_registry()) {
        Ok(name) => name.to_owned(),
        Err(_) => oid.to_id_string(),
    }
}

/// The text of an attribute; its bytes in hexadecimal if it is none.
fn value(attribute: &AttributeTypeAndValue<'_>) -> String {
    match attribute.as_str() {
        Ok(text) => text.to_owned(),
        Err(_) => {
            let bytes = attribute.as_slice().iter();
            bytes.map(|byte| format!("{byte:02X}")).collect()
        }
    }
}

/// Escapes a value (RFC 2253, section 2.4). Control characters are escaped as well, so that the
/// whole is one line.
fn escape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, letter) in value.chars().enumerate() {
        let at_end = letter == ' ' && (at == 0 || at == last) || letter == '#' && at == 0;
        if at_end || matches!(letter, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            text.push('\\');
            text.push(letter);
        } else if letter.is_ascii_control() {
            text.push_str(&format!("\\{:02X}", u32::from(letter)));
        } else {
            text.push(letter);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_of_a_name_are_escaped() {
        assert_eq!(escape("plain name"), "plain name");
        assert_eq!(escape("a,b+c\"d\\e<f>g;h"), "a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h");
        assert_eq!(escape(" #a "), "\\ #a\\ ");
        assert_eq!(escape("#a#"), "\\#a#");
        assert_eq!(escape("a\nb"), "a\\0Ab");
    }

    #[test]
    fn what_is_left_is_counted_in_whole_days() {
        let day = 24 * 60 * 60;
        let now = UNIX_EPOCH + std::time::Duration::from_secs(10 * day);
        for (at, left) in [(0, 0), (10, 0), (11, 1), (375, 365)] {
            let end = ASN1Time::from_timestamp(at * 24 * 60 * 60).expect("a time");
            assert_eq!(days_left(end, now), left);
        }
        let almost = ASN1Time::from_timestamp(12 * 24 * 60 * 60 - 1).expect("a time");
        assert_eq!(days_left(almost, now), 1);
    }

    #[test]
    fn a_serial_number_has_no_leading_zeros() {
        assert_eq!(serial(&[0, 0x8f, 1]), "8F01");
        assert_eq!(serial(&[0]), "00");
    }

    #[test]
    fn base64_is_padded_and_wrapped() {
        let text = pem(&[b'a'; 50]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1], "YWFh".repeat(16));
        assert_eq!(lines[2], "YWE=");
        assert_eq!(lines.len(), 4);
    }
}

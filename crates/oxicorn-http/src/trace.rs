//! Which distributed trace a request belongs to: the field `traceparent` (W3C Trace Context, 3.2).
//!
//! Identifiers only: nothing is decided by them, so they count whoever sent them.

/// The caller's place in a trace, as hexadecimal digits in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace_id: [u8; 32],
    /// The caller's span, which the request is a child of.
    pub span_id: [u8; 16],
}

impl TraceParent {
    /// Reads the value of a `traceparent` field; `None` when it must be ignored.
    ///
    /// Versions that are not known may have more fields behind those of version 00 (4.3).
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (version, rest) = value.split_first_chunk::<2>()?;
        let (trace_id, rest) = field::<32>(rest)?;
        let (span_id, rest) = field::<16>(rest)?;
        let (flags, rest) = field::<2>(rest)?;
        let is_hex = [&version[..], trace_id, span_id, flags].iter().all(|part| is_hex(part));
        let ends_well = match version {
            b"00" => rest.is_empty(),
            b"ff" => false,
            _ => rest.is_empty() || rest.starts_with(b"-"),
        };
        let is_known = has_digit(trace_id) && has_digit(span_id);
        (is_hex && ends_well && is_known).then_some(Self { trace_id: *trace_id, span_id: *span_id })
    }
}

/// A hyphen and the digits behind it.
fn field<const N: usize>(text: &[u8]) -> Option<(&[u8; N], &[u8])> {
    text.strip_prefix(b"-")?.split_first_chunk()
}

fn is_hex(digits: &[u8]) -> bool {
    digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
}

/// Identifiers of zeros only are none.
fn has_digit(digits: &[u8]) -> bool {
    digits.iter().any(|digit| *digit != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn parse(value: &str) -> Option<TraceParent> {
        TraceParent::parse(value.as_bytes())
    }

    #[test]
    fn the_identifiers_are_taken() {
        let found = parse(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        assert_eq!(found.trace_id, TRACE.as_bytes());
        assert_eq!(found.span_id, SPAN.as_bytes());
    }

    #[test]
    fn a_later_version_may_say_more() {
        assert!(parse(&format!("cc-{TRACE}-{SPAN}-01-what-comes")).is_some());
        assert!(parse(&format!("cc-{TRACE}-{SPAN}-01")).is_some());
        assert!(parse(&format!("cc-{TRACE}-{SPAN}-01.more")).is_none());
        assert!(parse(&format!("00-{TRACE}-{SPAN}-01-more")).is_none());
    }

    #[test]
    fn what_is_not_valid_is_ignored() {
        let zeros = "0".repeat(32);
        let upper = TRACE.to_uppercase();
        for value in [
            String::new(),
            "00".to_owned(),
            "00-1-2-01".to_owned(),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0g-{TRACE}-{SPAN}-01"),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-{}-01", &zeros[..16]),
            format!("00-{upper}-{SPAN}-01"),
            format!("00-{TRACE}-{SPAN}-0"),
            format!("00-{TRACE}-{SPAN}-0x"),
            format!("00-{TRACE}-{SPAN}"),
            format!("00_{TRACE}_{SPAN}_01"),
            format!("00-{TRACE}0-{SPAN}-01"),
            format!(" 00-{TRACE}-{SPAN}-01"),
        ] {
            assert_eq!(parse(&value), None, "{value}");
        }
    }
}

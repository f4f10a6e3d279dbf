//! How long a request body is: the one place that decides it (RFC 9112, section 6.3).

use crate::octets::{self, TCHAR, list};
use crate::{Framing, Reject, Version};

/// Decides from the values of Content-Length and Transfer-Encoding, each sent once at most.
///
/// Both at once is the shape of a smuggled request, and so is a transfer coding in HTTP/1.0, which
/// does not know any: both are refused, though the RFC would let a server guess.
pub(super) fn of_request(
    version: Version,
    content_length: Option<&[u8]>,
    transfer_encoding: Option<&[u8]>,
) -> Result<Framing, Reject> {
    match (content_length, transfer_encoding) {
        (None, None) => Ok(Framing::None),
        (Some(value), None) => length(value).map(Framing::Length),
        (Some(_), Some(_)) => {
            Err(Reject::BadRequest("Content-Length together with Transfer-Encoding"))
        }
        (None, Some(_)) if version == Version::Http10 => {
            Err(Reject::BadRequest("Transfer-Encoding in HTTP/1.0"))
        }
        (None, Some(value)) => coding(value).map(|()| Framing::Chunked),
    }
}

/// Digits and nothing else: no sign, no list, no white space inside, no other script's digits.
fn length(value: &[u8]) -> Result<u64, Reject> {
    let length = digits(value).ok_or(Reject::BadRequest("invalid Content-Length"))?;
    length.filter(|&length| length <= i64::MAX as u64).ok_or(Reject::BodyTooLarge)
}

/// The number of one to twenty decimal digits; `Some(None)` when it does not fit.
pub(super) fn digits(value: &[u8]) -> Option<Option<u64>> {
    if value.is_empty() || value.len() > LENGTH_DIGITS || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().try_fold(0_u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    }))
}

/// Accepts `chunked` alone. Another coding that is well-formed is unknown, the rest malformed.
fn coding(value: &[u8]) -> Result<(), Reject> {
    if is_chunked(value) {
        return Ok(());
    }
    // `chunked` may only come last, and once, so what precedes the last member must be unknown.
    let are_tokens = list(value).all(|coding| !coding.is_empty() && octets::all(coding, TCHAR));
    let before_last = list(value).count() - 1;
    if are_tokens && !list(value).take(before_last).any(is_chunked) {
        return Err(Reject::NotImplemented("unknown transfer coding"));
    }
    Err(Reject::BadRequest("invalid Transfer-Encoding"))
}

fn is_chunked(coding: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"chunked")
}

/// Enough for every length that fits in 64 bits.
const LENGTH_DIGITS: usize = 20;

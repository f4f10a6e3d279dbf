//! What the fields of a head say about the connection: collected line by line, decided at the end.
//!
//! Framing is left to [`framing`](super::framing); here are Host, persistence, expectations and
//! protocol upgrades.

use super::{framing, target};
use crate::octets::list;
use crate::{Framing, Head, Name, Policy, Reject, Version};

/// What was seen in the field lines so far.
#[derive(Debug, Default)]
pub(super) struct Facts<'i> {
    content_length: Option<&'i [u8]>,
    transfer_encoding: Option<&'i [u8]>,
    host: Option<&'i [u8]>,
    has_content_type: bool,
    has_upgrade: bool,
    wants_close: bool,
    wants_keep_alive: bool,
    wants_upgrade: bool,
    expects_continue: bool,
    expects_other: bool,
    /// What is wrong: mostly a field that may be there once only (RFC 9110, section 5.3).
    fault: Option<&'static str>,
}

impl<'i> Facts<'i> {
    /// Takes in one field that the server acts upon.
    pub(super) fn note(&mut self, name: Name, value: &'i [u8]) {
        let repeats = match name {
            Name::Connection => {
                self.connection(value);
                None
            }
            Name::ContentLength => {
                self.content_length.replace(value).map(|_| "repeated Content-Length")
            }
            Name::ContentType => std::mem::replace(&mut self.has_content_type, true)
                .then_some("repeated Content-Type"),
            Name::Expect => {
                let is_continue = value.eq_ignore_ascii_case(b"100-continue");
                self.expects_continue |= is_continue;
                self.expects_other |= !is_continue;
                None
            }
            Name::Host => self.host.replace(value).map(|_| "repeated Host"),
            Name::TransferEncoding => {
                self.transfer_encoding.replace(value).map(|_| "repeated Transfer-Encoding")
            }
            Name::Upgrade => {
                self.has_upgrade = true;
                None
            }
            Name::Cookie | Name::Other => None,
        };
        self.fault = self.fault.or(repeats);
    }

    /// Takes in that a name has a `_` which the policy does not permit.
    pub(super) fn note_underscore(&mut self) {
        self.fault = self.fault.or(Some("underscore in a field name"));
    }

    /// Decides what all of it means together.
    pub(super) fn decide(&self, head: &mut Head, policy: &Policy) -> Result<(), Reject> {
        if let Some(what) = self.fault {
            return Err(Reject::BadRequest(what));
        }
        let is_http11 = head.version == Version::Http11;
        match self.host {
            Some(host) if !target::is_authority(host) => {
                return Err(Reject::BadRequest("invalid Host"));
            }
            None if is_http11 && !policy.permit_missing_host => {
                return Err(Reject::BadRequest("HTTP/1.1 without Host"));
            }
            _ => {}
        }
        head.framing =
            framing::of_request(head.version, self.content_length, self.transfer_encoding)?;
        if is_http11 && self.expects_other {
            return Err(Reject::ExpectationFailed);
        }
        let has_body = !matches!(head.framing, Framing::None | Framing::Length(0));
        head.expect_continue = is_http11 && self.expects_continue && has_body;
        head.persistent = !self.wants_close && (is_http11 || self.wants_keep_alive);
        head.upgrade = is_http11 && self.wants_upgrade && self.has_upgrade;
        Ok(())
    }

    /// Connection options: case-insensitive, in a list (RFC 9110, section 7.6.1).
    fn connection(&mut self, value: &[u8]) {
        // What browsers send, without taking a list apart.
        if value == b"keep-alive" {
            self.wants_keep_alive = true;
            return;
        }
        for option in list(value) {
            self.wants_close |= option.eq_ignore_ascii_case(b"close");
            self.wants_keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            self.wants_upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }
}

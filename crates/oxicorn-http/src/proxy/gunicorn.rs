//! gunicorn's rules: `secure_scheme_headers` and a `SCRIPT_NAME` field, both from trusted peers only.

use super::{Effective, Trace, TrustedPeers, shown};
use crate::head::mark;
use crate::{Head, Reject};

/// The field that carries the prefix.
const SCRIPT_NAME: &[u8] = b"SCRIPT_NAME";

/// What gunicorn believes of trusted peers.
#[derive(Clone, Debug, Default)]
pub struct Gunicorn {
    pub(super) trusted: TrustedPeers,
    secure: Vec<(Vec<u8>, Vec<u8>)>,
    /// The marks of all names that matter.
    marks: u64,
}

impl Gunicorn {
    /// `secure` are field names and the values that mean https.
    ///
    /// A `SCRIPT_NAME` field is acted upon wherever the underscore policy let it through.
    #[must_use]
    pub fn new(trusted: TrustedPeers, secure: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        let names = secure.iter().map(|(name, _)| name.as_slice()).chain([SCRIPT_NAME]);
        let marks = names.fold(0, |marks, name| marks | mark(name));
        Self { trusted, secure, marks }
    }

    /// Whether a field is there that could change something.
    #[inline]
    pub(super) fn may_apply(&self, head: &Head) -> bool {
        head.marks & self.marks != 0
    }

    pub(super) fn judge(
        &self,
        head: &Head,
        bytes: &[u8],
        trace: &mut Trace<'_>,
    ) -> Result<Option<Effective>, Reject> {
        let mut effective = Effective::default();
        for field in &head.fields {
            let (name, value) = (field.name.of(bytes), field.value.of(bytes));
            if name.eq_ignore_ascii_case(SCRIPT_NAME) {
                trace.say(|| format!("SCRIPT_NAME is {}", shown(value)));
                effective.prefix = Some(value.to_vec());
                continue;
            }
            let found = self.secure.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
            let Some((_, means_https)) = found else { continue };
            let https = value == means_https;
            trace.say(|| {
                let scheme = if https { "https" } else { "http" };
                format!("{} is {}: the scheme is {scheme}", shown(name), shown(value))
            });
            if effective.https.replace(https).is_some_and(|before| before != https) {
                return Err(Reject::BadRequest("contradictory scheme headers"));
            }
        }
        if let Some(prefix) = &effective.prefix {
            // The prefix must be one in truth: applications build their links with it.
            if !prefix.is_empty() && !head.path(bytes).starts_with(prefix) {
                return Err(Reject::BadRequest("path does not begin with SCRIPT_NAME"));
            }
            effective.prefix_in_path = true;
        }
        let changes = effective.https.is_some() || effective.prefix.is_some();
        Ok(changes.then_some(effective))
    }
}

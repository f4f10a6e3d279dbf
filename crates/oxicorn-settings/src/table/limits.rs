//! How large requests may be.

use super::MOST;
use crate::setting::{Kind, Section, Setting, Support};

pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        name: "limit_request_line",
        section: Section::Limits,
        flags: &["--limit-request-line"],
        meta: "BYTES",
        kind: Kind::Integer { min: 0, max: 65536 },
        default: "8190",
        short: "Most bytes of a request line",
        long: "Above it the answer is 414. 0 leaves only the limit of the whole head. \
           gunicorn's default is 4094.",
        support: Support::Works,
        apply: |settings, value| {
            settings.limit_request_line = value.number()?;
            Ok(())
        },
    },
    Setting {
        name: "limit_request_fields",
        section: Section::Limits,
        flags: &["--limit-request-fields"],
        meta: "N",
        kind: Kind::Integer { min: 0, max: MOST },
        default: "100",
        short: "Most fields of a request",
        long: "Above it the answer is 431. 0, or more than 32768, means 32768.",
        support: Support::Works,
        apply: |settings, value| {
            settings.limit_request_fields = value.number()?;
            Ok(())
        },
    },
    Setting {
        name: "limit_request_field_size",
        section: Section::Limits,
        flags: &["--limit-request-field_size"],
        meta: "BYTES",
        kind: Kind::Integer { min: 0, max: 1048576 },
        default: "8190",
        short: "Most bytes of one field",
        long: "Above it the answer is 431. 0 leaves only the limit of the whole head. Raise \
           it for very large cookies or tickets.",
        support: Support::Works,
        apply: |settings, value| {
            settings.limit_request_field_size = value.number()?;
            Ok(())
        },
    },
    Setting {
        name: "limit_request_body",
        section: Section::Limits,
        flags: &["--limit-request-body"],
        meta: "BYTES",
        kind: Kind::Integer { min: 0, max: u64::MAX },
        default: "1073741824",
        short: "Most bytes of a request body; 0 is no limit",
        long: "Above it the answer is 413, and the application is not called. Lower it to \
           what the application needs.",
        support: Support::Works,
        apply: |settings, value| {
            settings.limit_request_body = value.integer()?;
            Ok(())
        },
    },
];

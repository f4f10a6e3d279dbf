//! Certificates, keys and authorities on disk, and what workers have of them.
//!
//! Whoever may read the files does: the master, which may be root while its workers are not, or a
//! worker that has no master. It looks whether they have changed, and publishes them if they are
//! good. What is wrong is told, and what was published before stays.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use aws_lc_rs::rand::SystemRandom;
use oxicorn_os::published::Published;

use super::bundle::{Bundle, Pair};
use super::terminator::server_config;
use super::tickets::ROTATION_SECS;
use super::{advice, certificates, ciphers};
use crate::error_log::{self, Level};

/// Largest file that is read.
const MOST_BYTES: u64 = 2 << 20;
/// Time between two looks at the files.
const LOOK: Duration = Duration::from_secs(1);

/// Whether clients need a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clients {
    /// They are not asked for one.
    #[default]
    Unasked,
    /// They may have one, which must be good then.
    Optional,
    /// Without a good one there is no connection.
    Required,
}

/// Where credentials are, and what goes with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Files of certificates with their chains, and of their keys. The first is for clients that
    /// name no server, or one that no certificate is for.
    pub certificates: Vec<(PathBuf, PathBuf)>,
    /// The file with those who sign client certificates.
    pub authorities: Option<PathBuf>,
    /// Whether clients need one.
    pub clients: Clients,
    /// Ciphers of TLS 1.2, as OpenSSL lists them; all that there are if `None`.
    pub ciphers: Option<String>,
    /// Whether TLS 1.2 is not spoken.
    pub only_tls13: bool,
    /// What may be spoken inside (ALPN), the best first.
    pub protocols: Vec<Vec<u8>>,
}

/// What makes a file another one.
type Signature = Option<(u64, u64, i64, i64, u64)>;

/// Credentials that are published to the workers of this process, or of those that it forks.
#[derive(Debug)]
pub struct Credentials {
    pub(super) sources: Sources,
    pub(super) published: Published,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    seen: Vec<Signature>,
    bundle: Bundle,
    looked_at: Instant,
    rotated_at: Instant,
}

impl Credentials {
    /// Reads the files and publishes what is in them; what the operator should know comes with it,
    /// one line each.
    ///
    /// # Errors
    ///
    /// One cannot be read or understood, or a key is not its certificate's; says which.
    pub fn open(sources: Sources) -> Result<(Self, Vec<String>), String> {
        if sources.clients != Clients::Unasked && sources.authorities.is_none() {
            return Err("client certificates need to be signed by somebody (ca_certs)".to_owned());
        }
        let seen = signatures(&sources);
        let (mut bundle, mut warnings) = read(&sources)?;
        if let Some(list) = &sources.ciphers {
            let (_, unknown) = ciphers::choose(list).map_err(|what| format!("{what} (ciphers)"))?;
            if !unknown.is_empty() {
                let unknown = unknown.join(":");
                warnings.push(format!("`{unknown}` is not among the ciphers there are (ciphers)"));
            }
        }
        bundle.rotate(&SystemRandom::new());
        // What it makes is made anew in the workers, after the fork.
        server_config(&bundle, &sources)?;
        warnings.extend(advice::on(&bundle, SystemTime::now()));
        let published = Published::new().map_err(|error| format!("no memory: {error}"))?;
        published.publish(&bundle.to_bytes()).map_err(|error| format!("no memory: {error}"))?;
        let now = Instant::now();
        let state = State { seen, bundle, looked_at: now, rotated_at: now };
        Ok((Self { sources, published, state: Mutex::new(state) }, warnings))
    }

    /// Looks, at most once a second, whether a file has changed or ticket keys are old.
    pub fn refresh(&self, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(state.looked_at) < LOOK {
            return;
        }
        state.looked_at = now;
        let mut is_new = false;
        let seen = signatures(&self.sources);
        if seen != state.seen {
            state.seen = seen;
            match self.read_again(&state.bundle.tickets) {
                Ok(None) => {}
                Ok(Some(bundle)) => {
                    state.bundle = bundle;
                    is_new = true;
                    log("the certificates have changed: new connections get the new ones");
                }
                Err(what) => error_log::write(
                    Level::Error,
                    format_args!("the certificates have changed, but the old ones stay: {what}"),
                ),
            }
        }
        let rotation = Duration::from_secs(ROTATION_SECS.into());
        if now.saturating_duration_since(state.rotated_at) >= rotation {
            state.rotated_at = now;
            state.bundle.rotate(&SystemRandom::new());
            is_new = true;
            // Also a renewal that does not happen is seen in time.
            warn(&advice::on_time(&state.bundle, SystemTime::now()));
        }
        if is_new && let Err(error) = self.published.publish(&state.bundle.to_bytes()) {
            error_log::write(
                Level::Error,
                format_args!("the new certificates cannot be handed to the workers: {error}"),
            );
        }
    }

    /// What the files hold now, if that is something else, and good.
    fn read_again(
        &self,
        tickets: &[[u8; super::bundle::TICKET_KEY]],
    ) -> Result<Option<Bundle>, String> {
        let (mut bundle, mut warnings) = read(&self.sources)?;
        bundle.tickets = tickets.to_vec();
        if self.state_is(&bundle) {
            return Ok(None);
        }
        server_config(&bundle, &self.sources)?;
        warnings.extend(advice::on(&bundle, SystemTime::now()));
        warn(&warnings);
        Ok(Some(bundle))
    }

    /// Whether this is what is published.
    fn state_is(&self, bundle: &Bundle) -> bool {
        let published = self.published.read().and_then(|(_, bytes)| Bundle::from_bytes(&bytes));
        published.as_ref() == Some(bundle)
    }
}

fn log(what: &str) {
    error_log::write(Level::Info, format_args!("{what}"));
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        error_log::write(Level::Warning, format_args!("TLS: {warning}"));
    }
}

fn paths(sources: &Sources) -> impl Iterator<Item = &Path> {
    let pairs = sources.certificates.iter().flat_map(|(chain, key)| [chain, key]);
    pairs.chain(&sources.authorities).map(PathBuf::as_path)
}

fn signatures(sources: &Sources) -> Vec<Signature> {
    let of = |path: &Path| {
        let about = std::fs::metadata(path).ok()?;
        Some((about.dev(), about.ino(), about.mtime(), about.mtime_nsec(), about.len()))
    };
    paths(sources).map(of).collect()
}

/// Reads the files, and warns of what is careless about them.
fn read(sources: &Sources) -> Result<(Bundle, Vec<String>), String> {
    let mut bundle = Bundle::default();
    let mut warnings = Vec::new();
    for (chain, key) in &sources.certificates {
        let (text, _) = read_file(chain, "certfile")?;
        let (secret, mode) = read_file(key, "keyfile")?;
        if mode & 0o007 != 0 {
            let key = key.display();
            warnings.push(format!(
                "the key in `{key}` can be read by every user of this machine: chmod o= it (keyfile)"
            ));
        }
        let origin = chain.display().to_string();
        bundle.pairs.push(Pair { origin, chain: text, key: secret });
    }
    if let Some(path) = &sources.authorities {
        let (text, _) = read_file(path, "ca_certs")?;
        certificates::authorities(&text)
            .map_err(|what| format!("{what} in `{}` (ca_certs)", path.display()))?;
        bundle.authorities = Some(text);
    }
    Ok((bundle, warnings))
}

/// The bytes of a file, and its mode.
fn read_file(path: &Path, setting: &str) -> Result<(Vec<u8>, u32), String> {
    let read = || -> std::io::Result<(Vec<u8>, u32)> {
        let file = File::open(path)?;
        let about = file.metadata()?;
        if about.is_dir() {
            return Err(std::io::ErrorKind::IsADirectory.into());
        }
        let mut bytes = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        Ok((bytes, about.mode()))
    };
    read().map_err(|error| format!("cannot read `{}`: {error} ({setting})", path.display()))
}

//! Session tickets (RFC 8446, section 4.6.1; RFC 5077) that every worker can open.
//!
//! A ticket is the name of its key, a nonce, and the sealed state of the session. The keys are
//! random, made by whoever publishes the bundle, and changed there; they exist in memory only.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;

use super::bundle::{NAME, TICKET_KEY};

/// Seconds after which a new key comes into use. Tickets are good for that time at least, and for
/// twice as long at most.
pub(super) const ROTATION_SECS: u32 = 6 * 60 * 60;

/// Seals and opens tickets.
#[derive(Debug)]
pub(super) struct Tickets {
    keys: Vec<([u8; NAME], LessSafeKey)>,
    /// What tickets are bound to: the same for all workers with the same rules for clients.
    context: Vec<u8>,
    random: SystemRandom,
}

impl Tickets {
    /// The first key seals. A ticket opens only where `context` is the same.
    pub(super) fn new(keys: &[[u8; TICKET_KEY]], context: Vec<u8>) -> Self {
        let keys = keys.iter().filter_map(|key| {
            let (name, secret) = key.split_first_chunk()?;
            Some((*name, LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret).ok()?)))
        });
        Self { keys: keys.collect(), context, random: SystemRandom::new() }
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        !self.keys.is_empty()
    }

    fn lifetime(&self) -> u32 {
        ROTATION_SECS
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let (name, key) = self.keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let aad = Aad::from(&self.context);
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed).ok()?;
        Some([name.as_slice(), &nonce, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_first_chunk::<NAME>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let (_, key) = self.keys.iter().find(|(known, _)| known == name)?;
        let mut sealed = sealed.to_vec();
        let aad = Aad::from(&self.context);
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = key.open_in_place(nonce, aad, &mut sealed).ok()?.len();
        sealed.truncate(length);
        Some(sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: [u8; TICKET_KEY] = [1; TICKET_KEY];
    const NEW: [u8; TICKET_KEY] = [2; TICKET_KEY];

    #[test]
    fn another_worker_opens_a_ticket_also_after_the_keys_were_changed_once() {
        let ticket = Tickets::new(&[OLD], b"rules".to_vec()).encrypt(b"state").expect("sealed");
        for keys in [vec![OLD], vec![NEW, OLD]] {
            let other = Tickets::new(&keys, b"rules".to_vec());
            assert_eq!(other.decrypt(&ticket).as_deref(), Some(&b"state"[..]));
        }
        assert_eq!(Tickets::new(&[NEW], b"rules".to_vec()).decrypt(&ticket), None);
    }

    #[test]
    fn a_ticket_is_no_good_under_other_rules_for_clients() {
        let ticket = Tickets::new(&[OLD], b"anybody".to_vec()).encrypt(b"state").expect("sealed");
        assert_eq!(Tickets::new(&[OLD], b"members".to_vec()).decrypt(&ticket), None);
    }

    #[test]
    fn what_was_changed_on_its_way_does_not_open() {
        let tickets = Tickets::new(&[OLD], Vec::new());
        let ticket = tickets.encrypt(b"state").expect("sealed");
        for at in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[at] ^= 1;
            assert_eq!(tickets.decrypt(&changed), None);
            assert_eq!(tickets.decrypt(&ticket[..at]), None);
        }
    }

    #[test]
    fn without_keys_there_are_no_tickets() {
        let tickets = Tickets::new(&[], Vec::new());
        assert!(!tickets.enabled());
        assert_eq!(tickets.encrypt(b"state"), None);
    }
}

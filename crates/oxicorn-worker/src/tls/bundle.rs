//! What the workers of a master need for TLS, as bytes to publish: files as they were read, and
//! the keys of session tickets.

use aws_lc_rs::rand::SecureRandom;

/// Bytes of a ticket key's name.
pub(super) const NAME: usize = 8;
/// Bytes of a ticket key, with its name.
pub(super) const TICKET_KEY: usize = NAME + 32;

/// Files of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    /// The path of the certificate, for messages.
    pub(super) origin: String,
    pub(super) chain: Vec<u8>,
    pub(super) key: Vec<u8>,
}

/// Everything that changes while the server runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bundle {
    /// The first one is for clients that name no server, or an unknown one.
    pub(super) pairs: Vec<Pair>,
    /// Who signs client certificates.
    pub(super) authorities: Option<Vec<u8>>,
    /// Ticket keys: the one in use, then the one before.
    pub(super) tickets: Vec<[u8; TICKET_KEY]>,
}

impl Bundle {
    /// Takes a new ticket key into use; tickets under the one before are still good.
    pub(super) fn rotate(&mut self, random: &dyn SecureRandom) {
        let mut key = [0; TICKET_KEY];
        // Without randomness there are no tickets, and clients shake hands in full.
        if random.fill(&mut key).is_ok() {
            self.tickets.insert(0, key);
            self.tickets.truncate(2);
        } else {
            self.tickets.clear();
        }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        put_count(&mut bytes, self.pairs.len());
        for pair in &self.pairs {
            for part in [pair.origin.as_bytes(), &pair.chain, &pair.key] {
                put(&mut bytes, part);
            }
        }
        put_count(&mut bytes, usize::from(self.authorities.is_some()));
        if let Some(authorities) = &self.authorities {
            put(&mut bytes, authorities);
        }
        put_count(&mut bytes, self.tickets.len());
        for key in &self.tickets {
            bytes.extend_from_slice(key);
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (count, mut rest) = take_count(bytes)?;
        let mut bundle = Self::default();
        for _ in 0..count {
            let (origin, chain, key);
            (origin, rest) = take(rest)?;
            (chain, rest) = take(rest)?;
            (key, rest) = take(rest)?;
            let origin = String::from_utf8_lossy(origin).into_owned();
            bundle.pairs.push(Pair { origin, chain: chain.to_vec(), key: key.to_vec() });
        }
        let (has_authorities, mut rest) = take_count(rest)?;
        if has_authorities == 1 {
            let authorities;
            (authorities, rest) = take(rest)?;
            bundle.authorities = Some(authorities.to_vec());
        }
        let (count, mut rest) = take_count(rest)?;
        for _ in 0..count {
            let key;
            (key, rest) = rest.split_first_chunk()?;
            bundle.tickets.push(*key);
        }
        Some(bundle)
    }
}

fn put_count(bytes: &mut Vec<u8>, count: usize) {
    bytes.extend_from_slice(&(count as u64).to_le_bytes());
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    put_count(bytes, part.len());
    bytes.extend_from_slice(part);
}

fn take_count(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (count, rest) = bytes.split_first_chunk()?;
    Some((usize::try_from(u64::from_le_bytes(*count)).ok()?, rest))
}

fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = take_count(bytes)?;
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_what_is_read() {
        let pair = Pair { origin: "a.pem".into(), chain: b"chain".to_vec(), key: b"key".to_vec() };
        let mut bundle = Bundle { pairs: vec![pair.clone(), pair], ..Bundle::default() };
        assert_eq!(Bundle::from_bytes(&bundle.to_bytes()), Some(bundle.clone()));
        bundle.authorities = Some(b"authorities".to_vec());
        let random = aws_lc_rs::rand::SystemRandom::new();
        for keys in [1, 2, 2] {
            let before = bundle.tickets.first().copied();
            bundle.rotate(&random);
            assert_eq!(bundle.tickets.len(), keys);
            assert_eq!(bundle.tickets.get(1).copied(), before, "the one before is kept");
            assert_ne!(bundle.tickets.first().copied(), before);
        }
        let bytes = bundle.to_bytes();
        assert_eq!(Bundle::from_bytes(&bytes), Some(bundle));
        for length in 0..bytes.len() {
            assert_eq!(Bundle::from_bytes(bytes.get(..length).unwrap_or(&[])), None);
        }
    }
}

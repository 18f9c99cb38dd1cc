//! Which device has answered for which credential, so that the right one of several is asked first.

use super::protocol::Found;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most credentials that are remembered; then the one that was used longest ago is not. A person has a few keys.
const HOLDERS_LIMIT: usize = 64;

/// The devices by the credentials that they have used, the last one first. In memory alone.
#[derive(Default)]
pub(super) struct Holders(Mutex<VecDeque<(Vec<u8>, Found)>>);

impl Holders {
    /// The device of these that has used the credential since it was plugged in.
    pub(super) fn among<'a>(&self, credential: &[u8], present: &'a [Found]) -> Option<&'a Found> {
        let known = self.known();
        let (_, holder) = known.iter().find(|(known, _)| known == credential)?;
        present.iter().find(|found| *found == holder)
    }

    pub(super) fn remember(&self, credential: &[u8], device: &Found) {
        let mut known = self.known();
        known.retain(|(known, _)| known != credential);
        known.push_front((credential.to_vec(), device.clone()));
        known.truncate(HOLDERS_LIMIT);
    }

    pub(super) fn forget(&self, credential: &[u8]) {
        self.known().retain(|(known, _)| known != credential);
    }

    /// Forgets devices that are gone.
    pub(super) fn keep(&self, present: &[Found]) {
        self.known().retain(|(_, holder)| present.contains(holder));
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<(Vec<u8>, Found)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::Address;
    use super::{Found, HOLDERS_LIMIT, Holders};

    fn device(path: &str, insertion: u64) -> Found {
        Found { address: Address::Fido(path.to_owned()), product: "Key".to_owned(), insertion }
    }

    #[test]
    fn a_device_is_known_until_it_is_gone_or_another_has_answered() {
        let holders = Holders::default();
        let (first, second, again) = (device("/dev/hidraw0", 1), device("/dev/hidraw1", 2), device("/dev/hidraw0", 3));
        let present = [first.clone(), second.clone()];
        assert_eq!(holders.among(b"a", &present), None);
        holders.remember(b"a", &first);
        holders.remember(b"b", &first);
        assert_eq!(holders.among(b"a", &present), Some(&first));
        assert_eq!(holders.among(b"a", std::slice::from_ref(&second)), None);
        // Another one at the same place, or the same one put in again.
        assert_eq!(holders.among(b"a", &[again.clone(), second.clone()]), None);
        holders.remember(b"a", &second);
        assert_eq!(holders.among(b"a", &present), Some(&second));
        holders.keep(&[again, second.clone()]);
        assert_eq!((holders.among(b"a", &present), holders.among(b"b", &present)), (Some(&second), None));
        holders.forget(b"a");
        assert_eq!(holders.among(b"a", &present), None);
    }

    #[test]
    fn no_more_are_remembered_than_may() {
        let holders = Holders::default();
        let device = device("/dev/hidraw0", 1);
        for number in 0..1000_u32 {
            holders.remember(&number.to_be_bytes(), &device);
        }
        assert_eq!(holders.known().len(), HOLDERS_LIMIT);
        assert_eq!(holders.among(&999_u32.to_be_bytes(), std::slice::from_ref(&device)), Some(&device));
        assert_eq!(holders.among(&0_u32.to_be_bytes(), std::slice::from_ref(&device)), None);
    }
}

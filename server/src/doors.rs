//! Who may come in: how many connections in all and from one address, and how long one may stay
//! without asking anything.
//!
//! The home shard accepts and counts; a connection of another shard is counted when that shard has it,
//! so that a burst may be a few connections over the bound for a moment.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::limits;

/// What an operator may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doors {
    /// `ringmq.connectionsMax`: of all ports and shards together.
    pub connections: usize,
    /// `ringmq.connectionsPerAddressMax`: from one address; 0 for no bound.
    pub per_address: usize,
    /// `ringmq.firstFrameMillis`: a connection that has not sent a whole frame by then is closed; 0
    /// for no bound.
    pub first_frame_ns: u64,
}

impl Default for Doors {
    fn default() -> Self {
        Self {
            connections: limits::CONNECTIONS_MAX,
            per_address: 0,
            first_frame_ns: limits::FIRST_FRAME_NS,
        }
    }
}

/// How many are in from each address.
#[derive(Debug, Default)]
pub struct Guests {
    by_address: BTreeMap<IpAddr, usize>,
}

impl Guests {
    /// One more is in; whether that is within the bound. Each is counted, and leaves, whatever the
    /// answer.
    pub fn enter(&mut self, address: IpAddr, doors: &Doors) -> bool {
        let count = self.by_address.entry(address).or_default();
        *count += 1;
        doors.per_address == 0 || *count <= doors.per_address
    }

    /// One less is in.
    pub fn leave(&mut self, address: IpAddr) {
        let Some(count) = self.by_address.get_mut(&address) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.by_address.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_of_an_address_are_counted_until_they_leave() {
        let doors = Doors {
            per_address: 2,
            ..Doors::default()
        };
        let (a, b) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let mut guests = Guests::default();
        assert!(guests.enter(a, &doors) && guests.enter(a, &doors));
        assert!(!guests.enter(a, &doors), "the third is too many");
        assert!(guests.enter(b, &doors), "another address");
        guests.leave(a);
        guests.leave(a);
        assert!(guests.enter(a, &doors), "one is left, one comes");
        guests.leave(a);
        guests.leave(a);
        guests.leave(b);
        guests.leave(b);
        assert!(guests.by_address.is_empty());
    }

    #[test]
    fn there_is_no_bound_for_an_address_unless_one_is_set() {
        let mut guests = Guests::default();
        let address = IpAddr::from([192, 0, 2, 1]);
        assert!((0..10_000).all(|_| guests.enter(address, &Doors::default())));
    }
}

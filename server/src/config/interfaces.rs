//! Which of this machine's addresses others are told when no setting says so: Apache's rule
//! (`NetworkUtil.getLocalInetAddress`, 5.x), so that a broker moved from Apache keeps its address.
//!
//! Interfaces that are down, bridges, aliases and point-to-point links do not count, loopback neither.
//! IPv4 comes before IPv6, and what can be reached from the internet before what cannot. Java lists the
//! newest interface first; of internal addresses the last of that list is taken, the first interface's.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The interface's name.
    pub interface: String,
    /// The interface's number: lower ones are older.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// Whether it may be taken at all.
    pub counts: bool,
}

/// What was chosen, and from what: for the operator to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The address.
    pub address: IpAddr,
    interface: Option<String>,
    others: Vec<Candidate>,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.interface {
            Some(interface) => write!(f, "{} of {interface}", self.address)?,
            None => write!(f, "{}, as there is no network", self.address)?,
        }
        for (number, other) in self.others.iter().enumerate() {
            let separator = if number == 0 { " (not" } else { "," };
            write!(f, "{separator} {} of {}", other.address, other.interface)?;
        }
        if self.others.is_empty() {
            Ok(())
        } else {
            f.write_str(")")
        }
    }
}

/// Looks at this machine's interfaces.
pub fn choose() -> Choice {
    choose_among(candidates())
}

/// Apache's rule; 127.0.0.1 where nothing is left.
pub fn choose_among(mut all: Vec<Candidate>) -> Choice {
    all.retain(|candidate| !candidate.address.is_loopback());
    // The newest interface first, and of one interface the newest address.
    all.reverse();
    all.sort_by_key(|candidate| std::cmp::Reverse(candidate.index));
    let position = position(&all);
    let chosen = position.map(|at| all.remove(at));
    let address = chosen.as_ref().map(|chosen| chosen.address);
    Choice {
        address: address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        interface: chosen.map(|chosen| chosen.interface),
        others: all,
    }
}

fn position(all: &[Candidate]) -> Option<usize> {
    let of = |wanted: fn(&IpAddr) -> bool| {
        let counting = all
            .iter()
            .enumerate()
            .filter(|(_, candidate)| candidate.counts);
        counting
            .filter(move |(_, candidate)| wanted(&candidate.address))
            .map(|(at, _)| at)
    };
    of(|ip| matches!(ip, IpAddr::V4(ip) if !is_internal_v4(*ip)))
        .next()
        .or_else(|| of(IpAddr::is_ipv4).next_back())
        .or_else(|| of(|ip| matches!(ip, IpAddr::V6(ip) if !is_internal_v6(*ip))).next())
        .or_else(|| of(IpAddr::is_ipv6).next())
}

fn is_internal_v4(ip: Ipv4Addr) -> bool {
    ip.is_private() || ip.is_loopback()
}

/// Link-local and the old site-local addresses; not the unique local ones of today (`fc00::/7`).
fn is_internal_v6(ip: Ipv6Addr) -> bool {
    let is_site_local = ip.segments()[0] & 0xFFC0 == 0xFEC0;
    ip.is_unspecified() || ip.is_loopback() || ip.is_unicast_link_local() || is_site_local
}

fn candidates() -> Vec<Candidate> {
    let Ok(interfaces) = if_addrs::get_if_addrs() else {
        return Vec::new();
    };
    let of = |interface: if_addrs::Interface| Candidate {
        index: interface.index.unwrap_or(u32::MAX),
        address: interface.ip(),
        counts: counts(&interface.name),
        interface: interface.name,
    };
    interfaces.into_iter().map(of).collect()
}

/// Up, no alias (`eth0:1`), no bridge, no point-to-point link.
fn counts(name: &str) -> bool {
    /// `IFF_UP` and `IFF_POINTOPOINT`.
    const UP: u32 = 0x1;
    const POINT_TO_POINT: u32 = 0x10;
    let folder = Path::new("/sys/class/net").join(name);
    let text = std::fs::read_to_string(folder.join("flags")).unwrap_or_default();
    let flags = u32::from_str_radix(text.trim().trim_start_matches("0x"), 16);
    // Where the system does not tell, an address is an address.
    let flags = flags.unwrap_or(UP);
    let is_plain = flags & UP != 0 && flags & POINT_TO_POINT == 0;
    is_plain && !name.contains(':') && !folder.join("bridge").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(index: u32, interface: &str, address: &str) -> Candidate {
        Candidate {
            interface: interface.to_owned(),
            index,
            address: address.parse().unwrap(),
            counts: !interface.starts_with("docker"),
        }
    }

    /// Number and name of an interface, and an address of it.
    type Address<'a> = (u32, &'a str, &'a str);

    fn chosen(all: &[Address<'_>]) -> String {
        let all = all
            .iter()
            .map(|(index, name, ip)| candidate(*index, name, ip));
        choose_among(all.collect()).to_string()
    }

    #[test]
    fn the_rule_is_apaches() {
        let lo = (1, "lo", "127.0.0.1");
        let cases: [(&[Address<'_>], &str); 8] = [
            (&[lo], "127.0.0.1, as there is no network"),
            (&[lo, (2, "eth0", "10.0.0.5")], "10.0.0.5 of eth0"),
            // Of internal addresses the oldest interface's.
            (
                &[lo, (2, "eth0", "10.0.0.5"), (3, "eth1", "192.168.1.5")],
                "10.0.0.5 of eth0 (not 192.168.1.5 of eth1)",
            ),
            // A public one wins, of several the newest interface's.
            (
                &[
                    (2, "eth0", "10.0.0.5"),
                    (3, "eth1", "192.0.2.5"),
                    (4, "eth2", "198.51.100.5"),
                ],
                "198.51.100.5 of eth2 (not 192.0.2.5 of eth1, 10.0.0.5 of eth0)",
            ),
            // A bridge does not count, whatever its address.
            (
                &[(2, "eth0", "10.0.0.5"), (3, "docker0", "198.51.100.1")],
                "10.0.0.5 of eth0 (not 198.51.100.1 of docker0)",
            ),
            (
                &[
                    (2, "eth0", "fe80::1"),
                    (2, "eth0", "fd00::2"),
                    (3, "eth1", "fe80::3"),
                ],
                "fd00::2 of eth0 (not fe80::3 of eth1, fe80::1 of eth0)",
            ),
            (&[(2, "eth0", "fe80::1")], "fe80::1 of eth0"),
            (
                &[(2, "eth0", "10.0.0.5"), (2, "eth0", "2001:db8::5")],
                "10.0.0.5 of eth0 (not 2001:db8::5 of eth0)",
            ),
        ];
        for (all, expected) in cases {
            assert_eq!(chosen(all), expected, "{all:?}");
        }
    }

    #[test]
    fn some_address_is_always_found() {
        assert!(!choose().address.is_unspecified());
    }
}

//! Message ids: the broker's offset id and the client's unique id, both upper-case hex.
//!
//! ```text
//! offset id   | ip 4 or 16 | port 4 | physical offset 8 |
//! unique id   | ip 4 or 16 | process id 2 | loader 4 | ms since start of month 4 | counter 2 |
//! ```

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const ID_BYTES_V4: usize = 16;
const ID_BYTES_V6: usize = 28;

/// Where a message lies: the address of its broker and its physical offset there. Clients connect
/// to the address inside, so it must be the broker's real one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OffsetId {
    /// Address and port of the broker that stored the message.
    pub host: SocketAddr,
    /// Physical offset of the record.
    pub offset: i64,
}

impl OffsetId {
    /// Reads 32 (IPv4) or 56 (IPv6) hex digits of either case.
    pub fn parse(text: &str) -> Result<Self, MessageIdError> {
        let (bytes, len) = unhex(text)?;
        let (ip, rest) = split_ip(&bytes[..len]);
        let (port, offset) = rest.split_at(4);
        let port = i32::from_be_bytes(array(port));
        let port = u16::try_from(port).map_err(|_| MessageIdError::Port(port))?;
        let offset = i64::from_be_bytes(array(offset));
        Ok(Self {
            host: SocketAddr::new(ip, port),
            offset,
        })
    }

    /// The id as text in a fixed buffer, without allocation.
    pub fn to_hex(self) -> HexId {
        let mut id = HexId::start(self.host.ip());
        id.put(&i32::from(self.host.port()).to_be_bytes());
        id.put(&self.offset.to_be_bytes());
        id
    }
}

impl fmt::Display for OffsetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_hex().as_str())
    }
}

/// The id a producer gives its message before it sends it (property `UNIQ_KEY`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UniqueId {
    /// Address of the client's machine.
    pub ip: IpAddr,
    /// Low half of the process id.
    pub process: u16,
    /// Any number that tells two clients of one process apart.
    pub loader: u32,
    /// Milliseconds since the month began.
    pub month_ms: u32,
    /// Low half of a counter.
    pub counter: u16,
}

impl UniqueId {
    /// Reads 32 (IPv4) or 56 (IPv6) hex digits of either case.
    pub fn parse(text: &str) -> Result<Self, MessageIdError> {
        let (bytes, len) = unhex(text)?;
        let (ip, rest) = split_ip(&bytes[..len]);
        Ok(Self {
            ip,
            process: u16::from_be_bytes(array(&rest[..2])),
            loader: u32::from_be_bytes(array(&rest[2..6])),
            month_ms: u32::from_be_bytes(array(&rest[6..10])),
            counter: u16::from_be_bytes(array(&rest[10..])),
        })
    }

    /// The id as text in a fixed buffer, without allocation.
    pub fn to_hex(self) -> HexId {
        let mut id = HexId::start(self.ip);
        id.put(&self.process.to_be_bytes());
        id.put(&self.loader.to_be_bytes());
        id.put(&self.month_ms.to_be_bytes());
        id.put(&self.counter.to_be_bytes());
        id
    }
}

impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_hex().as_str())
    }
}

/// Issues unique ids: 65,536 in each millisecond before one could repeat.
#[derive(Clone, Debug)]
pub struct UniqueIds {
    next: UniqueId,
    month_start_ms: i64,
    month_end_ms: i64,
}

impl UniqueIds {
    /// `process` and `loader` tell issuers on one address apart; `loader` should be random.
    pub fn new(ip: IpAddr, process: u16, loader: u32) -> Self {
        let next = UniqueId {
            ip,
            process,
            loader,
            month_ms: 0,
            counter: 0,
        };
        Self {
            next,
            month_start_ms: 0,
            month_end_ms: 0,
        }
    }

    /// The next id at `wall_ms` (milliseconds since 1970, UTC).
    pub fn issue(&mut self, wall_ms: i64) -> UniqueId {
        if !(self.month_start_ms..self.month_end_ms).contains(&wall_ms) {
            (self.month_start_ms, self.month_end_ms) = month_around(wall_ms);
        }
        self.next.month_ms = u32::try_from(wall_ms - self.month_start_ms).unwrap_or(u32::MAX);
        let issued = self.next;
        self.next.counter = self.next.counter.wrapping_add(1);
        issued
    }
}

/// First millisecond of the month of `wall_ms` and of the month after it, in UTC.
fn month_around(wall_ms: i64) -> (i64, i64) {
    const DAY_MS: i64 = 86_400_000;
    let day = wall_ms.div_euclid(DAY_MS);
    let mut start = day;
    while start > i64::MIN / DAY_MS && day_of_month(start) != 1 {
        start -= 1;
    }
    let mut end = day + 1;
    while day_of_month(end) != 1 {
        end += 1;
    }
    (start.saturating_mul(DAY_MS), end.saturating_mul(DAY_MS))
}

/// Day of the month (1 to 31) of a day counted from 1970-01-01, in the Gregorian calendar. Counts
/// within eras of 400 years that begin on 1 March, so that a leap day is the last of its year.
fn day_of_month(day: i64) -> i64 {
    let day_of_era = day.saturating_add(719_468).rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    day_of_year - (153 * month_from_march + 2) / 5 + 1
}

/// An id as upper-case hex digits in a fixed buffer.
#[derive(Clone, Copy)]
pub struct HexId {
    digits: [u8; 2 * ID_BYTES_V6],
    len: usize,
}

impl HexId {
    fn start(ip: IpAddr) -> Self {
        let mut id = Self {
            digits: [b'0'; 2 * ID_BYTES_V6],
            len: 0,
        };
        match ip.to_canonical() {
            IpAddr::V4(ip) => id.put(&ip.octets()),
            IpAddr::V6(ip) => id.put(&ip.octets()),
        }
        id
    }

    fn put(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let pair = HEX_PAIRS[usize::from(*byte)];
            self.digits[self.len..self.len + 2].copy_from_slice(&pair);
            self.len += 2;
        }
    }

    /// The digits: 32 of them, or 56 with an IPv6 address.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.digits[..self.len]).unwrap_or_default()
    }
}

/// The sixteen upper-case hex digits of an offset.
pub(crate) fn hex_of(offset: i64) -> [u8; 16] {
    let mut digits = [0; 16];
    for (pair, byte) in digits
        .as_chunks_mut::<2>()
        .0
        .iter_mut()
        .zip(offset.to_be_bytes())
    {
        *pair = HEX_PAIRS[usize::from(byte)];
    }
    digits
}

/// `00` to `FF`.
const HEX_PAIRS: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut pairs = [[0; 2]; 256];
    let mut at = 0;
    while at < pairs.len() {
        pairs[at] = [DIGITS[at >> 4], DIGITS[at & 15]];
        at += 1;
    }
    pairs
};

impl fmt::Debug for HexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for HexId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl AsRef<str> for HexId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

/// Why a text is no message id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageIdError {
    /// Neither 32 nor 56 characters.
    #[error(
        "a message id has 32 hex digits (56 with an IPv6 address), this one has {0} characters"
    )]
    Length(usize),
    /// Something else than a hex digit.
    #[error("a message id consists of hex digits, this one contains another character")]
    NotHex,
    /// A port outside 0 to 65535.
    #[error("the message id names port {0}, which does not exist")]
    Port(i32),
}

fn unhex(text: &str) -> Result<([u8; ID_BYTES_V6], usize), MessageIdError> {
    if text.len() != 2 * ID_BYTES_V4 && text.len() != 2 * ID_BYTES_V6 {
        return Err(MessageIdError::Length(text.len()));
    }
    let mut bytes = [0; ID_BYTES_V6];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |c: u8| char::from(c).to_digit(16).ok_or(MessageIdError::NotHex);
        let value = digit(pair[0])? << 4 | digit(pair[1])?;
        *byte = u8::try_from(value).map_err(|_| MessageIdError::NotHex)?;
    }
    Ok((bytes, text.len() / 2))
}

fn split_ip(bytes: &[u8]) -> (IpAddr, &[u8]) {
    let (ip, rest) = bytes.split_at(bytes.len() - 12);
    let ip = match ip.len() {
        4 => IpAddr::from(Ipv4Addr::from(array::<4>(ip))),
        _ => IpAddr::from(Ipv6Addr::from(array::<16>(ip))),
    };
    (ip, rest)
}

/// Copies a slice whose length the caller has fixed.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_id_of_the_reference_reads_back() {
        let text = "7F00000100002A9F0000000000000388";
        let id = OffsetId::parse(text).unwrap();
        assert_eq!(
            id,
            OffsetId {
                host: "127.0.0.1:10911".parse().unwrap(),
                offset: 0x388
            }
        );
        assert_eq!(id.to_string(), text);
        assert_eq!(OffsetId::parse(&text.to_lowercase()), Ok(id));
    }

    #[test]
    fn a_unique_id_with_an_ipv6_address_reads_back() {
        let text = "FD0000000000000000000000000000027D7530946E0963720ECE0003";
        let id = UniqueId::parse(text).unwrap();
        assert_eq!(id.ip, "fd00::2".parse::<IpAddr>().unwrap());
        assert_eq!(
            (id.process, id.loader, id.month_ms, id.counter),
            (32117, 0x3094_6e09, 1_668_419_278, 3)
        );
        assert_eq!(id.to_string(), text);
    }

    #[test]
    fn texts_that_are_no_ids_are_refused() {
        assert_eq!(OffsetId::parse("7F"), Err(MessageIdError::Length(2)));
        assert_eq!(
            OffsetId::parse(&"G".repeat(32)),
            Err(MessageIdError::NotHex)
        );
        assert_eq!(
            OffsetId::parse(&"F".repeat(32)),
            Err(MessageIdError::Port(-1))
        );
        assert_eq!(
            OffsetId::parse(&"\u{e9}".repeat(16)),
            Err(MessageIdError::NotHex)
        );
    }

    #[test]
    fn months_begin_on_the_first_also_around_leap_days() {
        // 2024-02-29 12:00 UTC lies in [2024-02-01, 2024-03-01).
        assert_eq!(
            month_around(1_709_208_000_000),
            (1_706_745_600_000, 1_709_251_200_000)
        );
        // 1970-01-01.
        assert_eq!(month_around(0), (0, 31 * 86_400_000));
    }

    #[test]
    fn issued_ids_differ_and_count_from_the_start_of_the_month() {
        let mut ids = UniqueIds::new("10.0.0.1".parse().unwrap(), 7, 9);
        let first = ids.issue(1_709_208_000_000);
        let second = ids.issue(1_709_208_000_000);
        assert_ne!(first, second);
        assert_eq!(
            i64::from(first.month_ms),
            1_709_208_000_000 - 1_706_745_600_000
        );
        assert_eq!(ids.issue(1_709_251_200_005).month_ms, 5);
    }
}

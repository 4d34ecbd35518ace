//! Custom fields of a decoded header: where they lie, not a map of them.

use std::fmt;

use super::json::Stops;
use super::{Text, binary, json};
use crate::frame::HeaderKind;

/// The custom fields (`extFields`) of a header, in the order they were written. They were checked
/// when the header was decoded; reading them walks over the bytes.
#[derive(Clone, Copy)]
pub struct Ext<'a> {
    header: &'a [u8],
    kind: HeaderKind,
    present: bool,
    /// There were other fields before these, which do not count.
    repeated: bool,
    /// Where the first field starts; 0 if there is none.
    at: usize,
}

impl<'a> Ext<'a> {
    pub(super) fn absent(kind: HeaderKind, header: &'a [u8]) -> Self {
        Self {
            header,
            kind,
            present: false,
            repeated: false,
            at: 0,
        }
    }

    /// The header has fields, from byte `at` on, or none if that is 0. The last of repeated
    /// `extFields` counts.
    #[inline(always)]
    pub(super) fn set(&mut self, at: usize) {
        self.repeated |= self.present;
        (self.present, self.at) = (true, at);
    }

    /// Whether the first field starts in this range of the header.
    pub(super) fn starts_within(&self, from: usize, to: usize) -> bool {
        (from..to).contains(&self.at) && self.at != 0
    }

    pub(super) fn clear(&mut self) {
        (self.repeated, self.present, self.at) = (true, false, 0);
    }

    /// Whether fields were visited that do not count.
    #[inline(always)]
    pub(crate) fn is_repeated(&self) -> bool {
        self.repeated
    }

    /// Whether the header had custom fields at all, were they as few as none.
    pub fn is_present(&self) -> bool {
        self.present
    }

    /// The value of `name`: the last one where the name is repeated. Walks over all fields: to read
    /// many of them, walk once with [`iter`](Self::iter).
    pub fn get(&self, name: &str) -> Option<Text<'a>> {
        let mut last = None;
        for (found, value) in self.iter() {
            if found == name {
                last = Some(value);
            }
        }
        last
    }

    /// The value of `name` as Java's `Integer.parseInt` reads it.
    pub fn get_i32(&self, name: &str) -> Option<i32> {
        self.get(name)?.parse_i32()
    }

    /// The value of `name` as Java's `Long.parseLong` reads it.
    pub fn get_i64(&self, name: &str) -> Option<i64> {
        self.get(name)?.parse_i64()
    }

    /// Names and values in order, repeated names included.
    #[inline(always)]
    pub fn iter(&self) -> ExtIter<'a> {
        let stops = match self.kind {
            HeaderKind::Json => Stops::new(self.header),
            HeaderKind::Binary => Stops::new(&[]),
        };
        ExtIter {
            header: self.header,
            stops,
            kind: self.kind,
            at: self.at,
        }
    }
}

impl fmt::Debug for Ext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Walks over the fields of an [`Ext`].
#[derive(Clone)]
pub struct ExtIter<'a> {
    header: &'a [u8],
    stops: Stops<'a>,
    kind: HeaderKind,
    /// Where the next field starts; 0 after the last.
    at: usize,
}

impl<'a> Iterator for ExtIter<'a> {
    type Item = (Text<'a>, Text<'a>);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at == 0 {
            return None;
        }
        let (name, value, next_at) = match self.kind {
            HeaderKind::Json => json::field_at(&mut self.stops, self.at)?,
            HeaderKind::Binary => binary::field_at(self.header, self.at)?,
        };
        self.at = next_at;
        Some((name, value))
    }
}

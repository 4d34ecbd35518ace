//! Custom fields of a decoded header: an index of places in the header's bytes, not a map.

use std::fmt;

use super::{Text, binary, json};
use crate::frame::HeaderKind;

/// Fields that are indexed while the header is decoded; the largest known request has 14, with
/// signature and namespace 20. Fields beyond that are found by reading on.
const INDEXED: usize = 24;

/// Marks a length of an [`Entry`] whose text has escapes. Headers are shorter than 2^24 bytes.
const ESCAPED: u32 = 1 << 31;

/// The custom fields (`extFields`) of a header, in the order they were written.
#[derive(Clone)]
pub struct Ext<'a> {
    header: &'a [u8],
    kind: HeaderKind,
    present: bool,
    indexed: usize,
    /// Where the first field lies that is not indexed; 0 if all are.
    rest_at: usize,
    entries: [Entry; INDEXED],
}

/// Places of one field in the header.
#[derive(Clone, Copy, Default)]
pub(super) struct Entry {
    name_at: u32,
    name_len: u32,
    value_at: u32,
    value_len: u32,
}

impl Entry {
    #[inline]
    pub(super) fn new(name: Span, value: Span) -> Self {
        Self {
            name_at: name.at,
            name_len: name.marked_len,
            value_at: value.at,
            value_len: value.marked_len,
        }
    }
}

/// A place in the header, and whether the text there has escapes.
#[derive(Clone, Copy)]
pub(super) struct Span {
    at: u32,
    marked_len: u32,
}

impl Span {
    /// Positions fit 32 bits: a header is shorter than 2^24 bytes, which decoding checks.
    #[inline]
    pub(super) fn new(at: usize, end: usize, escaped: bool) -> Self {
        let mark = if escaped { ESCAPED } else { 0 };
        Self {
            at: at as u32,
            marked_len: (end - at) as u32 | mark,
        }
    }

    #[inline]
    pub(super) fn of(self, header: &[u8]) -> Text<'_> {
        text(header, self.at, self.marked_len)
    }
}

#[inline]
fn text(header: &[u8], at: u32, marked_len: u32) -> Text<'_> {
    let (at, len) = (at as usize, (marked_len & !ESCAPED) as usize);
    Text::new(
        header.get(at..at + len).unwrap_or_default(),
        marked_len & ESCAPED != 0,
    )
}

impl<'a> Ext<'a> {
    pub(super) fn absent(kind: HeaderKind, header: &'a [u8]) -> Self {
        let entries = [Entry::default(); INDEXED];
        Self {
            header,
            kind,
            present: false,
            indexed: 0,
            rest_at: 0,
            entries,
        }
    }

    /// Forgets all fields and starts over: the last of repeated `extFields` counts.
    pub(super) fn begin(&mut self) {
        (self.present, self.indexed, self.rest_at) = (true, 0, 0);
    }

    pub(super) fn clear(&mut self) {
        (self.present, self.indexed, self.rest_at) = (false, 0, 0);
    }

    /// Adds a field that starts at byte `at` of the header.
    #[inline]
    pub(super) fn push(&mut self, entry: Entry, at: usize) {
        if let Some(free) = self.entries.get_mut(self.indexed) {
            *free = entry;
            self.indexed += 1;
        } else if self.rest_at == 0 {
            self.rest_at = at;
        }
    }

    /// Whether the header had custom fields at all, were they as few as none.
    pub fn is_present(&self) -> bool {
        self.present
    }

    /// The value of `name`: the last one where the name is repeated.
    pub fn get(&self, name: &str) -> Option<Text<'a>> {
        let wanted = |(found, _): &(Text<'a>, Text<'a>)| found.is(name.as_bytes());
        self.iter().filter(wanted).last().map(|(_, value)| value)
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
    #[inline]
    pub fn iter(&self) -> ExtIter<'_, 'a> {
        ExtIter {
            ext: self,
            next: 0,
            rest_at: self.rest_at,
        }
    }
}

impl fmt::Debug for Ext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Walks the fields of an [`Ext`].
#[derive(Clone)]
pub struct ExtIter<'e, 'a> {
    ext: &'e Ext<'a>,
    next: usize,
    rest_at: usize,
}

impl<'a> Iterator for ExtIter<'_, 'a> {
    type Item = (Text<'a>, Text<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let header = self.ext.header;
        if self.next < self.ext.indexed {
            let entry = self.ext.entries.get(self.next)?;
            self.next += 1;
            let name = text(header, entry.name_at, entry.name_len);
            return Some((name, text(header, entry.value_at, entry.value_len)));
        }
        self.read_on()
    }
}

impl<'a> ExtIter<'_, 'a> {
    #[cold]
    fn read_on(&mut self) -> Option<(Text<'a>, Text<'a>)> {
        if self.rest_at == 0 {
            return None;
        }
        let header = self.ext.header;
        let (entry, next_at) = match self.ext.kind {
            HeaderKind::Json => json::entry_at(header, self.rest_at),
            HeaderKind::Binary => binary::entry_at(header, self.rest_at),
        }?;
        self.rest_at = next_at;
        let name = text(header, entry.name_at, entry.name_len);
        Some((name, text(header, entry.value_at, entry.value_len)))
    }
}

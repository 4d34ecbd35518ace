//! How far the log has come: three watermarks, one order.

use crate::types::LogOffset;

/// `durable <= written <= appended`, always; each is the end of a contiguous prefix of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watermarks {
    appended: LogOffset,
    written: LogOffset,
    durable: LogOffset,
}

impl Watermarks {
    /// All three at the end of what was recovered.
    pub(crate) fn at(end: LogOffset) -> Self {
        Self {
            appended: end,
            written: end,
            durable: end,
        }
    }

    /// End of what has a place in the log.
    pub(crate) fn appended(&self) -> LogOffset {
        self.appended
    }

    /// End of what the device has taken.
    pub(crate) fn written(&self) -> LogOffset {
        self.written
    }

    /// End of what survives a power cut.
    pub(crate) fn durable(&self) -> LogOffset {
        self.durable
    }

    /// More was appended, up to `end`.
    pub(crate) fn append(&mut self, end: LogOffset) {
        self.appended = self.appended.max(end);
        self.invariants();
    }

    /// The device has taken everything up to `end`.
    pub(crate) fn write(&mut self, end: LogOffset) {
        self.written = self.written.max(end);
        self.invariants();
    }

    /// Everything up to `end` survives a power cut.
    pub(crate) fn flush(&mut self, end: LogOffset) {
        self.durable = self.durable.max(end);
        self.invariants();
    }

    fn invariants(&self) {
        assert!(self.durable <= self.written, "{self:?}");
        assert!(self.written <= self.appended, "{self:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watermarks_keep_their_order() {
        let mut marks = Watermarks::at(LogOffset(4096));
        marks.append(LogOffset(12288));
        marks.write(LogOffset(8192));
        marks.flush(LogOffset(8192));
        assert_eq!(marks.durable(), LogOffset(8192));
    }

    #[test]
    #[should_panic(expected = "Watermarks")]
    fn durable_never_passes_written() {
        Watermarks::at(LogOffset(0)).flush(LogOffset(4096));
    }
}

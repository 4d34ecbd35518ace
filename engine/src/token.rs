//! The engine's tokens: top byte 0, then the kind of operation, then which one.

use ringmq_ring::Token;

/// What an operation of the engine is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Part of a commit block's write.
    Block,
    /// A flush of a log file (ASYNC_FLUSH).
    Flush,
    /// A witness slot.
    Witness,
    /// A manifest slot.
    Manifest,
    /// A read for a cold request; the number is the request's.
    Cold,
}

const KIND_SHIFT: u32 = 48;
const NUMBER_MASK: u64 = (1 << KIND_SHIFT) - 1;

impl Operation {
    /// The token of this operation with the lower 48 bits of `number`.
    pub(crate) fn token(self, number: u64) -> Token {
        ((self as u64 + 1) << KIND_SHIFT) | (number & NUMBER_MASK)
    }

    /// The operation and number of a token; `None` for one that is not the engine's.
    pub(crate) fn parse(token: Token) -> Option<(Self, u64)> {
        let operation = match token >> KIND_SHIFT {
            1 => Self::Block,
            2 => Self::Flush,
            3 => Self::Witness,
            4 => Self::Manifest,
            5 => Self::Cold,
            _ => return None,
        };
        Some((operation, token & NUMBER_MASK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_says_what_it_is_for_under_top_byte_zero() {
        for operation in [Operation::Block, Operation::Cold] {
            let token = operation.token(99);
            assert_eq!(token >> 56, 0);
            assert_eq!(Operation::parse(token), Some((operation, 99)));
        }
        assert_eq!(Operation::parse(1 << 56), None);
    }
}

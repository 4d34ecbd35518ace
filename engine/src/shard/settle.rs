//! Completions: the watermarks advance, appends are acknowledged in their order, and waiting pulls are
//! answered, all in the turn in which the completion is seen.

use ringmq_ring::planted::{self, planted};
use ringmq_ring::{AlignedBuf, Completion, Io, Payload};

use crate::log::Block;
use crate::pull::Event;
use crate::token::Operation;

use super::Shard;

impl<I: Io> Shard<I> {
    pub(super) fn settle(&mut self, io: &mut I, completion: Completion<I::Stream, I::Received>) {
        let Some((operation, number)) = Operation::parse(completion.token) else {
            return;
        };
        let result = completion.result;
        let done = match operation {
            Operation::Block
                if planted(planted::FAILED_WRITE_RETRIED)
                    && result.is_err()
                    && self.log.write_again(io, number) =>
            {
                Ok(())
            }
            Operation::Block => self.log.block_part_done(number, result),
            Operation::Flush => self.log.flush_done(result),
            Operation::Witness => self.keeper.witness_written(result),
            Operation::Manifest => self.manifest_written(result),
            Operation::Cold => {
                self.cold_read(io, number, result, buffer_of(completion.payload));
                Ok(())
            }
        };
        if let Err(error) = done {
            tracing::error!(
                shard = self.index.0,
                operation = ?operation,
                durable = self.log.marks().durable().0,
                %error,
                "a write to the log failed: the shard stops, recovery decides at the next start"
            );
            self.tell_failed(&error);
            return;
        }
        self.advance();
        self.answer_woken(io);
    }

    /// Everything that the finished blocks and flushes make visible or durable.
    fn advance(&mut self) {
        while let Some(block) = self.log.pop_written(self.now) {
            self.counters.blocks += 1;
            self.show(&block);
            self.log.recycle(block);
        }
        while let Some(ticket) = self.log.pop_flush_ack() {
            self.events.push_back(Event::Stored { ticket });
        }
    }

    fn show(&mut self, block: &Block) {
        for run in &block.runs {
            if let Some(queue) = self.queues.get_mut(run.queue) {
                queue.visible += u64::from(run.count);
                debug_assert!(queue.visible <= queue.next);
            }
            if self.waiters.any(run.queue) && self.woken.last() != Some(&run.queue) {
                self.woken.push(run.queue);
            }
        }
        self.events.stored(&block.acks);
        if self.log.acks_control_with_block() {
            self.events.stored(&block.durable_acks);
        }
    }
}

fn buffer_of<S, R>(payload: Payload<S, R>) -> Option<AlignedBuf> {
    match payload {
        Payload::Buffer(buffer) => Some(buffer),
        _ => None,
    }
}

//! Many futures at once, without a runtime.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// Runs futures on the caller's thread, at most `limit` of them at a time, and gives their outcomes in
/// the order of the futures. Meant for calls of this crate, whose work is done by the I/O thread.
pub async fn in_parallel<F: Future>(
    futures: impl IntoIterator<Item = F>,
    limit: usize,
) -> Vec<F::Output> {
    let mut waiting = futures.into_iter().enumerate();
    let mut running: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    let mut done: Vec<(usize, F::Output)> = Vec::new();
    poll_fn(|context| {
        loop {
            let room = limit.max(1) - running.len();
            let next = waiting.by_ref().take(room);
            running.extend(next.map(|(place, future)| (place, Box::pin(future))));
            if running.is_empty() {
                return Poll::Ready(());
            }
            let before = running.len();
            running.retain_mut(|(place, future)| match future.as_mut().poll(context) {
                Poll::Ready(outcome) => {
                    done.push((*place, outcome));
                    false
                }
                Poll::Pending => true,
            });
            if running.len() == before {
                return Poll::Pending;
            }
        }
    })
    .await;
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A future that is pending once, and counts how many of its kind run.
    async fn once_pending(number: usize, running: &Cell<usize>, most: &Cell<usize>) -> usize {
        running.set(running.get() + 1);
        most.set(most.get().max(running.get()));
        let mut polled = false;
        poll_fn(|context| {
            if std::mem::replace(&mut polled, true) {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        running.set(running.get() - 1);
        number
    }

    #[test]
    fn outcomes_come_in_order_and_no_more_run_than_allowed() {
        let (running, most) = (Cell::new(0), Cell::new(0));
        let futures = (0..10).map(|number| once_pending(number, &running, &most));
        let outcomes = pollster::block_on(in_parallel(futures, 3));
        assert_eq!(outcomes, (0..10).collect::<Vec<_>>());
        assert_eq!(most.get(), 3);
    }

    #[test]
    fn none_is_done_at_once() {
        let none: [std::future::Ready<()>; 0] = [];
        assert!(pollster::block_on(in_parallel(none, 0)).is_empty());
    }
}

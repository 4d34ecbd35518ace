//! A small executor: futures of the control plane, polled when the world's scheduler picks them.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake as TaskWake, Waker};

/// Set by a waker, cleared before a poll.
#[derive(Debug)]
pub(super) struct Flag(AtomicBool);

impl TaskWake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

struct Task {
    process: u32,
    future: Pin<Box<dyn Future<Output = ()>>>,
    flag: Arc<Flag>,
}

/// All tasks of a world.
#[derive(Default)]
pub(super) struct Tasks {
    slots: Vec<Option<Task>>,
}

impl Tasks {
    pub(super) fn add(&mut self, process: u32, future: impl Future<Output = ()> + 'static) {
        let task = Task {
            process,
            future: Box::pin(future),
            flag: Arc::new(Flag(AtomicBool::new(true))),
        };
        match self.slots.iter().position(Option::is_none) {
            Some(free) => self.slots[free] = Some(task),
            None => self.slots.push(Some(task)),
        }
    }

    /// Which of them want to be polled.
    pub(super) fn runnable(&self, out: &mut Vec<usize>) {
        out.extend(self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let woken = slot.as_ref()?.flag.0.load(Ordering::Acquire);
            woken.then_some(index)
        }));
    }

    /// Takes the tasks of a dead process out; to be dropped by the caller, outside of any borrow.
    pub(super) fn kill(&mut self, process: u32) -> Vec<impl Sized + use<>> {
        let dead = |slot: &&mut Option<Task>| slot.as_ref().is_some_and(|t| t.process == process);
        self.slots
            .iter_mut()
            .filter(dead)
            .filter_map(Option::take)
            .collect()
    }
}

/// Polls one task, which may use the world and add tasks meanwhile.
pub(super) fn poll(tasks: &RefCell<Tasks>, index: usize) {
    let Some(mut task) = tasks.borrow_mut().slots[index].take() else {
        return;
    };
    task.flag.0.store(false, Ordering::Release);
    let waker = Waker::from(Arc::clone(&task.flag));
    let ended = task
        .future
        .as_mut()
        .poll(&mut Context::from_waker(&waker))
        .is_ready();
    if !ended {
        put_back(&mut tasks.borrow_mut().slots, index, task);
    }
}

/// The slot may have been given away during the poll.
fn put_back(slots: &mut Vec<Option<Task>>, index: usize, task: Task) {
    if slots[index].is_none() {
        slots[index] = Some(task);
    } else {
        slots.push(Some(task));
    }
}

/// What a task has returned.
#[derive(Debug)]
pub struct Outcome<T>(pub(super) Rc<RefCell<Option<T>>>);

impl<T> Outcome<T> {
    /// The value, once; `None` while the task runs and for good when its process was killed.
    pub fn take(&self) -> Option<T> {
        self.0.borrow_mut().take()
    }

    /// Whether [`Outcome::take`] would give a value.
    pub fn is_ready(&self) -> bool {
        self.0.borrow().is_some()
    }
}

/// A future that is ready when `done` gives a value; `done` keeps the waker for later.
pub(super) fn wait_for<T>(
    mut done: impl FnMut(&Waker) -> Option<T> + Unpin,
) -> impl Future<Output = T> {
    std::future::poll_fn(
        move |context: &mut Context<'_>| match done(context.waker()) {
            Some(value) => Poll::Ready(value),
            None => Poll::Pending,
        },
    )
}

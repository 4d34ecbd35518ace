//! Which core a shard thread runs on.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Where a thread of a group is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this core alone.
    Core(usize),
    /// Wherever the kernel likes: there are more threads than cores.
    Anywhere,
}

/// The cores that this process may run on, in order.
pub fn cores() -> io::Result<Vec<usize>> {
    let mask = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&at| mask.is_set(at)).collect())
}

/// Where thread `index` of `threads` belongs, given the cores there are. Each gets a core of its
/// own, in order.
pub fn place(index: usize, threads: usize, cores: &[usize]) -> Place {
    assert!(index < threads, "thread {index} of {threads}");
    if threads > cores.len() {
        return Place::Anywhere;
    }
    Place::Core(cores[index])
}

/// Puts the calling thread in its place.
pub fn pin(place: Place) -> io::Result<()> {
    let Place::Core(core) = place else {
        return Ok(());
    };
    let mut mask = CpuSet::new();
    mask.set(core);
    Ok(sched_setaffinity(None, &mask)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_get_cores_of_their_own_inside_the_mask() {
        let cores = [2, 3, 6];
        assert_eq!(place(0, 2, &cores), Place::Core(2));
        assert_eq!(place(1, 2, &cores), Place::Core(3));
        assert_eq!(place(2, 3, &cores), Place::Core(6));
    }

    #[test]
    fn more_threads_than_cores_are_not_pinned() {
        for index in 0..4 {
            assert_eq!(place(index, 4, &[0, 1, 2]), Place::Anywhere);
        }
    }

    #[test]
    fn a_pinned_thread_runs_on_its_core_alone() {
        let all = cores().unwrap();
        let (first, count) = (all[0], all.len());
        let pinned = std::thread::spawn(move || {
            pin(Place::Core(first)).unwrap();
            cores().unwrap()
        });
        assert_eq!(pinned.join().unwrap(), [first]);
        assert_eq!(cores().unwrap().len(), count, "other threads are not moved");
    }
}

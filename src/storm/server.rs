//! A backend: workers and a queue in front of them, first come first served. What a call costs is known when it is
//! accepted, and nothing is taken back, so its end is known too.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{Backend, conditions::Millis};

#[derive(Debug)]
pub(super) struct Server {
    /// When each worker is free.
    free: BinaryHeap<Reverse<Millis>>,
    /// When those that wait will begin, in order.
    begins: VecDeque<Millis>,
    /// When those that were accepted and will be answered in time end.
    ends: BinaryHeap<Reverse<Millis>>,
    queue: usize,
    completed: u64,
    /// Calls that were answered in time by layers of the server's own.
    answers: Arc<AtomicU64>,
    /// Calls that had been answered when it became cold, and when that was.
    completed_before: Option<(Millis, u64)>,
}

impl Server {
    pub(super) fn new(backend: &Backend) -> Self {
        Self {
            free: (0..backend.workers).map(|_| Reverse(0)).collect(),
            begins: VecDeque::new(),
            ends: BinaryHeap::new(),
            queue: backend.queue as usize,
            completed: 0,
            answers: Arc::default(),
            completed_before: None,
        }
    }

    fn pass(&mut self, now: Millis) {
        while self.begins.front().is_some_and(|begins| *begins <= now) {
            self.begins.pop_front();
        }
        while self.ends.peek().is_some_and(|Reverse(ends)| *ends <= now) {
            self.ends.pop();
            self.completed += 1;
        }
    }

    /// Where answers in time are counted that are not worked out here.
    pub(super) fn answers(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.answers)
    }

    /// Whether it is still cold that became so at `since`, for so many calls.
    pub(super) fn is_cold(&mut self, now: Millis, since: Millis, completions: u64) -> bool {
        self.pass(now);
        let completed = self.completed + self.answers.load(Ordering::Relaxed);
        if self.completed_before.is_none_or(|(at, _)| at != since) {
            self.completed_before = Some((since, completed));
        }
        self.completed_before.is_some_and(|(_, before)| completed - before < completions)
    }

    /// Accepts a call that takes so long and is of use up to `by`, and says when it ends; `None`: the queue is full.
    pub(super) fn offer(&mut self, now: Millis, takes: Millis, by: Millis) -> Option<Millis> {
        self.pass(now);
        if self.begins.len() >= self.queue && self.free.peek().is_none_or(|Reverse(free)| *free > now) {
            return None;
        }
        let Reverse(free) = self.free.pop()?;
        let begins = free.max(now);
        let ends = begins + takes;
        self.free.push(Reverse(ends));
        if ends <= by {
            self.ends.push(Reverse(ends));
        }
        if begins > now {
            self.begins.push_back(begins);
        }
        Some(ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVER: Millis = Millis::MAX;

    fn server(workers: u32, queue: u32) -> Server {
        Server::new(&Backend { workers, queue, ..Backend::default() })
    }

    #[test]
    fn first_come_first_served_by_so_many_workers() {
        let mut server = server(2, 10);
        assert_eq!([10, 30, 5, 5, 5].map(|takes| server.offer(0, takes, EVER)), [10, 30, 15, 20, 25].map(Some));
        assert_eq!(server.offer(100, 7, EVER), Some(107));
    }

    #[test]
    fn who_finds_the_queue_full_is_refused() {
        let mut server = server(1, 2);
        assert_eq!([10, 10, 10, 10].map(|takes| server.offer(0, takes, EVER)), [Some(10), Some(20), Some(30), None]);
        assert_eq!(server.offer(9, 10, EVER), None);
        assert_eq!((server.offer(10, 10, EVER), server.offer(10, 10, EVER)), (Some(40), None));
        let mut without = Server::new(&Backend { workers: 1, queue: 0, ..Backend::default() });
        assert_eq!(
            [without.offer(0, 10, EVER), without.offer(9, 10, EVER), without.offer(10, 10, EVER)],
            [Some(10), None, Some(20)]
        );
    }

    #[test]
    fn it_is_cold_until_so_many_calls_were_answered_in_time() {
        let mut server = server(1, 10);
        server.offer(0, 10, EVER);
        assert!(server.is_cold(20, 20, 2));
        server.offer(20, 10, EVER);
        server.offer(20, 10, EVER);
        server.offer(20, 10, 49);
        assert!(server.is_cold(39, 20, 2) && !server.is_cold(40, 20, 2));
        assert!(server.is_cold(50, 50, 1), "another time");
    }
}

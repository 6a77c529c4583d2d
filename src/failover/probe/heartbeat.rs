//! Endpoints that report by themselves: from whoever hears of it to the task of the client.

use std::{
    collections::{HashMap, VecDeque},
    fmt, mem,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use super::Report;
use crate::{sync::Mutex, telemetry::Name};

/// So many endpoints may have reports that are yet to be read; those of others are lost meanwhile.
const CAPACITY: usize = 4096;

/// Where reports go of endpoints that say by themselves how they are: from a registry, a message queue, a connection of
/// their own. Each report is a pass; none for so long as [`misses`](crate::failover::Check#structfield.misses) says is a failure.
///
/// Clones are one. Of several reports of an endpoint that have not been read yet, the last one counts. Reports
/// that come before a client has been given this are lost.
///
/// ```
/// use steadfast::failover::probe::{Heartbeats, Report};
///
/// let heartbeats = Heartbeats::new();
/// let heard = heartbeats.clone();
/// heard.beat("db1", Report::new().drain(true));
/// ```
pub struct Heartbeats {
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    /// How many clones there are.
    handles: usize,
    next: u64,
    inboxes: Vec<Inbox>,
}

/// What one client has not read yet.
struct Inbox {
    id: u64,
    latest: HashMap<Name, Report>,
    /// Their keys, first come first.
    order: VecDeque<Name>,
    waker: Option<Waker>,
}

impl Heartbeats {
    /// Nobody has reported, and nobody listens.
    pub fn new() -> Self {
        Self { shared: Arc::new(Mutex::new(Shared { handles: 1, next: 0, inboxes: Vec::new() })) }
    }

    /// The endpoint of this key has reported. Neither waits nor fails; what is said of an endpoint that is not there is
    /// thrown away.
    pub fn beat(&self, key: impl Into<Name>, report: impl Into<Report>) {
        let (key, report) = (key.into(), report.into());
        let mut wakers = Vec::new();
        {
            let mut shared = self.shared.lock();
            for inbox in &mut shared.inboxes {
                inbox.put(&key, report);
                wakers.extend(inbox.waker.take());
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// For one client: what is reported from here on.
    pub(in crate::failover) fn reports(&self) -> Reports {
        let mut shared = self.shared.lock();
        let id = shared.next;
        shared.next += 1;
        shared.inboxes.push(Inbox { id, latest: HashMap::new(), order: VecDeque::new(), waker: None });
        Reports { shared: Arc::clone(&self.shared), id }
    }
}

impl Inbox {
    fn put(&mut self, key: &Name, report: Report) {
        if let Some(latest) = self.latest.get_mut(key) {
            *latest = report;
        } else if self.order.len() < CAPACITY {
            self.latest.insert(key.clone(), report);
            self.order.push_back(key.clone());
        }
    }

    fn take(&mut self) -> Option<(Name, Report)> {
        let key = self.order.pop_front()?;
        self.latest.remove_entry(&key)
    }
}

impl Default for Heartbeats {
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for Heartbeats {
    fn clone(&self) -> Self {
        self.shared.lock().handles += 1;
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl Drop for Heartbeats {
    fn drop(&mut self) {
        let mut wakers = Vec::new();
        {
            let mut shared = self.shared.lock();
            shared.handles -= 1;
            if shared.handles == 0 {
                wakers.extend(shared.inboxes.iter_mut().filter_map(|inbox| inbox.waker.take()));
            }
        }
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl fmt::Debug for Heartbeats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heartbeats").field("clients", &self.shared.lock().inboxes.len()).finish_non_exhaustive()
    }
}

/// The reports that one client has not read yet. To be read before silence is judged, or a client that was held up itself would
/// take its endpoints for silent.
pub(in crate::failover) struct Reports {
    shared: Arc<Mutex<Shared>>,
    id: u64,
}

impl Reports {
    /// The next report; `None` when there will be no more.
    pub(in crate::failover) fn poll_report(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Name, Report)>> {
        let mut waker = Some(cx.waker().clone());
        let mut shared = self.shared.lock();
        let over = shared.handles == 0;
        let inbox = shared.inboxes.iter_mut().find(|inbox| inbox.id == self.id);
        let polled = match inbox.map(|inbox| (inbox.take(), inbox)) {
            Some((Some(report), _)) => Poll::Ready(Some(report)),
            None => Poll::Ready(None),
            Some(_) if over => Poll::Ready(None),
            Some((None, inbox)) => {
                mem::swap(&mut inbox.waker, &mut waker);
                Poll::Pending
            }
        };
        // The waker that is not kept is dropped after the lock.
        drop(shared);
        polled
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        let mut shared = self.shared.lock();
        let at = shared.inboxes.iter().position(|inbox| inbox.id == self.id);
        let inbox = at.map(|at| shared.inboxes.swap_remove(at));
        drop(shared);
        drop(inbox);
    }
}

impl fmt::Debug for Reports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reports").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn all(reports: &mut Reports) -> Vec<(Name, Option<f64>)> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut all = Vec::new();
        while let Poll::Ready(Some((key, report))) = reports.poll_report(&mut cx) {
            all.push((key, report.weight));
        }
        all
    }

    fn weight(weight: f64) -> Report {
        Report::new().weight(weight)
    }

    #[test]
    fn the_latest_report_of_each_endpoint_is_read_in_the_order_of_the_first() {
        let heartbeats = Heartbeats::new();
        let mut reports = heartbeats.reports();
        for (key, n) in [("a", 1.0), ("b", 2.0), ("a", 3.0)] {
            heartbeats.clone().beat(key, weight(n));
        }
        assert_eq!(all(&mut reports), [("a".into(), Some(3.0)), ("b".into(), Some(2.0))]);
        assert_eq!(all(&mut reports), []);
        heartbeats.beat("a", ());
        assert_eq!(all(&mut reports), [("a".into(), None)]);
    }

    #[test]
    fn a_flood_of_keys_takes_bounded_room() {
        let heartbeats = Heartbeats::new();
        let mut reports = heartbeats.reports();
        for n in 0..2 * CAPACITY {
            heartbeats.beat(n.to_string(), ());
        }
        // Who is waiting already still gets its latest in.
        heartbeats.beat("0", weight(5.0));
        let all = all(&mut reports);
        assert_eq!((all.len(), &all[0]), (CAPACITY, &("0".into(), Some(5.0))));
    }

    #[test]
    fn who_waits_is_woken_once_by_a_report_and_by_the_end() {
        let heartbeats = Heartbeats::new();
        let clone = heartbeats.clone();
        let mut reports = heartbeats.reports();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut cx = Context::from_waker(&waker);
        let count = || woken.0.load(Ordering::Relaxed);

        assert!(reports.poll_report(&mut cx).is_pending());
        heartbeats.beat("a", ());
        heartbeats.beat("b", ());
        assert_eq!(count(), 1);
        all(&mut reports);
        assert!(reports.poll_report(&mut cx).is_pending());
        drop(heartbeats);
        assert!(reports.poll_report(&mut cx).is_pending());
        assert_eq!(count(), 1);
        clone.beat("c", ());
        assert_eq!(count(), 2);
        assert!(reports.poll_report(&mut cx).is_ready());
        assert!(reports.poll_report(&mut cx).is_pending());
        clone.beat("d", ());
        drop(clone);
        assert_eq!(all(&mut reports), [("d".into(), None)], "what was there is read first");
        assert!(matches!(reports.poll_report(&mut cx), Poll::Ready(None)));
    }

    #[test]
    fn the_end_wakes_who_waits() {
        let heartbeats = Heartbeats::new();
        let mut reports = heartbeats.reports();
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        assert!(reports.poll_report(&mut Context::from_waker(&waker)).is_pending());
        drop(heartbeats);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn each_client_reads_all_of_it_and_leaves_nothing_behind() {
        let heartbeats = Heartbeats::new();
        let (mut first, mut second) = (heartbeats.reports(), heartbeats.reports());
        heartbeats.beat("a", ());
        assert_eq!(all(&mut second), [("a".into(), None)]);
        assert_eq!(all(&mut first), [("a".into(), None)]);
        heartbeats.beat("a", ());
        drop(first);
        heartbeats.beat("b", ());
        assert_eq!(all(&mut second).len(), 2);
        drop(second);
        assert!(heartbeats.shared.lock().inboxes.is_empty());
    }
}

//! The window of recent outcomes: fixed memory, O(1) per call.

use std::time::Duration;

use super::settings::Window as Kind;

/// What a window keeps of one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) failed: bool,
    pub(super) slow: bool,
    /// Dropped without a result.
    pub(super) abandoned: bool,
}

impl Mark {
    const fn pack(self) -> u8 {
        self.failed as u8 | (self.slow as u8) << 1 | (self.abandoned as u8) << 2
    }

    const fn unpack(bits: u8) -> Self {
        Self { failed: bits & 1 != 0, slow: bits & 2 != 0, abandoned: bits & 4 != 0 }
    }
}

/// Sums over the calls in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Calls that ended with a result.
    pub(super) recorded: u32,
    pub(super) failed: u32,
    pub(super) slow: u32,
    /// Calls that were dropped without a result.
    pub(super) abandoned: u32,
    pub(super) abandoned_slow: u32,
}

impl Totals {
    const fn of(mark: Mark) -> Self {
        Self {
            recorded: !mark.abandoned as u32,
            failed: mark.failed as u32,
            slow: mark.slow as u32,
            abandoned: mark.abandoned as u32,
            abandoned_slow: (mark.abandoned && mark.slow) as u32,
        }
    }

    fn add(&mut self, other: Self) {
        self.recorded += other.recorded;
        self.failed += other.failed;
        self.slow += other.slow;
        self.abandoned += other.abandoned;
        self.abandoned_slow += other.abandoned_slow;
    }

    fn subtract(&mut self, other: Self) {
        self.recorded -= other.recorded;
        self.failed -= other.failed;
        self.slow -= other.slow;
        self.abandoned -= other.abandoned;
        self.abandoned_slow -= other.abandoned_slow;
    }

    /// All calls that ended, whichever way.
    pub(super) const fn calls(&self) -> u32 {
        self.recorded + self.abandoned
    }

    /// Failures in percent. Abandoned calls are failures once they are half of all: single ones may be impatient
    /// callers, many are a service that hangs.
    pub(super) fn failure_percent(&self) -> f32 {
        if self.abandoned > 0 && self.abandoned >= self.recorded {
            percent(self.failed + self.abandoned, self.calls())
        } else {
            percent(self.failed, self.recorded)
        }
    }

    /// Slow calls in percent. A call that was abandoned early says nothing about how long it would have taken.
    pub(super) fn slow_percent(&self) -> f32 {
        percent(self.slow, self.recorded + self.abandoned_slow)
    }
}

/// In 32-bit floats, as Resilience4j computes them, so that the same thresholds are reached by the same calls.
fn percent(part: u32, whole: u32) -> f32 {
    if whole == 0 { 0.0 } else { part as f32 * 100.0 / whole as f32 }
}

/// A window of calls or of seconds.
#[derive(Clone, Debug)]
pub(super) enum Window {
    Count(CountWindow),
    Time(TimeWindow),
}

impl Window {
    pub(super) fn new(kind: Kind) -> Self {
        match kind {
            Kind::Count(calls) => Self::Count(CountWindow::new(calls)),
            Kind::Time(length) => Self::Time(TimeWindow::new(length.as_secs())),
        }
    }

    /// A window that keeps nothing.
    pub(super) fn none() -> Self {
        Self::Count(CountWindow::new(0))
    }

    pub(super) fn push(&mut self, now: Duration, mark: Mark) {
        match self {
            Self::Count(window) => window.push(mark),
            Self::Time(window) => window.push(now, mark),
        }
    }

    /// The sums as of `now`.
    pub(super) fn totals(&mut self, now: Duration) -> Totals {
        match self {
            Self::Count(window) => window.totals,
            Self::Time(window) => {
                window.slide(now);
                window.totals
            }
        }
    }

    /// Takes the size of `kind`, keeping the newest calls; starts empty if the kind is another.
    pub(super) fn resize(&mut self, now: Duration, kind: Kind) {
        match (&mut *self, kind) {
            (Self::Count(window), Kind::Count(calls)) => window.resize(calls),
            (Self::Time(window), Kind::Time(length)) => window.resize(now, length.as_secs()),
            _ => *self = Self::new(kind),
        }
    }
}

/// The last `n` calls: a ring, and the sums over it.
#[derive(Clone, Debug)]
pub(super) struct CountWindow {
    ring: Box<[u8]>,
    next: usize,
    filled: usize,
    totals: Totals,
}

impl CountWindow {
    fn new(calls: u32) -> Self {
        Self { ring: vec![0; calls as usize].into_boxed_slice(), next: 0, filled: 0, totals: Totals::default() }
    }

    fn push(&mut self, mark: Mark) {
        let size = self.ring.len();
        let Some(slot) = self.ring.get_mut(self.next) else { return };
        if self.filled == size {
            self.totals.subtract(Totals::of(Mark::unpack(*slot)));
        } else {
            self.filled += 1;
        }
        *slot = mark.pack();
        self.totals.add(Totals::of(mark));
        self.next = if self.next + 1 == size { 0 } else { self.next + 1 };
    }

    fn resize(&mut self, calls: u32) {
        let (size, old) = (self.ring.len(), self.clone());
        *self = Self::new(calls);
        for age in (1..=old.filled).rev() {
            self.push(Mark::unpack(old.ring[(old.next + size - age) % size]));
        }
    }
}

/// The current second and those before it: a ring of sums per second, and the sum of those.
#[derive(Clone, Debug)]
pub(super) struct TimeWindow {
    seconds: Box<[Totals]>,
    /// The newest second, counted from the origin; its slot is this modulo the length.
    newest: u64,
    totals: Totals,
}

impl TimeWindow {
    fn new(seconds: u64) -> Self {
        Self {
            seconds: vec![Totals::default(); seconds as usize].into_boxed_slice(),
            newest: 0,
            totals: Totals::default(),
        }
    }

    fn slot(&mut self, second: u64) -> &mut Totals {
        &mut self.seconds[(second % self.seconds.len() as u64) as usize]
    }

    fn push(&mut self, now: Duration, mark: Mark) {
        self.slide(now);
        self.slot(self.newest).add(Totals::of(mark));
        self.totals.add(Totals::of(mark));
    }

    /// Forgets the seconds that have left the window. Costs at most one step per second passed, and never more than
    /// the window has.
    fn slide(&mut self, now: Duration) {
        let second = now.as_secs();
        let size = self.seconds.len() as u64;
        if second <= self.newest {
            return;
        }
        if second - self.newest >= size {
            self.seconds.fill(Totals::default());
            self.totals = Totals::default();
        } else {
            for passed in self.newest + 1..=second {
                let gone = std::mem::take(self.slot(passed));
                self.totals.subtract(gone);
            }
        }
        self.newest = second;
    }

    fn resize(&mut self, now: Duration, seconds: u64) {
        self.slide(now);
        let mut old = std::mem::replace(self, Self::new(seconds));
        self.newest = old.newest;
        let kept = seconds.min(old.seconds.len() as u64);
        for age in 0..kept.min(old.newest.saturating_add(1)) {
            let totals = *old.slot(old.newest - age);
            *self.slot(old.newest - age) = totals;
            self.totals.add(totals);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: Mark = Mark { failed: true, slow: false, abandoned: false };
    const OK: Mark = Mark { failed: false, slow: false, abandoned: false };
    const ABANDONED: Mark = Mark { failed: false, slow: false, abandoned: true };

    fn secs(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn a_full_count_window_forgets_the_oldest_call() {
        let mut window = CountWindow::new(3);
        for mark in [FAILED, OK, OK, OK] {
            window.push(mark);
        }
        assert_eq!(window.totals, Totals { recorded: 3, ..Totals::default() });
    }

    #[test]
    fn a_resized_count_window_keeps_the_newest_calls() {
        let mut window = CountWindow::new(4);
        for mark in [OK, FAILED, OK, FAILED, FAILED] {
            window.push(mark); // holds F O F F
        }
        window.resize(2);
        assert_eq!(window.totals.failed, 2);
        window.resize(3);
        window.push(OK);
        window.push(OK); // holds F O O
        assert_eq!((window.totals.recorded, window.totals.failed), (3, 1));
    }

    #[test]
    fn a_resized_time_window_keeps_the_newest_seconds() {
        let mut window = TimeWindow::new(4);
        for second in 10..14 {
            window.push(secs(second), FAILED);
        }
        window.resize(secs(13), 2);
        assert_eq!(window.totals.failed, 2);
        window.resize(secs(13), 8);
        window.slide(secs(19));
        assert_eq!(window.totals.failed, 2);
        window.slide(secs(20));
        assert_eq!(window.totals.failed, 1);
    }

    #[test]
    fn abandoned_calls_are_failures_once_they_are_half_of_all() {
        let mut totals = Totals::default();
        for mark in [OK, OK, ABANDONED] {
            totals.add(Totals::of(mark));
        }
        assert_eq!(totals.failure_percent(), 0.0);
        totals.add(Totals::of(ABANDONED));
        assert_eq!(totals.failure_percent(), 50.0);
    }

    /// Nonsense, which shows in the sums of whoever looks at it.
    const SCRIBBLE: Totals =
        Totals { recorded: 1 << 20, failed: 1 << 21, slow: 1 << 22, abandoned: 1 << 23, abandoned_slow: 1 << 24 };

    #[test]
    fn a_time_window_looks_at_one_second_a_call_however_many_calls_it_holds() {
        for calls in [1_u32, 40_000] {
            let mut window = TimeWindow::new(10);
            for call in 0..calls {
                window.push(secs(u64::from(call % 10)).max(secs(window.newest)), OK);
            }
            let (slots, before) = (window.seconds.len(), window.totals);
            // All seconds but the present one hold nonsense now: a call that looks at any of them is found out.
            let newest = window.newest;
            for second in newest + 1..newest + 10 {
                *window.slot(second) = SCRIBBLE;
            }
            window.push(secs(newest), FAILED);
            assert_eq!(window.totals, Totals { recorded: before.recorded + 1, failed: 1, ..before }, "{calls} calls");
            assert_eq!(window.slot(newest).failed, 1);
            for second in newest + 1..newest + 10 {
                assert_eq!(*window.slot(second), SCRIBBLE, "{calls} calls: a call touched another second");
            }
            assert_eq!(window.seconds.len(), slots, "{calls} calls: fixed memory");
        }
    }

    #[test]
    fn a_count_window_looks_at_one_place_a_call_however_many_calls_it_holds() {
        for size in [10_u32, 40_000] {
            let mut window = CountWindow::new(size);
            (0..size).for_each(|_| window.push(OK));
            let next = window.next;
            // All places but the oldest call's are failures now, behind the back of the sums.
            window
                .ring
                .iter_mut()
                .enumerate()
                .filter(|(at, _)| *at != next)
                .for_each(|(_, bits)| *bits = FAILED.pack());
            window.push(OK);
            assert_eq!(window.totals, Totals { recorded: size, ..Totals::default() }, "window of {size}");
            assert_eq!(window.ring.len(), size as usize, "fixed memory");
        }
    }
}

//! How long attempts take: percentiles of those that were seen in the last ten to twenty seconds. Fixed memory, and a
//! constant share of work for each call. Pure: takes `now`.

use std::{
    array, fmt,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Each power of two is cut into so many buckets, so what is read is at most a sixteenth too long.
const PARTS: u64 = 16;
/// `PARTS` as a power of two.
const PARTS_LOG: u32 = PARTS.trailing_zeros();
/// Up to 2^33 µs, more than two hours; what takes longer is counted with those.
const LARGEST_LOG: u32 = 33;
const BUCKETS: usize = ((LARGEST_LOG - PARTS_LOG + 1) as usize) * PARTS as usize;
/// How long a window is filled before it becomes the older of the two.
const WINDOW: u64 = 10_000_000;
/// What has been read holds for so long, so that not each call adds all buckets up.
const FRESH: u64 = 100_000;

/// Two windows that take turns: one that is filled, and the one before.
pub(super) struct Estimate {
    windows: [Window; 2],
    /// Which window it is, counted from the origin of time.
    turn: AtomicU64,
    /// The last reading.
    percentile: AtomicU64,
    median: AtomicU64,
    /// From when on it is read anew.
    stale: AtomicU64,
}

struct Window {
    total: AtomicU32,
    counts: [AtomicU32; BUCKETS],
}

/// What is known of the time that attempts take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) percentile: Duration,
    pub(super) median: Duration,
}

impl Estimate {
    pub(super) fn new() -> Self {
        Self {
            windows: [Window::new(), Window::new()],
            turn: AtomicU64::new(0),
            percentile: AtomicU64::new(0),
            median: AtomicU64::new(0),
            stale: AtomicU64::new(0),
        }
    }

    /// An attempt took so long; or longer, if it was not waited for any more.
    pub(super) fn record(&self, now: Duration, took: Duration) {
        let window = &self.windows[self.turn(micros(now))];
        window.counts[bucket(micros(took))].fetch_add(1, Relaxed);
        window.total.fetch_add(1, Relaxed);
    }

    /// The time that such a share of attempts does not exceed, and the median; `None` before `minimum` were seen.
    pub(super) fn read(&self, now: Duration, share: f64, minimum: u32) -> Option<Reading> {
        let now = micros(now);
        self.turn(now);
        let total = self.windows.iter().map(|window| window.total.load(Relaxed)).fold(0, u32::saturating_add);
        if total == 0 || total < minimum {
            return None;
        }
        if now >= self.stale.load(Relaxed) {
            self.median.store(self.value(total, 0.5), Relaxed);
            self.percentile.store(self.value(total, share), Relaxed);
            self.stale.store(now.saturating_add(FRESH), Relaxed);
        }
        let read = |value: &AtomicU64| Duration::from_micros(value.load(Relaxed));
        Some(Reading { percentile: read(&self.percentile), median: read(&self.median) })
    }

    /// Has the next call read anew.
    pub(super) fn refresh(&self) {
        self.stale.store(0, Relaxed);
    }

    /// The longest that is counted with the attempt at such a share of all.
    fn value(&self, total: u32, share: f64) -> u64 {
        let rank = (share * f64::from(total)).ceil().max(1.0) as u64;
        let mut seen = 0;
        for bucket in 0..BUCKETS {
            seen += self.windows.iter().map(|window| u64::from(window.counts[bucket].load(Relaxed))).sum::<u64>();
            if seen >= rank {
                return longest(bucket);
            }
        }
        longest(BUCKETS - 1)
    }

    /// Whose turn it is, after emptying what is too old. What others count at that moment may be lost.
    fn turn(&self, now: u64) -> usize {
        let turn = now / WINDOW;
        let before = self.turn.load(Relaxed);
        if turn > before && self.turn.compare_exchange(before, turn, Relaxed, Relaxed).is_ok() {
            self.windows[(turn % 2) as usize].clear();
            if turn > before + 1 {
                self.windows[((turn + 1) % 2) as usize].clear();
            }
            self.refresh();
        }
        (turn % 2) as usize
    }
}

impl Window {
    fn new() -> Self {
        Self { total: AtomicU32::new(0), counts: array::from_fn(|_| AtomicU32::new(0)) }
    }

    fn clear(&self) {
        self.total.store(0, Relaxed);
        self.counts.iter().for_each(|count| count.store(0, Relaxed));
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Where a time is counted: below `PARTS` µs each by itself, from there on by its power of two and the part of it.
fn bucket(micros: u64) -> usize {
    let micros = micros.min((1 << LARGEST_LOG) - 1);
    if micros < PARTS {
        return micros as usize;
    }
    let power = micros.ilog2();
    let part = (micros >> (power - PARTS_LOG)) & (PARTS - 1);
    (power - PARTS_LOG + 1) as usize * PARTS as usize + part as usize
}

/// The longest time that is counted there.
fn longest(bucket: usize) -> u64 {
    let (row, part) = (bucket as u64 / PARTS, bucket as u64 % PARTS);
    match row {
        0 => part,
        _ => ((PARTS + part + 1) << (row - 1)) - 1,
    }
}

impl fmt::Debug for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Estimate").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn every_time_is_in_a_bucket_whose_longest_is_at_most_a_sixteenth_longer() {
        let mut times: Vec<u64> = (0..5_000).collect();
        times.extend((4..LARGEST_LOG).flat_map(|power| [(1 << power) - 1, 1 << power, (1 << power) + 1]));
        for micros in times {
            let longest = longest(bucket(micros));
            assert!((micros..=micros + micros / 16).contains(&longest), "{micros}: {longest}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn nothing_is_known_before_there_is_enough_nor_when_it_is_too_old() {
        let estimate = Estimate::new();
        let read = |now| estimate.read(now, 0.95, 20);
        (0..19).for_each(|_| estimate.record(MS, 5 * MS));
        assert_eq!(read(MS), None);
        estimate.record(MS, 5 * MS);
        assert!(read(MS).is_some());
        assert!(read(19_999 * MS).is_some(), "the window before this one");
        assert_eq!(read(20_000 * MS), None);
    }

    #[test]
    fn what_was_slow_is_forgotten() {
        let estimate = Estimate::new();
        (0..100).for_each(|_| estimate.record(MS, 900 * MS));
        (0..50).for_each(|_| estimate.record(10_000 * MS, 20 * MS));
        assert!(estimate.read(10_000 * MS, 0.5, 1).unwrap().median >= 900 * MS);
        let later = estimate.read(20_000 * MS, 0.95, 1).unwrap();
        assert!(later.percentile < 22 * MS, "{later:?}");
    }

    #[test]
    fn a_reading_holds_for_a_tenth_of_a_second_and_the_first_is_never_missed() {
        let estimate = Estimate::new();
        estimate.record(MS, 5 * MS);
        let first = estimate.read(MS, 0.95, 1).unwrap();
        (0..100).for_each(|_| estimate.record(MS, 500 * MS));
        assert_eq!(estimate.read(100 * MS, 0.95, 1), Some(first));
        assert!(estimate.read(101 * MS, 0.95, 1).unwrap().median >= 500 * MS);
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_the_sorted_times_and_up_to_a_sixteenth_more(
            times in prop::collection::vec(prop_oneof![0..100_u64, 0..100_000_u64, 0..100_000_000_u64], 1..400),
            share in 0.01..1.0_f64,
        ) {
            let estimate = Estimate::new();
            times.iter().for_each(|time| estimate.record(MS, Duration::from_micros(*time)));
            let mut sorted = times.clone();
            sorted.sort_unstable();
            let exact = |share: f64| sorted[((share * sorted.len() as f64).ceil() as usize).max(1) - 1];
            let read = estimate.read(MS, share, 1).unwrap();
            for (read, exact) in [(read.percentile, exact(share)), (read.median, exact(0.5))] {
                let read = micros(read);
                prop_assert!((exact..=exact + exact / 16).contains(&read), "{} read as {}", exact, read);
            }
        }
    }
}

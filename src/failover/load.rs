//! How busy and how fast an endpoint is: calls in flight, a peak-sensitive average of latency, and a penalty. Atomics
//! only. Pure: takes `now`.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::sync::atomic::AtomicU32;

/// After so many seconds, what is measured has pulled the estimate down to 1/e of the way, and an endpoint that nobody
/// calls looks faster by as much. Finagle and linkerd take 10 s, which leaves an endpoint that was slow by a factor of 100
/// alone for most of a minute after it is well again; with 2 s it is asked after 9 s. Under a second, a slow
/// one is asked for a noticeable share of calls, and one sample is all that is remembered.
const DECAY: f32 = 2.0;
/// How often a tick halves it, in parts of 2^32.
const HALVED: u64 = (TICK as f64 / DECAY as f64 / std::f64::consts::LN_2 * (1_u64 << 32) as f64) as u64;
/// A sample raises the estimate at most to so many times what it was. Stragglers say nothing of an endpoint (they
/// come from queues, collectors of garbage, and the like: "The Tail at Scale"), and unclipped one of them keeps an endpoint
/// without calls for `DECAY` times the logarithm of how much it was too slow. One that has become slow is found out by
/// the calls in flight at once, so nothing is lost when the estimate takes a few samples to get there.
const CLIP: f32 = 2.0;
/// Up to this factor latencies are alike: what one straggler makes of an estimate, and some idle time of the other one.
const ALIKE: f32 = CLIP * 1.25;
/// Nothing is faster than so many seconds: calls in flight would else count nothing.
const FLOOR: f32 = 1e-6;
/// The longest penalty.
const LONGEST_PENALTY: Duration = Duration::from_secs(5);
/// A tick is 2^18 ns, about a quarter of a millisecond: 32 bits of them last 13 days.
const TICK_LOG: u32 = 18;
const TICK: f32 = (1_u32 << TICK_LOG) as f32 / 1e9;
/// A time that is up to so many ticks (4.6 min) before the last sample is taken for the same time; more of it cannot be
/// told from the long idle.
const BACK: u32 = 1 << 20;

/// What changes with each call, shared by all views. Updates that race can be lost; none is torn.
pub(super) struct Load {
    in_flight: AtomicU32,
    /// Seconds as an `f32`, and the tick of the last sample, in one word. Over 0: an estimate. Under 0: no call has been
    /// answered yet, and one was given up after so long. 0: nothing is known.
    sample: AtomicU64,
    /// In nanoseconds; 0 if there is none.
    penalty_ends: AtomicU64,
}

/// What a choice sees of a load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Look {
    in_flight: u32,
    /// As in `Load::sample`, less what it has lost since.
    latency: f32,
    pub(super) penalised: bool,
}

impl Load {
    pub(super) fn new() -> Self {
        Self { in_flight: AtomicU32::new(0), sample: AtomicU64::new(0), penalty_ends: AtomicU64::new(0) }
    }

    /// A call is sent.
    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// A call is over, however it ended. Once for each [`begin`](Self::begin).
    pub(super) fn end(&self) {
        let before = self.in_flight.fetch_sub(1, Relaxed);
        debug_assert_ne!(before, 0, "ended more calls than were begun");
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// A call was answered.
    pub(super) fn answered(&self, latency: Duration, now: Duration) {
        let (estimate, at) = unpacked(self.sample.load(Relaxed));
        let (sample, tick) = (latency.as_secs_f32().max(FLOOR), tick(now));
        let estimate = if estimate <= 0.0 {
            sample
        } else if sample > estimate {
            sample.min(estimate * CLIP)
        } else {
            sample + (estimate - sample) * kept(at, tick)
        };
        self.sample.store(packed(estimate, tick), Relaxed);
    }

    /// A call was dropped before it was answered. It would have taken longer, so its age counts where it is over the estimate;
    /// otherwise it says nothing.
    pub(super) fn abandoned(&self, age: Duration, now: Duration) {
        let (estimate, _) = unpacked(self.sample.load(Relaxed));
        let seconds = age.as_secs_f32();
        if estimate > 0.0 {
            if seconds > estimate {
                self.answered(age, now);
            }
        } else if seconds > -estimate {
            self.sample.store(packed(-seconds, tick(now)), Relaxed);
        }
    }

    /// A call has failed, perhaps very fast. Until `now + for_`, of which at most 5 s count, others are preferred.
    pub(super) fn penalise(&self, now: Duration, for_: Duration) {
        self.penalty_ends.fetch_max(nanos(now.saturating_add(for_.min(LONGEST_PENALTY))), Relaxed);
    }

    /// What was measured is out of date: the endpoint has been away. Calls in flight stay counted.
    pub(super) fn forget(&self) {
        self.sample.store(0, Relaxed);
        self.penalty_ends.store(0, Relaxed);
    }

    /// The estimate as it was after the last sample; `None` before the first answer.
    pub(super) fn latency(&self) -> Option<Duration> {
        let (estimate, _) = unpacked(self.sample.load(Relaxed));
        (estimate > 0.0).then(|| Duration::try_from_secs_f32(estimate).unwrap_or(Duration::MAX))
    }

    /// What it is now. Idle time makes an endpoint look faster, so that one that was slow is called again: one that costs `k`
    /// times as much as others after `DECAY * ln(k)` seconds at the latest. That is over when a call is on its way to
    /// it, so it gets one and not all.
    #[inline]
    pub(super) fn look(&self, Moment(now): Moment) -> Look {
        let in_flight = self.in_flight();
        let (mut latency, at) = unpacked(self.sample.load(Relaxed));
        if in_flight == 0 {
            latency *= kept(at, (now >> TICK_LOG) as u32);
        }
        let left = self.penalty_ends.load(Relaxed).saturating_sub(now);
        // More is left than there can be if time went backwards.
        let penalised = left > 0 && left <= LONGEST_PENALTY.as_nanos() as u64;
        Look { in_flight, latency, penalised }
    }
}

impl Look {
    /// The latencies of the two, as they are compared. An endpoint that has not answered yet is taken for as fast as the other
    /// one, so calls in flight decide; but for no faster than the calls that were given up there.
    pub(super) fn latencies(&self, other: &Self) -> (f32, f32) {
        let assumed = |one: f32, other: f32| if one > 0.0 { one } else { other.max(-one) }.max(FLOOR);
        (assumed(self.latency, other.latency), assumed(other.latency, self.latency))
    }

    /// Calls in flight, and one more that counts `place`.
    pub(super) fn busy(&self, place: f32) -> f32 {
        self.in_flight as f32 + place
    }
}

/// Equally busy, and about as fast. Here the faster one is to get more calls, but not all: a straggler would else leave an
/// endpoint without calls for seconds where there are few calls at a time, and without new samples.
pub(super) fn are_alike(one: &Look, other: &Look) -> bool {
    let (latency, other_latency) = one.latencies(other);
    one.in_flight == other.in_flight && latency <= other_latency * ALIKE && other_latency <= latency * ALIKE
}

/// A time, as it is compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment(u64);

impl Moment {
    pub(super) fn new(now: Duration) -> Self {
        Self(nanos(now))
    }
}

/// Which part of an estimate is left after the time between, to a part in five thousand: the exponential function would
/// be a third of what a choice costs.
fn kept(at: u32, now: u32) -> f32 {
    let ticks = now.wrapping_sub(at);
    if ticks > u32::MAX - BACK {
        return 1.0;
    }
    let halved = u64::from(ticks) * HALVED;
    let rest = (halved as u32 >> 8) as i32 as f32 * (1.0 / (1_u32 << 24) as f32);
    let power = f32::from_bits(127_u32.saturating_sub((halved >> 32) as u32) << 23);
    power * (1.0 + rest * (-0.6930 + rest * (0.2368 - rest * 0.0438)))
}

fn packed(seconds: f32, tick: u32) -> u64 {
    (u64::from(seconds.to_bits()) << 32) | u64::from(tick)
}

fn unpacked(word: u64) -> (f32, u32) {
    (f32::from_bits((word >> 32) as u32), word as u32)
}

fn tick(now: Duration) -> u32 {
    (nanos(now) >> TICK_LOG) as u32
}

/// Nobody waits for 584 years.
fn nanos(time: Duration) -> u64 {
    time.as_secs().saturating_mul(1_000_000_000).saturating_add(u64::from(time.subsec_nanos()))
}

impl fmt::Debug for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (in_flight, latency) = (self.in_flight(), self.latency());
        f.debug_struct("Load").field("in_flight", &in_flight).field("latency", &latency).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const WINDOW: Duration = Duration::from_millis(250);

fn settings() -> AdaptiveLimitSettings {
    AdaptiveLimitSettings::new(Duration::from_secs(1))
}

/// A limiter that is given one window after the other.
struct Windows {
    limiter: Limiter,
    settings: AdaptiveLimitSettings,
    now: Duration,
}

impl Windows {
    fn new(settings: AdaptiveLimitSettings) -> Self {
        Self { limiter: Limiter::new(&settings, Duration::ZERO), settings, now: Duration::ZERO }
    }

    fn pass(&mut self, counts: Counts) -> Option<Cause> {
        self.now += WINDOW;
        self.limiter.judge(self.now, counts, &self.settings)
    }

    /// Calls that make use of the whole limit; the late ones take the longer the more there are at once.
    fn busy(&mut self, good: u32, late: u32) -> Option<Cause> {
        let peak = self.limiter.limit();
        self.pass(Counts { good, late, slow: 10 * MS * peak * late, peak, ..Counts::default() })
    }

    fn limit(&self) -> u32 {
        self.limiter.limit()
    }
}

#[test]
fn it_doubles_until_it_was_first_cut_and_then_grows_by_a_tenth() {
    let mut windows = Windows::new(settings());
    assert_eq!([windows.busy(100, 0), windows.busy(100, 0)], [Some(Cause::Growth); 2]);
    assert_eq!(windows.limit(), 200);
    // 40 in a quarter of a second: 80 in the time of a slow call.
    assert_eq!(windows.busy(10, 30), Some(Cause::Overload));
    assert_eq!(windows.limit(), 80);
    windows.busy(100, 0);
    assert_eq!(windows.limit(), 88);
}

#[test]
fn a_cut_leaves_between_three_and_eight_tenths_of_what_was_in_use() {
    let cut = |peak, late| {
        let mut windows = Windows::new(settings());
        windows.pass(Counts { late, peak, ..Counts::default() });
        windows.limit()
    };
    assert_eq!([cut(50, 10), cut(50, 15), cut(50, 1000)], [20, 30, 40]);
    assert_eq!([cut(40, 2), cut(50, 11), cut(100, 10)], [50, 22, 20]);
    // Ten in progress are what is cut, not the fifty that might have been.
    assert_eq!(cut(10, 1000), 8);
}

#[test]
fn an_overload_is_more_than_six_tenths_and_over_a_tenth_it_does_not_grow() {
    let of = |good, late| Windows::new(settings()).busy(good, late);
    assert_eq!([of(40, 60), of(39, 61)], [None, Some(Cause::Overload)]);
    assert_eq!([of(89, 11), of(90, 10)], [None, Some(Cause::Growth)]);
}

/// A service of which calls take 600 ms, however many there are.
fn slow_by_itself(windows: &mut Windows, rounds: u32) -> Vec<u32> {
    let mut limits = Vec::new();
    for _ in 0..rounds {
        let peak = windows.limit().min(40);
        let late = (peak * 5 / 12).max(2);
        windows.pass(Counts { late, slow: 600 * MS * late, peak, ..Counts::default() });
        limits.push(windows.limit());
    }
    limits
}

#[test]
fn where_calls_are_slow_by_themselves_it_goes_back_to_what_it_was() {
    let mut windows = Windows::new(settings());
    let limits = slow_by_itself(&mut windows, 1000);
    assert!(limits[..20].iter().any(|limit| *limit < 20), "it tries: {limits:?}");
    let low = limits.iter().filter(|limit| **limit < 40).count();
    assert!(low < 150, "{low} of 1,000 windows");
    assert_eq!(limits[999], 50);
    // What is overloaded after that is cut as ever, once it has been well.
    windows.busy(100, 0);
    assert_eq!(windows.busy(0, 100), Some(Cause::Overload));
}

#[test]
fn what_refuses_is_not_asked_for_more_however_long_that_goes_on() {
    let mut windows = Windows::new(settings());
    for _ in 0..1000 {
        let peak = windows.limit();
        windows.pass(Counts { refused: 100, late: 10, slow: 600 * MS * 10, peak, ..Counts::default() });
    }
    assert_eq!(windows.limit(), 1);
}

#[test]
fn it_does_not_grow_unless_most_of_it_is_in_use() {
    let with = |peak| Windows::new(settings()).pass(Counts { good: 1000, peak, ..Counts::default() });
    assert_eq!([with(34), with(35)], [None, Some(Cause::Growth)]);
}

#[test]
fn few_calls_are_judged_with_those_of_the_next_windows_or_not_at_all() {
    let mut windows = Windows::new(settings());
    assert_eq!([windows.busy(0, 4), windows.busy(0, 4)], [None; 2]);
    // Twelve in three quarters of a second.
    assert_eq!((windows.busy(0, 4), windows.limit()), (Some(Cause::Overload), 15));
    for _ in 0..100 {
        assert_eq!((windows.busy(0, 1), windows.limit()), (None, 15));
    }
}

#[test]
fn where_nothing_is_answered_few_are_sent_until_something_is_and_then_soon_as_many_as_before() {
    let mut windows = Windows::new(settings());
    let failed = |failed, lost| Counts { failed, lost, peak: 40, ..Counts::default() };
    assert_eq!((windows.pass(failed(30, 0)), windows.limit()), (Some(Cause::Outage), 5));
    assert!(!windows.limiter.is_cutting());
    assert_eq!((windows.pass(failed(0, 30)), windows.limit()), (None, 5));
    let mut limits = Vec::new();
    for _ in 0..5 {
        windows.busy(100, 0);
        limits.push(windows.limit());
    }
    assert_eq!(limits, [10, 20, 40, 50, 55]);
}

#[test]
fn an_outage_in_which_hardly_any_calls_are_in_progress_is_left_as_fast() {
    let mut windows = Windows::new(settings());
    assert_eq!([windows.busy(375, 0), windows.busy(375, 0)], [Some(Cause::Growth); 2]);
    // Refused at once, again and again.
    for _ in 0..10 {
        windows.pass(Counts { failed: 375, peak: 2, ..Counts::default() });
    }
    let mut limits = Vec::new();
    for _ in 0..6 {
        windows.busy(375, 0);
        limits.push(windows.limit());
    }
    assert_eq!(limits, [10, 20, 40, 80, 100, 110]);
}

#[test]
fn after_an_outage_it_gets_back_to_where_it_was_though_a_fifth_of_the_calls_is_bad_and_no_further() {
    let mut windows = Windows::new(settings());
    windows.pass(Counts { good: 100, peak: 30, ..Counts::default() });
    windows.pass(Counts { lost: 100, peak: 30, ..Counts::default() });
    for _ in 0..10 {
        windows.busy(80, 20);
    }
    assert_eq!(windows.limit(), 30);
    // Another one on the way back changes nothing of that.
    windows.pass(Counts { lost: 100, peak: 30, ..Counts::default() });
    windows.busy(80, 20);
    windows.pass(Counts { lost: 100, peak: 10, ..Counts::default() });
    for _ in 0..10 {
        windows.busy(80, 20);
    }
    assert_eq!(windows.limit(), 30);
}

#[test]
fn a_small_limit_grows_by_few_and_slow_calls() {
    for (limit, takes) in [(1, 10), (1, 490), (2, 490), (3, 490), (4, 490)] {
        let settings = AdaptiveLimitSettings { initial: limit, ..settings() };
        let mut limiter = Limiter::new(&settings, Duration::ZERO);
        limiter.known = 0.0;
        let (mut now, mut counts) = (Duration::ZERO, Counts::default());
        for _ in 0..1000 {
            now += MS * takes;
            counts = Counts { good: counts.good + limiter.limit(), peak: limiter.limit(), ..counts };
            if now >= limiter.window_end() {
                limiter.judge(now, std::mem::take(&mut counts), &settings);
            }
        }
        assert!(limiter.limit() > 20, "{} from {limit}, with calls of {takes} ms", limiter.limit());
    }
}

#[test]
fn it_is_not_cutting_any_more_when_that_was_long_ago() {
    let mut windows = Windows::new(settings());
    windows.busy(0, 100);
    assert!(windows.limiter.is_cutting());
    for _ in 0..8 {
        windows.busy(1, 0);
    }
    assert!(!windows.limiter.is_cutting());
}

#[test]
fn a_shorter_deadline_ends_the_window_sooner() {
    let endless = AdaptiveLimitSettings::new(Duration::MAX);
    let mut limiter = Limiter::new(&endless, Duration::ZERO);
    limiter.change(MS, &settings());
    assert_eq!(limiter.window_end(), WINDOW + MS);
    limiter.change(2 * MS, &endless);
    assert_eq!(limiter.window_end(), WINDOW + MS);
}

#[test]
fn failures_in_good_time_say_nothing_as_long_as_something_is_answered() {
    let mut windows = Windows::new(settings());
    assert_eq!(windows.pass(Counts { good: 1, failed: 500, peak: 20, ..Counts::default() }), None);
    assert_eq!(windows.limit(), 50);
}

#[test]
fn a_late_answer_is_no_outage() {
    let mut windows = Windows::new(settings());
    assert_eq!(windows.pass(Counts { late: 1, lost: 99, peak: 50, ..Counts::default() }), Some(Cause::Overload));
    assert!(windows.limiter.is_cutting());
}

#[test]
fn aimd_goes_down_by_a_share_and_up_by_a_number() {
    let mut windows = Windows::new(AdaptiveLimitSettings { algorithm: Algorithm::AIMD, ..settings() });
    assert_eq!((windows.busy(39, 61), windows.limit()), (Some(Cause::Overload), 45));
    assert_eq!((windows.busy(100, 0), windows.limit()), (Some(Cause::Growth), 46));
}

#[test]
fn extremes_do_not_overflow() {
    for deadline in [Duration::from_nanos(4), Duration::MAX] {
        for algorithm in [Algorithm::Deadline, Algorithm::AIMD] {
            let settings = AdaptiveLimitSettings { deadline, algorithm, ..AdaptiveLimitSettings::new(deadline) };
            let mut limiter = Limiter::new(&settings, Duration::ZERO);
            for now in [Duration::ZERO, MS, Duration::MAX, Duration::MAX] {
                let (calls, slow) = (u32::MAX, Duration::MAX);
                let most =
                    Counts { good: calls, late: calls, refused: calls, lost: calls, failed: calls, slow, peak: calls };
                for counts in
                    [most, most, Counts { good: 0, late: 1000, ..most }, Counts { good: 10, ..Counts::default() }]
                {
                    limiter.judge(now, counts, &settings);
                    assert!((1..=10_000).contains(&limiter.limit()));
                }
            }
        }
    }
}

fn counts() -> impl Strategy<Value = Counts> {
    let some = || prop_oneof![Just(0_u32), 0_u32..20, 0_u32..2000];
    let calls = (some(), some(), some(), some(), some());
    (calls, 0_u32..300, 0_u32..2000).prop_map(|((good, late, refused, lost, failed), peak, takes)| Counts {
        good,
        late,
        refused,
        lost,
        failed,
        slow: MS * takes * late.saturating_add(lost),
        peak,
    })
}

proptest! {
    #[test]
    fn it_is_never_out_of_its_bounds(
        all in prop::collection::vec((counts(), 1_u64..3000), 1..100), min in 1_u32..100, more in 0_u32..500, aimd: bool,
    ) {
        let algorithm = if aimd { Algorithm::AIMD } else { Algorithm::Deadline };
        let settings = AdaptiveLimitSettings { min, max: min + more, algorithm, ..settings() };
        let mut limiter = Limiter::new(&settings, Duration::ZERO);
        let mut now = Duration::ZERO;
        for (counts, length) in all {
            now += MS * length as u32;
            limiter.judge(now, counts, &settings);
            prop_assert!((min..=min + more).contains(&limiter.limit()));
        }
    }

    /// So a steady load is never cut, whatever there was before.
    #[test]
    fn it_never_goes_down_while_most_calls_are_answered_in_good_time(
        before in prop::collection::vec(counts(), 0..50), all in prop::collection::vec(counts(), 1..100),
    ) {
        let mut windows = Windows::new(settings());
        for counts in before {
            windows.pass(counts);
        }
        // What is left of those before is over.
        windows.now += Duration::from_secs(10);
        windows.pass(Counts::default());
        let mut limit = windows.limit();
        for mut counts in all {
            counts.good = counts.good.max(counts.bad() * 2 / 3 + 1);
            windows.pass(counts);
            prop_assert!(windows.limit() >= limit, "from {limit} to {} by {counts:?}", windows.limit());
            limit = windows.limit();
        }
    }

    #[test]
    fn from_anywhere_it_gets_to_the_highest_if_all_is_well_and_it_is_made_use_of(
        before in prop::collection::vec((counts(), 1_u64..1000), 0..50), aimd: bool, initial in 1_u32..60,
    ) {
        let algorithm = if aimd { Algorithm::AIMD } else { Algorithm::Deadline };
        let mut windows = Windows::new(AdaptiveLimitSettings { max: 60, initial, algorithm, ..settings() });
        for (counts, length) in before {
            windows.now += MS * length as u32;
            windows.limiter.judge(windows.now, counts, &windows.settings);
        }
        windows.now += Duration::from_secs(10);
        windows.pass(Counts::default());
        for _ in 0..150 {
            let limit = windows.limit();
            // Half of them twice in a window, so that the least that says anything is there.
            windows.busy(limit + limit.div_ceil(2).max(2), 0);
        }
        prop_assert_eq!(windows.limit(), 60);
    }

    /// A service with so many workers, asked by more than it can serve, with a queue: as many as are let in wait for it.
    #[test]
    fn under_overload_it_settles_where_calls_take_up_to_a_slow_calls_time(workers in 1_u32..200, millis in 1_u32..100) {
        let mut windows = Windows::new(settings());
        let rate = f64::from(workers) * 1000.0 / f64::from(millis);
        prop_assume!(rate > 50.0);
        let (mut worst, mut idle) = (0.0_f64, 0);
        for window in 0..400 {
            let limit = f64::from(windows.limit());
            let takes = (limit / rate).max(f64::from(millis) / 1000.0);
            let ended = (limit / takes / 4.0) as u32;
            let counts = if takes > 0.5 { Counts { late: ended, slow: Duration::from_secs_f64(takes) * ended, ..Counts::default() } } else { Counts { good: ended, ..Counts::default() } };
            windows.pass(Counts { peak: limit as u32, ..counts });
            if window >= 100 {
                worst = worst.max(takes);
                idle += u32::from(windows.limit() < workers);
            }
        }
        // A tenth over, and one call, before it is seen.
        prop_assert!(worst <= 0.5 * 1.1 + 1.5 / rate + 1e-9, "calls take up to {worst}");
        prop_assert!(idle == 0, "{idle} windows with idle workers");
    }
}

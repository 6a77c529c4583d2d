use proptest::prelude::*;

use super::*;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// One endpoint that is asked, a second between results.
struct Asked {
    checked: Checked,
    check: Check,
    now: Duration,
}

impl Asked {
    fn new() -> Self {
        Self { checked: Checked::new(true), check: Check::default().jitter(0.0), now: Duration::ZERO }
    }

    /// One that has passed for so long that nothing is changing.
    fn well() -> Self {
        let mut asked = Self::new();
        asked.all(true, 5);
        asked
    }

    fn ends(&mut self, ok: bool) -> Option<Change> {
        self.now += S;
        self.checked.result(ok, &self.check, self.now)
    }

    fn all(&mut self, ok: bool, times: u32) -> Vec<Option<Change>> {
        (0..times).map(|_| self.ends(ok)).collect()
    }

    /// How long after the last result it is asked again.
    fn pace(&self) -> Duration {
        self.checked.next(&self.check, self.now, 0.5) - self.now
    }
}

#[test]
fn nothing_starts_healthy_unproven_unless_there_is_no_probe() {
    assert_eq!(Checked::new(true).up(), None);
    assert_eq!(Checked::reports(S).up(), None);
    assert_eq!(Checked::new(false).up(), Some(true));
}

#[test]
fn the_first_result_decides_at_once() {
    for (ok, change) in [(true, Change::Up), (false, Change::Down)] {
        let mut asked = Asked::new();
        assert_eq!(asked.ends(ok), Some(change));
        assert_eq!(asked.checked.up(), Some(ok));
        assert_eq!(asked.ends(ok), None);
    }
}

#[test]
fn three_failures_in_a_row_take_it_out_and_two_passes_bring_it_back() {
    let mut asked = Asked::well();
    assert_eq!(asked.all(false, 4), [None, None, Some(Change::Down), None]);
    assert_eq!(asked.checked.passes_in_row(), 0);
    assert_eq!(asked.all(true, 3), [None, Some(Change::Up), None]);
    assert_eq!(asked.checked.passes_in_row(), 3);
}

#[test]
fn results_that_flap_change_nothing() {
    let mut asked = Asked::well();
    for _ in 0..100 {
        assert_eq!((asked.all(false, 2), asked.ends(true)), (vec![None; 2], None));
    }
    asked.all(false, 3);
    for _ in 0..100 {
        assert_eq!((asked.ends(true), asked.ends(false)), (None, None));
    }
}

#[test]
fn it_is_asked_fast_while_something_is_changing() {
    let mut asked = Asked::new();
    assert_eq!(asked.pace(), Duration::ZERO);
    asked.ends(true);
    assert_eq!(asked.pace(), 2 * S);
    for _ in 0..2 {
        asked.ends(false);
        assert_eq!(asked.pace(), 500 * MS);
    }
    asked.ends(false);
    assert_eq!((asked.checked.up(), asked.pace()), (Some(false), 2 * S));
    asked.ends(true);
    assert_eq!(asked.pace(), 500 * MS);
    asked.ends(true);
    assert_eq!((asked.checked.up(), asked.pace()), (Some(true), 2 * S));
}

#[test]
fn it_is_asked_fast_while_a_primary_is_searched_for() {
    let mut asked = Asked::well();
    asked.checked.fast_until(asked.now + 10 * S);
    asked.checked.fast_until(asked.now + S);
    assert_eq!(asked.pace(), 500 * MS);
    asked.all(true, 9);
    assert_eq!(asked.pace(), 500 * MS);
    asked.ends(true);
    assert_eq!(asked.pace(), 2 * S);
}

#[test]
fn a_search_that_begins_in_the_middle_of_a_wait_cuts_it_short() {
    let mut asked = Asked::well();
    let later = asked.now + S;
    assert_eq!(asked.checked.next(&asked.check, later, 0.5), asked.now + 2 * S);
    asked.checked.fast_until(later + 30 * S);
    assert!(asked.checked.next(&asked.check, later, 0.5) < later);
}

/// Fault 26 of those seen elsewhere: a health check that passes lifts an ejection at once, so the endpoint flaps.
#[test]
fn a_check_that_passes_does_not_lift_an_ejection_at_once() {
    let mut asked = Asked::well();
    assert!(!asked.checked.lifts(&asked.check), "nothing to lift");
    asked.checked.ejected();
    assert!(!asked.checked.lifts(&asked.check), "what it passed before does not count");
    asked.ends(true);
    assert!(!asked.checked.lifts(&asked.check));
    asked.ends(true);
    assert!(asked.checked.lifts(&asked.check));

    // Ejected again before that came to use, and a failure in between.
    asked.checked.ejected();
    for ok in [true, false, true] {
        asked.ends(ok);
        assert!(!asked.checked.lifts(&asked.check));
    }
    asked.ends(true);
    assert!(asked.checked.lifts(&asked.check));
}

#[test]
fn one_that_was_ejected_is_asked_fast_until_it_has_passed() {
    let mut asked = Asked::well();
    asked.checked.ejected();
    assert_eq!(asked.pace(), 500 * MS);
    asked.all(true, 2);
    assert_eq!(asked.pace(), 2 * S);
    // Not for ever, if it is really gone.
    asked.checked.ejected();
    asked.all(false, 3);
    assert_eq!(asked.pace(), 2 * S);
}

#[test]
fn without_a_probe_nothing_is_due_and_nothing_lifts() {
    let mut checked = Checked::new(false);
    checked.ejected();
    checked.fast_until(Duration::MAX);
    let check = Check::default();
    assert_eq!(checked.next(&check, S, 0.5), Duration::MAX);
    assert!(!checked.lifts(&check));
    assert_eq!((checked.expire(&check, Duration::MAX), checked.heartbeat(&check, S)), (None, None));
}

#[test]
fn reports_that_stay_away_take_an_endpoint_out() {
    let check = Check::default();
    let mut checked = Checked::reports(S);
    // It has never reported.
    assert_eq!(checked.next(&check, S, 0.0), 7 * S);
    assert_eq!(checked.expire(&check, 7 * S - MS), None);
    assert_eq!(checked.expire(&check, 7 * S), Some(Change::Down));
    assert_eq!(checked.next(&check, 7 * S, 0.0), Duration::MAX);

    // Back after as many reports as passes, and out again after three that are missing.
    assert_eq!(checked.heartbeat(&check, 10 * S), None);
    assert_eq!(checked.heartbeat(&check, 12 * S), Some(Change::Up));
    assert_eq!(checked.next(&check, 12 * S, 0.0), 18 * S);
    assert_eq!(checked.expire(&check, 18 * S - MS), None);
    assert_eq!(checked.expire(&check, 18 * S), Some(Change::Down));
    assert_eq!(checked.expire(&check, 19 * S), None);
    assert_eq!(checked.heartbeat(&check, 20 * S), None);
    // Two passes with silence in between are not in a row.
    assert_eq!(checked.next(&check, 20 * S, 0.0), 26 * S);
    assert_eq!(checked.expire(&check, 26 * S), None);
    assert_eq!(checked.next(&check, 26 * S, 0.0), Duration::MAX);
    assert_eq!(checked.heartbeat(&check, 30 * S), None);
    assert_eq!(checked.heartbeat(&check, 32 * S), Some(Change::Up));
}

#[test]
fn the_first_report_decides_at_once() {
    let mut checked = Checked::reports(S);
    assert_eq!(checked.heartbeat(&Check::default(), S), Some(Change::Up));
}

#[test]
fn many_reports_at_once_are_one_pass() {
    let check = Check::default();
    let mut checked = Checked::reports(S);
    checked.expire(&check, 10 * S);
    for n in 0..100 {
        assert_eq!(checked.heartbeat(&check, 20 * S + n * 5 * MS), None);
    }
    assert_eq!(checked.passes_in_row(), 1);
    // But each is a sign of life.
    assert_eq!(checked.heartbeat(&check, 20 * S + 500 * MS), Some(Change::Up));
    assert_eq!(checked.heartbeat(&check, 20 * S + 600 * MS), None);
    assert_eq!(checked.next(&check, 21 * S, 0.0), 26 * S + 600 * MS);
}

#[test]
fn silence_ends_what_was_counted_since_an_ejection() {
    let check = Check::default();
    let mut checked = Checked::reports(S);
    checked.heartbeat(&check, S);
    checked.ejected();
    checked.heartbeat(&check, 3 * S);
    checked.expire(&check, 30 * S);
    checked.heartbeat(&check, 31 * S);
    assert!(!checked.lifts(&check));
    checked.heartbeat(&check, 33 * S);
    assert!(checked.lifts(&check));
}

#[test]
fn an_endpoint_that_is_asked_proves_nothing_by_reporting() {
    let check = Check::default();
    let mut checked = Checked::new(true);
    assert_eq!(checked.heartbeat(&check, S), None);
    assert_eq!((checked.up(), checked.next(&check, S, 0.5)), (None, S));
    assert_eq!(checked.expire(&check, 100 * S), None);
}

#[test]
fn settings_that_change_move_nothing_by_themselves() {
    let mut asked = Asked::well();
    asked.all(false, 2);
    asked.check = asked.check.fall(1);
    assert_eq!(asked.checked.up(), Some(true));
    assert_eq!(asked.ends(true), None);
    assert_eq!(asked.ends(false), Some(Change::Down));
}

#[test]
fn settings_that_cannot_be_are_named() {
    let name = Name::from_static("shop");
    let refused = |check: Check| check.check(&name).unwrap_err().to_string();
    let check = Check::default();
    assert_eq!(check.check(&name), Ok(()));
    assert_eq!(refused(check.every(9 * MS)), "`shop`: check.every is 9ms; allowed: at least 10 ms");
    assert_eq!(refused(check.fast(9 * MS)), "`shop`: check.fast is 9ms; allowed: 10 ms to `check.every`");
    assert_eq!(refused(check.fast(3 * S)), "`shop`: check.fast is 3s; allowed: 10 ms to `check.every`");
    assert_eq!(refused(check.timeout(Duration::ZERO)), "`shop`: check.timeout is 0ns; allowed: over 0");
    assert_eq!(refused(check.fall(0)), "`shop`: check.fall is 0; allowed: 1 to 1,000");
    assert_eq!(refused(check.fall(1001)), "`shop`: check.fall is 1001; allowed: 1 to 1,000");
    assert_eq!(refused(check.rise(0)), "`shop`: check.rise is 0; allowed: 1 to 1,000");
    assert_eq!(refused(check.misses(0)), "`shop`: check.misses is 0; allowed: 1 to 1,000");
    for jitter in [-0.1, 1.1, f64::NAN] {
        assert!(refused(check.jitter(jitter)).contains("check.jitter"));
    }
}

#[test]
fn extreme_settings_and_times_saturate() {
    let check = Check::default().every(Duration::MAX).fast(Duration::MAX).misses(1000).jitter(1.0);
    let check = check.timeout(Duration::MAX).fall(1000).rise(1000);
    assert_eq!(check.check(&Name::from_static("shop")), Ok(()));
    let mut asked = Checked::new(true);
    asked.result(true, &check, Duration::MAX);
    assert_eq!(asked.next(&check.every(S), S, 0.5), Duration::MAX);
    asked.result(false, &check, Duration::ZERO);
    asked.fast_until(Duration::MAX);
    for random in [0.0, 0.5, 1.0] {
        assert!(asked.next(&check, Duration::MAX, random) >= FLOOR);
    }
    assert_eq!(asked.next(&check, S, 0.999), Duration::MAX);
    let mut reports = Checked::reports(Duration::MAX);
    assert_eq!(reports.next(&check, S, 0.0), Duration::MAX);
    assert_eq!(reports.heartbeat(&check, Duration::MAX), Some(Change::Up));
    assert_eq!(reports.heartbeat(&check, Duration::ZERO), None);
}

fn results() -> impl Strategy<Value = Vec<bool>> {
    // Some endpoints are well most of the time, some are not.
    (1..20_u32, 1..20_u32).prop_flat_map(|(passes, failures)| {
        prop::collection::vec(prop_oneof![passes => Just(true), failures => Just(false)], 0..200)
    })
}

proptest! {
    /// Over any history: the first result decides; each change after it is by exactly `fall` failures or `rise` passes
    /// in a row, and none is left out.
    #[test]
    fn changes_are_by_results_in_a_row(results in results(), fall in 1..6_u32, rise in 1..6_u32) {
        let check = Check::default().fall(fall).rise(rise);
        let mut checked = Checked::new(true);
        let (mut up, mut row) = (None, 0);
        for (n, ok) in results.iter().copied().enumerate() {
            let now = S * n as u32;
            row = if n > 0 && results[n - 1] == ok { row + 1 } else { 1 };
            let needed = match up {
                None => 1,
                Some(true) => fall,
                Some(false) => rise,
            };
            let expected = (up != Some(ok) && row >= needed).then_some(if ok { Change::Up } else { Change::Down });
            prop_assert_eq!(checked.result(ok, &check, now), expected);
            if expected.is_some() {
                prop_assert_eq!(row, needed);
                up = Some(ok);
            }
            prop_assert_eq!(checked.up(), up);
            prop_assert_eq!(checked.passes_in_row(), if ok { row } else { 0 });
        }
    }

    /// An ejection is lifted by `rise` passes in a row that came after it, and by nothing else.
    #[test]
    fn ejections_are_lifted_by_what_comes_after_them(
        before in results(), after in results(), rise in 1..6_u32,
    ) {
        let check = Check::default().rise(rise);
        let mut checked = Checked::new(true);
        before.iter().for_each(|ok| { checked.result(*ok, &check, S); });
        checked.ejected();
        for n in 0..=after.len() {
            let row = after[..n].iter().rev().take_while(|ok| **ok).count();
            prop_assert_eq!(checked.lifts(&check), row >= rise as usize);
            if let Some(ok) = after.get(n) {
                checked.result(*ok, &check, S);
            }
        }
    }

    /// Waits stay within the jitter around their pace, and are never under the floor.
    #[test]
    fn waits_stay_within_their_jitter(
        results in results(), every in 10..100_000_u32, fast in 10..100_000_u32, jitter in 0.0..=1.0, random in 0.0..1.0,
    ) {
        let check = Check::default().every(every.max(fast) * MS).fast(every.min(fast) * MS).jitter(jitter);
        let mut checked = Checked::new(true);
        let now = S * 1000;
        for ok in results {
            checked.result(ok, &check, now);
            let wait = (checked.next(&check, now, random) - now).as_secs_f64();
            let base = if checked.is_changing(&check, now) { check.fast } else { check.every }.as_secs_f64();
            prop_assert!(wait >= FLOOR.as_secs_f64());
            prop_assert!(wait > base * (1.0 - jitter) - 1e-6);
            prop_assert!(wait < (base * (1.0 + jitter)).max(FLOOR.as_secs_f64()) + 1e-6);
        }
    }
}

#[test]
fn jitter_spreads_both_ways() {
    let (check, mut checked) = (Check::default(), Checked::new(true));
    checked.result(true, &check, S);
    let waits = [0.0, 0.5, 1.0].map(|random| checked.next(&check, S, random) - S);
    assert_eq!(waits, [1800 * MS, 2 * S, 2200 * MS]);
}

mod history;

use super::*;
use crate::Priority::{self, Critical, Normal, Sheddable};

const MS: Duration = Duration::from_millis(1);
const NO_GAP: Duration = Duration::ZERO;

fn at(ms: u32) -> Moment {
    Moment { now: 10_000 * MS + ms * MS, takes: [NO_GAP; 3], gap: NO_GAP }
}

fn slow(ms: u32, gap: Duration) -> Moment {
    Moment { gap, ..at(ms) }
}

fn call(priority: Priority) -> Call {
    Call { class: Class::new(priority, false), flow: 0, deadline: None }
}

fn of(flow: usize) -> Call {
    Call { flow, ..call(Normal) }
}

fn by(ms: u32) -> Call {
    Call { deadline: Some(at(ms).now), ..call(Normal) }
}

/// A line of calls that are known by the millisecond they came in, or whatever number.
fn line(max_waiting: u32) -> Line<u32> {
    Line::new(&ShedSettings { max_waiting, target: 5 * MS, ..ShedSettings::default() }, 4)
}

fn join(line: &mut Line<u32>, ms: u32, call: Call) -> Ticket {
    line.join(at(ms), call, ms).expect("may wait").0
}

/// Who is told that it is shed.
fn told(line: &mut Line<u32>) -> Vec<u32> {
    std::iter::from_fn(|| line.tell()).collect()
}

/// Who gets each of so many places, and who is shed on that occasion.
fn given(line: &mut Line<u32>, at: Moment, places: usize) -> (Vec<u32>, Vec<u32>) {
    let (mut given, mut shed) = (Vec::new(), Vec::new());
    for _ in 0..places {
        line.prune(at);
        shed.extend(told(line));
        given.extend(line.give(at));
    }
    (given, shed)
}

#[test]
fn who_came_first_is_first_until_a_queue_stands_and_then_who_came_last() {
    let mut line = line(100);
    for ms in 0..6 {
        join(&mut line, ms, call(Normal));
    }
    assert_eq!(given(&mut line, at(6), 2), (vec![0, 1], vec![]));
    for ms in 96..99 {
        join(&mut line, ms, call(Normal));
    }
    assert_eq!(given(&mut line, at(99), 1), (vec![2], vec![]));
    // The queue has lasted for an interval. Who has waited for longer than the target is shed, but not for the place.
    assert_eq!(given(&mut line, at(102), 1), (vec![98], vec![3, 4, 5, 96]));
    join(&mut line, 102, call(Normal));
    assert_eq!(given(&mut line, at(102), 9), (vec![102, 97], vec![]));
    join(&mut line, 103, call(Normal));
    join(&mut line, 104, call(Normal));
    assert_eq!(given(&mut line, at(150), 1), (vec![103], vec![]), "a new queue");
}

#[test]
fn without_lifo_who_came_first_is_first_even_if_a_queue_stands() {
    let settings = ShedSettings { adaptive_lifo: false, target: 5 * MS, ..ShedSettings::default() };
    let mut line = Line::new(&settings, 1);
    for ms in [0, 98, 99, 100] {
        join(&mut line, ms, call(Normal));
    }
    assert_eq!(given(&mut line, at(101), 3), (vec![0, 98, 99], vec![]));
}

#[test]
fn a_call_may_wait_for_the_interval_and_while_a_queue_stands_for_the_target() {
    let mut line = line(100);
    let until = |line: &mut Line<u32>, ms, call| line.join(at(ms), call, ms).unwrap().1;
    assert_eq!(until(&mut line, 0, call(Normal)), at(100).now);
    assert_eq!(until(&mut line, 99, call(Normal)), at(199).now);
    assert_eq!(until(&mut line, 100, call(Normal)), at(105).now);
    assert_eq!(until(&mut line, 101, by(103)), at(103).now);
    // And then, it is shed.
    let (first, _) = line.join(at(101), call(Normal), 7).unwrap();
    assert_eq!(line.due(at(105), first), Standing::Waiting(at(106).now));
    assert_eq!(line.due(at(106), first), Standing::Shed(Cause::Stood));
    assert_eq!(line.look(first), Some(Standing::Shed(Cause::Stood)));
}

#[test]
fn where_places_are_rare_a_call_may_wait_for_some_of_them() {
    let mut line = line(100);
    let gap = 50 * MS;
    let (ticket, until) = line.join(slow(0, gap), call(Normal), 0).unwrap();
    assert_eq!(until, at(1000).now);
    assert_eq!(line.due(slow(500, gap), ticket), Standing::Waiting(at(1000).now));
    assert_eq!(line.join(slow(1000, gap), call(Normal), 1).unwrap().1, at(1100).now);
    assert_eq!(line.stood(slow(250, gap)), 0.25);
    // It has become fast.
    assert_eq!(line.due(slow(1000, MS), ticket), Standing::Shed(Cause::Stood));
}

#[test]
fn who_has_expired_is_not_given_a_place() {
    let mut line = line(100);
    for (ms, call) in [(0, by(5)), (1, by(50)), (2, by(6)), (3, call(Normal))] {
        join(&mut line, ms, call);
    }
    assert_eq!(given(&mut line, at(6), 1), (vec![1], vec![0]));
    assert_eq!(given(&mut line, at(7), 9), (vec![3], vec![2]));
    assert_eq!(line.counts[Cause::Expired as usize], [0, 2, 0]);
}

#[test]
fn nor_who_has_less_time_left_than_calls_take_unless_nobody_else_is_there() {
    let mut line = line(100);
    for (ms, call) in [(0, by(29)), (1, by(30)), (2, by(12))] {
        join(&mut line, ms, call);
    }
    let at = Moment { takes: [NO_GAP, 20 * MS, NO_GAP], ..at(10) };
    assert_eq!(given(&mut line, at, 9), (vec![1, 2], vec![0]));
    assert_eq!(line.counts[Cause::Hopeless as usize], [0, 1, 0]);
}

#[test]
fn a_call_whose_deadline_comes_before_its_turn_does_not_wait() {
    let refused = |line: &mut Line<u32>, at, call| line.join(at, call, 0).is_err_and(|(why, _)| why == Cause::Hopeless);
    let mut line = line(100);
    assert!(refused(&mut line, at(5), by(5)), "it has come");
    assert!(!refused(&mut line, slow(5, MS), by(6)), "the first in line is never judged");
    for _ in 0..9 {
        line.join(slow(5, MS), call(Critical), 0).unwrap();
    }
    assert_eq!(line.waiting(), 10);
    let mut single = Line::new(&ShedSettings::default(), 1);
    for priority in [Critical, Normal, Sheddable] {
        single.join(slow(5, MS), call(priority), 0).unwrap();
    }
    assert!(refused(&mut single, slow(5, MS), by(7)), "two are before it, and a millisecond each");
    assert!(!refused(&mut single, slow(5, MS), by(8)));
    assert!(!refused(&mut single, slow(105, MS), by(106)), "who comes last is first");
    assert_eq!(single.counts[Cause::Hopeless as usize], [0, 1, 0]);
}

#[test]
fn if_no_more_may_wait_the_least_important_goes_that_would_be_last() {
    let mut line = line(3);
    let refused = |line: &mut Line<u32>, ms, call| line.join(at(ms), call, ms).err();
    join(&mut line, 0, call(Normal));
    join(&mut line, 1, call(Sheddable));
    join(&mut line, 2, call(Sheddable));
    assert_eq!(refused(&mut line, 3, call(Sheddable)), Some((Cause::Full, 3)));
    assert_eq!(refused(&mut line, 4, call(Critical)), None);
    assert_eq!(told(&mut line), [2]);
    assert_eq!(refused(&mut line, 5, call(Normal)), None);
    assert_eq!(told(&mut line), [1]);
    assert_eq!(refused(&mut line, 6, call(Sheddable)), Some((Cause::Full, 6)));
    assert_eq!(refused(&mut line, 6, call(Normal)), Some((Cause::Full, 6)));
    // The newest first from now on, so the oldest would be last.
    assert_eq!(refused(&mut line, 104, call(Critical)), None);
    assert_eq!(told(&mut line), [0]);
    assert_eq!(refused(&mut line, 105, call(Critical)), None);
    assert_eq!(refused(&mut line, 106, call(Critical)), None);
    assert_eq!(told(&mut line), [5, 4]);
    assert_eq!(line.counts[Cause::Full as usize], [4, 3, 1]);
    assert_eq!([0, 1, 2].map(|priority| line.waiting_of(priority)), [0, 0, 3]);
}

#[test]
fn nobody_waits_where_nobody_may() {
    assert_eq!(line(0).join(at(0), call(Critical), 7).err(), Some((Cause::Full, 7)));
}

#[test]
fn a_later_attempt_is_behind_first_attempts_of_its_priority_and_before_those_of_a_lower_one() {
    let mut line = line(100);
    let again = |priority| Call { class: Class::new(priority, true), ..call(priority) };
    for (ms, call) in
        [(0, call(Sheddable)), (1, again(Critical)), (2, again(Normal)), (3, call(Normal)), (4, call(Critical))]
    {
        join(&mut line, ms, call);
    }
    assert_eq!(given(&mut line, at(9), 9), (vec![4, 1, 3, 2, 0], vec![]));
}

#[test]
fn who_is_more_important_is_not_shed_while_others_wait() {
    let mut line = line(100);
    let again = Call { class: Class::new(Normal, true), ..call(Normal) };
    let critical = join(&mut line, 0, call(Critical));
    join(&mut line, 98, call(Sheddable));
    join(&mut line, 98, again);
    join(&mut line, 99, call(Critical));
    assert_eq!(line.due(at(100), critical), Standing::Shed(Cause::Stood));
    assert_eq!(told(&mut line), [0, 98, 98]);
    assert_eq!(given(&mut line, at(100), 9), (vec![99], vec![]));
}

#[test]
fn a_queue_of_the_less_important_is_none_for_the_more_important_but_the_other_way_round_it_is() {
    let mut line = line(100);
    let until = |line: &mut Line<u32>, call| line.join(at(100), call, 0).unwrap().1;
    join(&mut line, 0, call(Normal));
    assert_eq!(until(&mut line, call(Critical)), at(200).now);
    assert_eq!(until(&mut line, call(Normal)), at(105).now);
    assert_eq!(until(&mut line, call(Sheddable)), at(105).now);
}

#[test]
fn a_queue_that_has_gone_is_none_for_the_less_important_either() {
    let mut line = line(100);
    join(&mut line, 0, call(Critical));
    assert_eq!(given(&mut line, at(50), 1), (vec![0], vec![]));
    join(&mut line, 60, call(Critical));
    assert_eq!(line.join(at(120), call(Sheddable), 120).unwrap().1, at(220).now);
}

#[test]
fn flows_have_places_in_turn_and_one_that_has_just_come_is_before_the_others() {
    let mut line = line(100);
    for ms in 0..4 {
        join(&mut line, ms, of(0));
    }
    assert_eq!(given(&mut line, at(4), 1), (vec![0], vec![]));
    join(&mut line, 5, of(1));
    join(&mut line, 6, of(1));
    join(&mut line, 7, of(2));
    assert_eq!(given(&mut line, at(8), 9), (vec![5, 7, 1, 6, 2, 3], vec![]));
}

#[test]
fn a_flow_with_a_call_now_and_then_does_not_come_before_the_others_each_time() {
    let mut line = line(100);
    for ms in 0..4 {
        join(&mut line, ms, of(0));
    }
    join(&mut line, 4, of(1));
    assert_eq!(given(&mut line, at(5), 2), (vec![0, 4], vec![]));
    join(&mut line, 6, of(1));
    assert_eq!(given(&mut line, at(7), 1), (vec![1], vec![]));
    join(&mut line, 8, of(1));
    assert_eq!(given(&mut line, at(9), 9), (vec![6, 2, 8, 3], vec![]));
}

#[test]
fn of_many_flows_that_stand_the_newest_is_first() {
    let mut line = line(100);
    for (ms, flow) in [(0, 0), (99, 1), (100, 2)] {
        join(&mut line, ms, of(flow));
    }
    assert_eq!(given(&mut line, at(101), 1), (vec![100], vec![]));
}

#[test]
fn the_flow_with_the_most_calls_makes_room_for_another_and_its_queue_is_its_own() {
    let mut line = line(5);
    for ms in 0..5 {
        join(&mut line, ms, of(0));
    }
    assert_eq!(line.join(at(5), of(0), 5).err(), Some((Cause::Full, 5)));
    join(&mut line, 6, of(1));
    join(&mut line, 7, of(2));
    assert_eq!(told(&mut line), [4, 3]);
    // The first flow's queue stands; those of the others do not.
    assert_eq!(line.join(at(100), of(3), 100).unwrap().1, at(200).now);
    assert_eq!(line.join(at(100), of(0), 101).unwrap().1, at(105).now);
    assert_eq!(told(&mut line), [0, 1], "the newest first from now on, so the oldest would be last");
}

#[test]
fn who_leaves_is_counted_and_not_told() {
    let mut line = line(10);
    let (waits, shed) = (join(&mut line, 0, call(Sheddable)), join(&mut line, 1, by(5)));
    assert_eq!(line.leave(waits), (None, Some(0)));
    assert_eq!(line.due(at(5), shed), Standing::Shed(Cause::Expired));
    assert_eq!(line.leave(shed), (Some(Standing::Shed(Cause::Expired)), Some(1)));
    assert!(!line.has_untold());
    let placed = join(&mut line, 6, call(Critical));
    assert_eq!(line.give(at(7)), Some(6));
    assert_eq!(line.leave(placed), (Some(Standing::Given(at(7).now)), None));
    assert_eq!(line.leave(placed), (None, None));
    assert_eq!(line.counts[Cause::Cancelled as usize], [1, 0, 0]);
}

#[test]
fn how_long_calls_of_one_priority_take_says_nothing_of_another_and_the_last_of_an_importance_is_not_judged() {
    let critical_by = |ms| Call { deadline: Some(at(ms).now), ..call(Critical) };
    for (takes, served) in [([20 * MS, 20 * MS, NO_GAP], vec![1, 2, 0]), ([NO_GAP, NO_GAP, 20 * MS], vec![2, 0])] {
        let mut line = line(100);
        for (ms, call) in [(0, call(Sheddable)), (1, critical_by(20)), (2, critical_by(20))] {
            join(&mut line, ms, call);
        }
        assert_eq!(given(&mut line, Moment { takes, ..at(10) }, 9).0, served);
    }
}

//! Properties 1 to 8: over any history of calls, changes, hands and clocks.

use std::time::Duration;

use proptest::prelude::*;
use steadfast::circuit_breaker::{
    Abandoned, Cause, CircuitBreakerSettings, State, StateChange,
    machine::{Machine, Outcome, Ticket},
};

use crate::support::{self, MS, NS, SEC, ZERO};

#[derive(Clone, Debug)]
enum Op {
    Pass(Duration),
    Acquire,
    /// Ends one of the calls that are out.
    End(usize, End, Duration),
    /// Ends one of the calls that are out and of an earlier state, if there is one.
    EndLate(usize, End),
    Look,
    Change(CircuitBreakerSettings),
    ChangeTrials(u32, u32),
    Hand(Hand),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Success,
    Failure,
    Abandoned { past_deadline: bool },
    Released,
}

#[derive(Clone, Copy, Debug)]
enum Hand {
    Open,
    OpenFor(Duration),
    HalfOpen,
    Close,
    ForceOpen,
    Disable,
    MetricsOnly,
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => Just(End::Success),
        4 => Just(End::Failure),
        3 => any::<bool>().prop_map(|past_deadline| End::Abandoned { past_deadline }),
        1 => Just(End::Released),
    ]
}

fn hand() -> impl Strategy<Value = Hand> {
    prop_oneof![
        2 => Just(Hand::Open),
        1 => support::span().prop_map(Hand::OpenFor),
        6 => Just(Hand::HalfOpen),
        1 => Just(Hand::Close),
        1 => Just(Hand::ForceOpen),
        1 => Just(Hand::Disable),
        1 => Just(Hand::MetricsOnly),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => Just(Op::Acquire),
        10 => (any::<usize>(), end(), support::span()).prop_map(|(which, end, took)| Op::End(which, end, took)),
        2 => (any::<usize>(), end()).prop_map(|(which, end)| Op::EndLate(which, end)),
        4 => support::span().prop_map(Op::Pass),
        1 => Just(Op::Look),
        1 => support::settings().prop_map(Op::Change),
        1 => (1..=6_u32, 1..=6_u32).prop_map(|(calls, minimum)| Op::ChangeTrials(calls, minimum)),
        2 => hand().prop_map(Op::Hand),
    ]
}

/// A machine, and what a test knows of it.
struct Play {
    machine: Machine,
    now: Duration,
    /// How far the clock of the next operation steps back.
    back: Duration,
    out: Vec<(Ticket, u64)>,
    generation: u64,
    state: State,
    /// Of the present half-open: calls out and outcomes, and the largest number configured.
    places: u32,
    most: u32,
}

impl Play {
    fn new(settings: CircuitBreakerSettings, seed: u64) -> Self {
        Self {
            machine: Machine::new(settings, seed, SEC),
            now: SEC,
            back: ZERO,
            out: Vec::new(),
            generation: 0,
            state: State::Closed,
            places: 0,
            most: 0,
        }
    }

    /// Takes the machine's changes, and checks property 8.
    fn changes(&mut self) -> Vec<StateChange> {
        let changes = self.machine.take_changes();
        for change in &changes {
            assert_eq!((change.from, change.generation), (self.state, self.generation + 1), "{changes:?}");
            (self.state, self.generation) = (change.to, change.generation);
            self.places = 0;
            self.most = self.machine.settings().half_open_calls;
        }
        assert_eq!(self.machine.state(), self.state);
        changes
    }

    /// Runs what is due, so that what follows is the doing of the operation alone.
    fn run_timers(&mut self) {
        let due = self.machine.next_timer().is_some_and(|due| due <= self.now);
        self.machine.advance(self.now);
        let changes = self.changes();
        assert_eq!(due, !changes.is_empty(), "{changes:?}");
        for change in changes {
            let fits = match change.from {
                State::Open => change.to == State::HalfOpen && change.cause == Cause::WaitOver,
                State::HalfOpen => matches!(change.cause, Cause::HalfOpenTooLong | Cause::Recovered),
                _ => false,
            };
            assert!(fits, "no timer does {change:?}");
        }
    }

    /// One operation, and what holds after it.
    fn step(&mut self, op: &Op) {
        if let Op::Pass(time) = op {
            self.now += *time;
        }
        self.run_timers();
        // Property 6: a twin whose clock does not step back does and says the same.
        let mut twin = Twin(self.machine.clone());
        let (now, back) = (self.now, self.now.saturating_sub(self.back));
        match op {
            Op::Pass(_) => {}
            Op::Acquire => self.acquire(&mut twin),
            Op::End(which, end, took) if !self.out.is_empty() => {
                self.end(&mut twin, which % self.out.len(), *end, *took);
            }
            Op::EndLate(which, end) => {
                let late = self.out.partition_point(|(_, issued)| *issued < self.generation);
                if late > 0 {
                    self.end(&mut twin, which % late, *end, ZERO);
                }
            }
            Op::End(..) => {}
            Op::Look => {
                twin.both(&mut self.machine, now, back, |machine, now| {
                    (machine.would_admit(now), machine.snapshot(now))
                });
                assert_eq!(self.changes(), [], "looking moved the state");
            }
            Op::Change(settings) => self.change(&mut twin, settings.clone()),
            Op::ChangeTrials(calls, minimum) => {
                let mut settings = self.machine.settings().clone();
                (settings.half_open_calls, settings.minimum_calls) = (*calls, *minimum);
                self.change(&mut twin, settings);
            }
            Op::Hand(hand) => {
                twin.both(&mut self.machine, now, back, |machine, now| by_hand(machine, now, *hand));
                let changes = self.changes();
                assert!(changes.len() <= 1 && changes.iter().all(|c| c.cause == Cause::ByHand), "{changes:?}");
            }
        }
        // New settings and waits of zero make timers due at once.
        self.run_timers();
        twin.0.advance(now);
        assert_eq!(self.machine.next_timer(), twin.0.next_timer());
        assert_eq!(self.machine.snapshot(self.now), twin.0.snapshot(self.now), "the clock stepped back");
    }

    fn acquire(&mut self, twin: &mut Twin) {
        let (now, back) = (self.now, self.now.saturating_sub(self.back));
        let before = self.machine.snapshot(now);
        let ramping = before.state == State::Closed && self.machine.clone().acquire(now).is_err();
        let result = twin.both(&mut self.machine, now, back, Machine::acquire);
        let changes = self.changes();
        match before.state {
            State::Open if before.open_for == Some(ZERO) => {
                assert!(changes.len() == 1 && changes[0].cause == Cause::WaitOver, "{changes:?}");
            }
            _ => assert_eq!(changes, [], "asking moved the state"),
        }
        // Properties 1 and 2.
        let may = match self.state {
            State::Open | State::ForcedOpen => false,
            State::HalfOpen => self.places < self.machine.settings().half_open_calls || self.out_now() == 0,
            State::Closed => !ramping,
            State::Disabled | State::MetricsOnly => true,
        };
        assert_eq!(result.is_ok(), may, "{:?}, {} places taken", self.state, self.places);
        if let Ok(ticket) = result {
            self.places += 1;
            assert!(self.state != State::HalfOpen || self.places <= self.most, "{} of {}", self.places, self.most);
            self.out.push((ticket, self.generation));
        } else {
            assert_eq!(self.machine.snapshot(now).refused_in_all, before.refused_in_all + 1);
        }
    }

    /// Calls of the present state that are out.
    fn out_now(&self) -> usize {
        self.out.iter().filter(|(_, issued)| *issued == self.generation).count()
    }

    fn end(&mut self, twin: &mut Twin, call: usize, end: End, took: Duration) {
        let (now, back) = (self.now, self.now.saturating_sub(self.back));
        let before = self.machine.snapshot(now);
        let (ticket, issued) = self.out.remove(call);
        let late = issued != self.generation;
        if !late && !matches!(end, End::Success | End::Failure) {
            self.places -= 1;
        }
        twin.both(&mut self.machine, now, back, |machine, now| end_call(machine, now, ticket, end, took));
        let changes = self.changes();
        if late {
            // Property 4.
            assert_eq!(changes, [], "a late outcome moved the state");
            let mut expected = before;
            expected.late += 1;
            assert_eq!(self.machine.snapshot(now), expected);
            return;
        }
        // Properties 3 and 5.
        assert!(changes.len() <= 1, "{changes:?}");
        for StateChange { from, to, cause, .. } in changes {
            let fits = match (from, to) {
                (State::Closed | State::HalfOpen, State::Open) => {
                    matches!(cause, Cause::FailureRate | Cause::SlowCallRate | Cause::ConsecutiveFailures)
                }
                (State::HalfOpen, State::Closed) => {
                    cause == Cause::Recovered && matches!(end, End::Success | End::Failure)
                }
                _ => false,
            };
            assert!(fits && end != End::Released, "{end:?} made {from} => {to} ({cause})");
        }
    }

    fn change(&mut self, twin: &mut Twin, settings: CircuitBreakerSettings) {
        let (now, back) = (self.now, self.now.saturating_sub(self.back));
        self.most = self.most.max(settings.half_open_calls);
        twin.both(&mut self.machine, now, back, |machine, now| machine.change(now, settings.clone()));
        assert_eq!(self.changes(), [], "new settings moved the state");
    }

    /// Property 7.
    fn leaves_half_open(&mut self, ends: &[End]) {
        self.run_timers();
        if self.state != State::HalfOpen {
            return;
        }
        assert!(self.out.is_empty());
        // The window holds as many calls as the largest number that was set in this state.
        let (mut ends, trials) = (ends.iter().cycle(), self.most);
        let ignored = self.machine.settings().abandoned == Abandoned::Ignored;
        // Every outcome takes a place; so many abandoned calls in a row fill the window.
        for _ in 0..(trials + 1) * trials {
            let ticket = self.machine.acquire(self.now).expect("nobody is out, so somebody may try");
            let end = *ends.next().unwrap();
            let end = if ignored && !matches!(end, End::Success | End::Failure) { End::Success } else { end };
            end_call(&mut self.machine, self.now, ticket, end, ZERO);
            if !self.changes().is_empty() {
                return;
            }
        }
        panic!("still half-open: {:?}", self.machine);
    }
}

/// A copy of the machine whose clock goes forward only.
struct Twin(Machine);

impl Twin {
    fn both<T: PartialEq + std::fmt::Debug>(
        &mut self,
        machine: &mut Machine,
        now: Duration,
        back: Duration,
        act: impl Fn(&mut Machine, Duration) -> T,
    ) -> T {
        let value = act(machine, back);
        assert_eq!(value, act(&mut self.0, now), "the clock stepped back");
        value
    }
}

fn end_call(machine: &mut Machine, now: Duration, ticket: Ticket, end: End, took: Duration) {
    match end {
        End::Success => machine.record(now, ticket, Outcome::Success, took),
        End::Failure => machine.record(now, ticket, Outcome::Failure, took),
        End::Abandoned { past_deadline } => machine.abandon(now, ticket, took, past_deadline),
        End::Released => machine.release(now, ticket),
    }
}

fn by_hand(machine: &mut Machine, now: Duration, hand: Hand) {
    match hand {
        Hand::Open => machine.open(now),
        Hand::OpenFor(wait) => machine.open_for(now, wait),
        Hand::HalfOpen => drop(machine.half_open(now)),
        Hand::Close => machine.close(now),
        Hand::ForceOpen => machine.force_open(now),
        Hand::Disable => machine.disable(now),
        Hand::MetricsOnly => machine.metrics_only(now),
    }
}

proptest! {
    #![proptest_config(support::config(600))]

    #[test]
    fn any_history_keeps_places_moves_and_clocks_in_order(
        settings in support::settings(),
        seed: u64,
        ops in prop::collection::vec((op(), prop_oneof![3 => Just(ZERO), 1 => Just(NS), 1 => Just(700 * MS), 1 => Just(100 * SEC)]), 1..60),
    ) {
        let mut play = Play::new(settings, seed);
        for (op, back) in &ops {
            play.back = *back;
            play.step(op);
        }
    }

    #[test]
    fn a_breaker_whose_calls_all_end_leaves_half_open(
        settings in support::settings(),
        ops in prop::collection::vec(trial_op(), 0..40),
        last in prop::collection::vec(end(), 1..8),
        ends in prop::collection::vec(end().prop_filter("no outcome", |end| *end != End::Released), 1..8),
    ) {
        let mut play = Play::new(settings, 0);
        for op in [Op::Hand(Hand::Open), Op::Hand(Hand::HalfOpen)].iter().chain(&ops) {
            play.step(op);
        }
        for end in last.iter().cycle() {
            if play.out.is_empty() {
                break;
            }
            play.step(&Op::End(0, *end, ZERO));
        }
        play.leaves_half_open(&ends);
    }
}

/// What happens in half-open while no time passes.
fn trial_op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => Just(Op::Acquire),
        4 => (any::<usize>(), end()).prop_map(|(which, end)| Op::End(which, end, ZERO)),
        1 => support::settings().prop_map(Op::Change),
        1 => (1..=6_u32, 1..=6_u32).prop_map(|(calls, minimum)| Op::ChangeTrials(calls, minimum)),
    ]
}

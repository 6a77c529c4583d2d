//! Any order of callers, polls, cancellations and ends.

use proptest::prelude::*;
use steadfast::coalesce::Coalesce;
use tower::{Layer as _, Service};

use crate::support::{Caller, End, Key, Layer, Outcome, Upstream, key_of, request, run};

#[derive(Clone, Copy, Debug)]
enum Step {
    Come(Key),
    /// Polls one that has been woken.
    Poll(usize),
    /// Polls one whether it has been woken or not.
    PollAnyway(usize),
    Leave(usize),
    End(Key, End),
    Switch(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..3_u32;
    let end = prop_oneof![6 => Just(End::Answer), 2 => Just(End::Fail), 1 => Just(End::Panic)];
    let step = prop_oneof![
        8 => key.clone().prop_map(Step::Come),
        8 => any::<usize>().prop_map(Step::Poll),
        1 => any::<usize>().prop_map(Step::PollAnyway),
        4 => any::<usize>().prop_map(Step::Leave),
        3 => (key, end).prop_map(|(key, end)| Step::End(key, end)),
        1 => any::<bool>().prop_map(Step::Switch),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_caller_that_stays_gets_an_outcome_of_its_key_and_no_two_calls_of_a_key_overlap(
        steps in steps(),
        unshared in any::<bool>(),
    ) {
        let share = move |outcome: &Outcome| (!unshared || outcome.is_ok()).then(|| outcome.clone());
        let layer: Layer<_> = Coalesce::builder(key_of as fn(&_) -> _).share(share).build();
        let upstream = Upstream::default();
        let mut callers = Vec::new();
        let mut ever_off = false;
        let mut polled_anyway = 0;
        for step in steps {
            match step {
                Step::Come(key) => {
                    callers.push(Caller::new(layer.layer(upstream.clone()).call(request(key))));
                }
                Step::Poll(_) | Step::PollAnyway(_) | Step::Leave(_) if callers.is_empty() => {}
                Step::Poll(which) => {
                    let index = which % callers.len();
                    let caller = &mut callers[index];
                    if !caller.is_over() && caller.woken() > 0 {
                        caller.poll();
                    }
                }
                Step::PollAnyway(which) => {
                    let index = which % callers.len();
                    if !callers[index].is_over() {
                        callers[index].poll();
                        polled_anyway += 1;
                    }
                }
                Step::Leave(which) => {
                    let index = which % callers.len();
                    callers[index].call = None;
                }
                Step::End(key, end) => {
                    if let Some(number) = upstream.running(key) {
                        upstream.end(number, end);
                    }
                }
                Step::Switch(on) if on => layer.handle().enable(),
                Step::Switch(_) => {
                    layer.handle().disable();
                    ever_off = true;
                }
            }
            prop_assert!(ever_off || upstream.most() <= 1, "{} calls of a key at once", upstream.most());
        }
        // Everything ends: whoever is woken is polled, and calls in flight are answered.
        for _ in 0..=2 * callers.len() {
            run(&mut callers);
            for key in 0..3 {
                if let Some(number) = upstream.running(key) {
                    upstream.end(number, End::Answer);
                }
            }
        }
        let wakes = 4;
        for caller in &callers {
            prop_assert!(caller.is_over(), "somebody waits for ever");
            // To begin, to lead, and each time that the call wakes it: once, here.
            prop_assert!(caller.polls <= wakes + polled_anyway, "{} polls", caller.polls);
        }
        prop_assert_eq!(layer.handle().snapshot().waiting, 0);
        prop_assert_eq!(layer.handle().snapshot().calls, 0);
        drop(callers);
        prop_assert_eq!(upstream.in_flight(), 0);
    }
}

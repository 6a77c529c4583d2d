//! Any history.

use proptest::prelude::*;

use super::*;

/// A call of a history.
struct Known {
    ticket: Ticket,
    call: Call,
    settled: bool,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Join { priority: usize, repeated: bool, flow: usize, patience: Option<u32> },
    Give,
    Leave(usize),
    Due(usize),
}

fn steps() -> impl Strategy<Value = Vec<(u32, Step)>> {
    let join = (0_usize..3, any::<bool>(), 0_usize..4, prop::option::weighted(0.3, 0_u32..150))
        .prop_map(|(priority, repeated, flow, patience)| Step::Join { priority, repeated, flow, patience });
    let step = prop_oneof![
        5 => join,
        3 => Just(Step::Give),
        1 => any::<usize>().prop_map(Step::Leave),
        3 => any::<usize>().prop_map(Step::Due),
    ];
    prop::collection::vec((0_u32..20, step), 1..300)
}

proptest! {
    /// Over any history: whoever is shed for want of room or for a queue that stands was among the least important that
    /// waited; each place goes to one of the most important; and each call comes to one end, of which it is told once.
    #[test]
    fn nobody_is_shed_while_one_less_important_waits(
        steps in steps(),
        max_waiting in 0_u32..12,
        adaptive_lifo in any::<bool>(),
        (gap, takes) in (0_u32..8, 0_u32..20),
    ) {
        let settings = ShedSettings { max_waiting, adaptive_lifo, target: 5 * MS, ..ShedSettings::default() };
        let mut line = Line::<usize>::new(&settings, 4);
        let mut known: Vec<Known> = Vec::new();
        let (mut ms, mut calls, mut given, mut refused, mut left) = (0, 0, 0, 0, 0);
        for (passes, step) in steps {
            ms += passes;
            let at = Moment { takes: [takes * MS; 3], ..slow(ms, gap * MS) };
            let mut went: Vec<Class> = Vec::new();
            match step {
                Step::Join { priority, repeated, flow, patience } => {
                    calls += 1;
                    let class = Class::new(Priority::ALL[priority], repeated);
                    let deadline = patience.map(|patience| at.now + patience * MS);
                    let call = Call { class, flow, deadline };
                    match line.join(at, call, known.len()) {
                        Ok((ticket, until)) => {
                            prop_assert!(until > at.now && deadline.is_none_or(|deadline| until <= deadline));
                            known.push(Known { ticket, call, settled: false });
                        }
                        Err((why, _)) => {
                            refused += 1;
                            if why == Cause::Full {
                                went.push(class);
                            }
                        }
                    }
                }
                Step::Give => {
                    line.prune(at);
                    if let Some(who) = line.give(at) {
                        let class = known[who].call.class;
                        let above = |other: &Known| line.look(other.ticket).is_none() && other.call.class > class;
                        prop_assert!(!known.iter().filter(|other| !other.settled).any(above), "given to one less important");
                        prop_assert!(known[who].call.deadline.is_none_or(|deadline| deadline > at.now), "given too late");
                        line.leave(known[who].ticket);
                        known[who].settled = true;
                        given += 1;
                    }
                }
                Step::Leave(_) | Step::Due(_) if known.is_empty() => {}
                Step::Leave(which) => {
                    let which = which % known.len();
                    if !std::mem::replace(&mut known[which].settled, true) {
                        line.leave(known[which].ticket);
                        left += 1;
                    }
                }
                Step::Due(which) => {
                    let who = &known[which % known.len()];
                    if !who.settled && let Standing::Waiting(until) = line.due(at, who.ticket) {
                        prop_assert!(until > at.now);
                    }
                }
            }
            let mut told = Vec::new();
            while let Some(who) = line.tell() {
                told.push(who);
            }
            for who in told {
                let Some(Standing::Shed(why)) = line.look(known[who].ticket) else { panic!("told what is not so") };
                prop_assert!(!std::mem::replace(&mut known[who].settled, true), "told twice");
                line.leave(known[who].ticket);
                refused += 1;
                if !matches!(why, Cause::Expired | Cause::Hopeless) {
                    went.push(known[who].call.class);
                }
            }
            let least = known.iter().filter(|other| !other.settled).map(|other| other.call.class).min();
            let most = went.into_iter().max();
            prop_assert!(least.is_none() || most.is_none() || least >= most, "{most:?} went, {least:?} stayed");
            let waiting = known.iter().filter(|other| !other.settled).count();
            prop_assert_eq!(line.waiting(), waiting);
            prop_assert!(waiting <= max_waiting as usize);
            prop_assert_eq!(calls, given + refused + left + waiting);
        }
        let sum = |causes: &[Cause]| causes.iter().flat_map(|why| line.counts[*why as usize]).sum::<u64>();
        let all = [Cause::Full, Cause::Stood, Cause::Expired, Cause::Hopeless];
        prop_assert_eq!((sum(&all), sum(&[Cause::Cancelled])), (refused as u64, left as u64));
    }
}

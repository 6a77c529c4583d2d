//! A fleet that skips what says nothing new, next to one that looks at everything each time: nobody can tell them apart.

use proptest::prelude::*;

use super::super::*;
use crate::{
    failover::{
        Cause, Need,
        probe::{Report, Role},
        roles::Fit,
    },
    rng::Rng,
    telemetry::Name,
};

const MS: Duration = Duration::from_millis(1);
const MEMBERS: u32 = 4;

#[derive(Clone, Debug)]
enum Step {
    /// A probe that passes says this of `who`.
    Passes {
        who: u32,
        report: Report,
    },
    Fails {
        who: u32,
    },
    Reports {
        who: u32,
        report: Report,
    },
    Loses {
        who: u32,
    },
    Tries {
        who: u32,
        passes: bool,
    },
    Refuses {
        who: u32,
    },
    Misses,
    Drains {
        who: u32,
        on: bool,
    },
    Wait(u64),
}

fn report() -> impl Strategy<Value = Report> {
    let role = prop_oneof![1 => Just(None), 8 => Just(Some(Role::Replica)), 3 => Just(Some(Role::Primary))];
    let epoch = prop_oneof![2 => Just(None), 6 => Just(Some(1)), 1 => Just(Some(2))];
    let lag = prop_oneof![6 => Just(None), 1 => Just(Some(Duration::ZERO)), 1 => Just(Some(MS))];
    let weight = prop_oneof![6 => Just(None), 1 => Just(Some(2.0))];
    let flags = (prop::bool::weighted(0.02), prop::bool::weighted(0.02));
    (role, epoch, lag, weight, flags).prop_map(|(role, epoch, lag, weight, (drain, maintenance))| Report {
        role,
        epoch,
        lag,
        weight,
        drain,
        maintenance,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let who = 1..=MEMBERS;
    prop_oneof![
        4 => (who.clone(), report()).prop_map(|(who, report)| Step::Passes { who, report }),
        // As a real one does: always the same.
        8 => who.clone().prop_map(|who| Step::Passes { who, report: usual(who) }),
        1 => who.clone().prop_map(|who| Step::Fails { who }),
        4 => who.clone().prop_map(|who| Step::Reports { who, report: usual(who) }),
        1 => who.clone().prop_map(|who| Step::Loses { who }),
        2 => (who.clone(), any::<bool>()).prop_map(|(who, passes)| Step::Tries { who, passes }),
        1 => who.clone().prop_map(|who| Step::Refuses { who }),
        1 => Just(Step::Misses),
        1 => (who, any::<bool>()).prop_map(|(who, on)| Step::Drains { who, on }),
        8 => prop_oneof![0..300_u64, 300..9_000_u64].prop_map(Step::Wait),
    ]
}

fn usual(who: u32) -> Report {
    let role = if who == 1 { Role::Primary } else { Role::Replica };
    Report { epoch: Some(1), lag: Some(Duration::ZERO), ..Report::new().role(role) }
}

struct Twin {
    fleet: Fleet,
    /// What calls see.
    shown: Plan,
    skips: bool,
    skipped: u32,
}

impl Twin {
    fn new(by_role: bool, by_reports: bool, skips: bool) -> Self {
        let mut fleet = Fleet::new(FailoverSettings::default(), by_role, Rng::seeded(7));
        for id in 1..=MEMBERS {
            let meta = Meta { tier: id / 3, ..Meta::new(Name::from(format!("{id}"))) };
            let checked = if by_reports { Checked::reports(Duration::ZERO) } else { Checked::new(true) };
            fleet.insert(id, meta, checked, None, Duration::ZERO);
        }
        fleet.start();
        Self { shown: fleet.plan(Duration::ZERO), fleet, skips, skipped: 0 }
    }

    fn act(&mut self, now: Duration, act: impl FnOnce(&mut Fleet)) {
        self.fleet.advance(now);
        act(&mut self.fleet);
        self.show(now);
    }

    fn show(&mut self, now: Duration) {
        let plan = self.fleet.plan(now);
        if !plan.is_shown_by(&self.shown, now) {
            self.shown = plan;
        }
    }

    fn goes_on(&mut self, now: Duration, learn: impl FnOnce(&mut Fleet) -> bool) -> bool {
        let goes_on = self.skips && self.shown.due.is_none_or(|due| now < due) && learn(&mut self.fleet);
        self.skipped += u32::from(goes_on);
        goes_on
    }

    /// Whether a probe of it is under way, or has just been sent.
    fn asks(&mut self, who: u32, now: Duration) -> bool {
        self.fleet.due_probe(now);
        self.fleet.member(who).is_some_and(Member::is_asked)
    }

    fn does(&mut self, step: &Step, now: Duration) {
        match *step {
            Step::Passes { who, report } => {
                if self.asks(who, now) && !self.goes_on(now, |fleet| fleet.probed_again(who, &report, now)) {
                    self.act(now, |fleet| fleet.probed(who, Ok(report), now));
                }
            }
            Step::Fails { who } => {
                if self.asks(who, now) {
                    self.act(now, |fleet| fleet.probed(who, Err(Name::from_static("on purpose")), now));
                }
            }
            Step::Reports { who, report } => {
                if !self.goes_on(now, |fleet| fleet.reported_again(who, &report, now)) {
                    self.act(now, |fleet| fleet.reported(who, report, now));
                }
            }
            Step::Loses { who } => self.act(now, |fleet| {
                let generation = fleet.generation(who).expect("it is there");
                fleet.failing(who, generation, Cause::Connect(2), now);
            }),
            Step::Tries { who, passes } => self.act(now, |fleet| {
                if let Some(trial) = fleet.take_trial(who, now) {
                    fleet.trial_ended(trial, if passes { TrialEnd::Passed } else { TrialEnd::Failed }, now);
                }
            }),
            Step::Refuses { who } => self.act(now, |fleet| fleet.refused_role(who, now)),
            Step::Misses => self.act(now, |fleet| fleet.missed(now)),
            Step::Drains { who, on } => self.act(now, |fleet| fleet.set_draining(who, on, now)),
            Step::Wait(_) if self.shown.due.is_some_and(|due| now >= due) => self.act(now, |_| ()),
            Step::Wait(_) => {}
        }
    }
}

proptest! {
    #[test]
    fn what_is_skipped_changes_nothing(
        by_role in any::<bool>(), by_reports in any::<bool>(), steps in prop::collection::vec(step(), 1..120),
    ) {
        let [mut quick, mut thorough] = [true, false].map(|skips| Twin::new(by_role, by_reports, skips));
        let mut now = Duration::ZERO;
        for who in 1..=MEMBERS {
            let first = Step::Passes { who, report: usual(who) };
            [&mut quick, &mut thorough].into_iter().for_each(|twin| twin.does(&first, now));
        }
        for step in steps {
            if let Step::Wait(ms) = step {
                now += Duration::from_millis(ms);
            }
            [&mut quick, &mut thorough].into_iter().for_each(|twin| twin.does(&step, now));
            prop_assert_eq!(quick.fleet.take_events(), thorough.fleet.take_events());
            let states = |twin: &Twin| twin.fleet.states(now).map(|(id, _, state)| (id, state)).collect::<Vec<_>>();
            prop_assert_eq!(states(&quick), states(&thorough));
            let asked = |twin: &Twin| twin.fleet.members.iter().map(|member| member.asked_next).collect::<Vec<_>>();
            prop_assert_eq!(asked(&quick), asked(&thorough));
            prop_assert_eq!(quick.fleet.next_silence(), thorough.fleet.next_silence());
            prop_assert_eq!(quick.fleet.primary(now), thorough.fleet.primary(now));
            let plan = thorough.fleet.plan(now);
            prop_assert!(plan.is_shown_by(&quick.shown, now), "{:?} is not seen by {:?}", plan, quick.shown);
        }
    }
}

#[test]
fn most_of_what_a_healthy_fleet_says_is_skipped() {
    for by_role in [false, true] {
        let mut fleet = Twin::new(by_role, false, true);
        let mut now = Duration::ZERO;
        for _ in 0..100 {
            for who in 1..=MEMBERS {
                fleet.does(&Step::Passes { who, report: usual(who) }, now);
            }
            now += 2500 * MS;
        }
        // Once each, and where the role of somebody grows old next, now and then.
        assert!(fleet.skipped >= 340, "{} of 400", fleet.skipped);
        let any = Need::ReplicaPreferred { max_lag: Duration::ZERO };
        assert!(fleet.shown.groups.iter().flat_map(|group| &group.seats).all(|seat| seat.part.fits(any) > Fit::No));
    }
}

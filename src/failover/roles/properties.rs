//! What holds for any history of reports, calls and losses.

use proptest::prelude::*;

use super::{
    tests::{RULES, ms},
    *,
};
use crate::failover::Need;

#[derive(Clone, Debug)]
enum Step {
    Report { id: u32, role: Option<Role>, epoch: Option<u64>, late: u64 },
    Refused(u32),
    Served(u32),
    Lost(u32),
    Gone(u32),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = 0_u32..4;
    let role = prop_oneof![Just(None), Just(Some(Role::Primary)), Just(Some(Role::Primary)), Just(Some(Role::Replica))];
    let epoch = prop_oneof![Just(None), (1_u64..4).prop_map(Some)];
    let report = (id.clone(), role, epoch, prop_oneof![Just(0), 0_u64..500])
        .prop_map(|(id, role, epoch, late)| Step::Report { id, role, epoch, late });
    prop::collection::vec(
        prop_oneof![
            6 => report,
            2 => id.clone().prop_map(Step::Refused),
            1 => id.clone().prop_map(Step::Served),
            1 => id.clone().prop_map(Step::Lost),
            1 => id.prop_map(Step::Gone),
            3 => (0_u64..4_000).prop_map(Step::Wait),
        ],
        0..60,
    )
}

proptest! {
    #[test]
    fn one_primary_at_most_never_of_an_old_epoch_and_never_another_without_a_reason(steps in steps()) {
        let mut roles = Roles::new(RULES);
        (0..4).for_each(|id| roles.insert(id));
        let (mut now, mut highest, mut was) = (0, None, None);
        let mut epochs = [None; 4];
        let mut split = false;
        for step in steps {
            let events = match step {
                Step::Report { id, role, epoch, late } => {
                    highest = highest.max(epoch);
                    let asked = ms(now - late.min(now));
                    if roles.member(id).is_some_and(|member| asked >= member.asked) {
                        epochs[id as usize] = epoch.or(epochs[id as usize]);
                    }
                    roles.report(id, Report { role, epoch, ..Report::new() }, asked, ms(now))
                },
                Step::Refused(id) => roles.refused_role(id, ms(now)),
                Step::Served(id) => roles.served(id, ms(now), ms(now)),
                Step::Lost(id) => roles.lost(id, ms(now)),
                Step::Gone(id) => roles.gone(id, ms(now)),
                Step::Wait(wait) => {
                    now += wait;
                    roles.look(ms(now))
                },
            };
            let used: Vec<u32> = (0..4).filter(|id| roles.fit(*id, Need::Primary, ms(now)) == Fit::Preferred).collect();
            prop_assert!(used.len() <= 1, "{used:?}");
            if roles.reporting {
                prop_assert!((0..4).all(|id| roles.may_be_primary(id, ms(now)) == used.contains(&id)));
                for id in &used {
                    prop_assert_eq!(epochs[*id as usize], highest, "{}", id);
                }
            }
            for event in &events {
                match event {
                    RoleEvent::PrimaryChanged { from, to, .. } => {
                        prop_assert_eq!(&used, &[*to]);
                        prop_assert!(from.is_none() || *from == was);
                        // Who was it has said, or shown, that it is not.
                        prop_assert!(from.is_none_or(|from| from == *to || !roles.claims(from, ms(now))));
                        was = Some(*to);
                    },
                    RoleEvent::SplitBrain { ids } => {
                        prop_assert!(ids.len() > 1 && !split);
                        split = true;
                    },
                    RoleEvent::SplitBrainOver => {
                        prop_assert!(split);
                        split = false;
                    },
                    RoleEvent::Fenced { id, epoch, highest } => prop_assert!(*epoch < Some(*highest) && !used.contains(id)),
                    RoleEvent::PrimaryUnknown { .. } => prop_assert!(used.is_empty()),
                }
            }
            if let [id] = used[..] {
                prop_assert_eq!(was, Some(id), "all changes are told");
            }
            // What is due is in the future, or a round of the search.
            let round = roles.clone().search(ms(now)).is_some();
            prop_assert!(roles.due(ms(now)).is_none_or(|due| due > ms(now) || round));
        }
    }
}

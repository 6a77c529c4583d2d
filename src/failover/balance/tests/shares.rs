//! Who gets how many, where load does not matter.

use super::*;

proptest! {
    #[test]
    fn round_robin_gives_each_that_is_usable_the_same_number(usable in prop::collection::vec(any::<bool>(), 1..40), begin: u64) {
        let mut list = List::new(Balance::RoundRobin, &vec![1.0; usable.len()]);
        list.turn = AtomicU64::new(begin % (1 << 60));
        list.ones.iter_mut().zip(&usable).for_each(|(one, usable)| one.usable = *usable);
        let many = usable.iter().filter(|usable| **usable).count();
        prop_assume!(many > 0);
        for (count, usable) in list.counts(5 * many).into_iter().zip(usable) {
            prop_assert_eq!(count, if usable { 5 } else { 0 });
        }
    }

    #[test]
    fn whole_weights_have_exact_turns_and_none_waits_long(weights in prop::collection::vec(1..9_u32, 1..30)) {
        let total: u32 = weights.iter().sum();
        prop_assume!(total as usize <= 4 * weights.len() + 64);
        let mut list = List::new(Balance::Weighted, &weights.iter().copied().map(f64::from).collect::<Vec<_>>());
        let order: Vec<_> = (0..3 * total).map(|_| list.choose(None, SECOND).unwrap()).collect();
        for (i, weight) in weights.iter().enumerate() {
            let turns: Vec<_> = (0..order.len()).filter(|at| order[*at] == i).collect();
            prop_assert_eq!(turns.len(), 3 * *weight as usize);
            let share = f64::from(*weight) / f64::from(total);
            for (k, at) in turns.iter().enumerate() {
                // The k-th turn is where it is due, to less than a turn of its own.
                let due = (k as f64 / share).floor()..((k + 1) as f64 / share).ceil();
                prop_assert!(due.contains(&(*at as f64)), "{} of {}: {} not in {:?}", k, i, at, due);
            }
            let longest = turns.windows(2).map(|two| two[1] - two[0]).max().unwrap_or(0);
            prop_assert!(longest as f64 <= 2.0 / share + 1.0, "{} waits {} for a share of {}", i, longest, share);
        }
    }

    #[test]
    fn any_weights_have_their_shares_and_a_bounded_schedule(
        weights in prop::collection::vec(prop_oneof![1e-3..1e3_f64, 0.9..1.1_f64], 1..40),
    ) {
        let mut list = List::new(Balance::Weighted, &weights);
        prop_assert!(list.chooser.turns.len() <= 4 * weights.len() + 64);
        let total: f64 = weights.iter().sum();
        let due: Vec<_> = weights.iter().map(|weight| weight / total).collect();
        // Six standard deviations of what chance would do.
        for (share, due) in list.shares(20_000).into_iter().zip(due) {
            prop_assert!((share - due).abs() < 6.0 * (due * (1.0 - due) / 20_000.0).sqrt() + 1e-3, "{} {}", share, due);
        }
    }
}

#[test]
fn weighted_turns_are_smooth() {
    let mut list = List::new(Balance::Weighted, &[2.0, 1.0, 1.0]);
    let order: Vec<_> = (0..8).map(|_| list.choose(None, SECOND).unwrap()).collect();
    assert_eq!(order, [0, 1, 0, 2, 0, 1, 0, 2]);
    let mut list = List::new(Balance::Weighted, &[1.5, 0.5]);
    assert_eq!(list.chooser.turns.len(), 4);
    assert_eq!(list.counts(4), [3, 1]);
}

#[test]
fn a_thousand_of_which_one_weighs_as_much_as_all_others_take_every_other_turn() {
    let mut weights = vec![1.0; 1_001];
    weights[500] = 1_000.0;
    let mut list = List::new(Balance::Weighted, &weights);
    assert_eq!(list.chooser.turns.len(), 2_000);
    let order: Vec<_> = (0..2_000).map(|_| list.choose(None, SECOND).unwrap()).collect();
    assert!(order.windows(3).all(|three| three.contains(&500)));
}

#[test]
fn in_slow_start_turns_are_passed_on() {
    for (balance, weights) in [(Balance::RoundRobin, [1.0; 4]), (Balance::Weighted, [4.0, 1.0, 2.0, 2.0])] {
        let mut list = List::new(balance, &weights);
        list.ones[0].weight *= 0.25;
        let now: Vec<_> = list.ones.iter().map(|one| one.weight).collect();
        let total: f64 = now.iter().sum();
        let due: Vec<_> = now.iter().map(|weight| weight / total).collect();
        assert_near(&list.shares(40_000), &due, 0.01);
    }
}

#[test]
fn in_slow_start_together_they_share_as_they_are_far() {
    let mut list = List::new(Balance::RoundRobin, &[1.0; 3]);
    for (one, weight) in list.ones.iter_mut().zip([0.1, 0.2, 0.2]) {
        one.weight = weight;
    }
    assert_near(&list.shares(40_000), &[0.2, 0.4, 0.4], 0.01);
    list.ones.iter_mut().for_each(|one| one.weight = 1e-5);
    assert_eq!(list.counts(300), [100; 3], "hardly begun, one after the other");
}

#[test]
fn idle_endpoints_are_drawn_evenly_and_by_weight_where_weights_differ() {
    for balance in [Balance::PeakEwma, Balance::LeastRequests, Balance::Rendezvous] {
        for n in [2, 5, 50] {
            let share = 1.0 / n as f64;
            assert_near(&List::new(balance, &vec![1.0; n]).shares(50_000), &vec![share; n], 0.01);
        }
        let shares = List::new(balance, &[2.0, 1.0]).shares(50_000);
        assert_near(&shares, &[2.0 / 3.0, 1.0 / 3.0], 0.01);
        let shares = List::new(balance, &[1.0, 1e-3]).shares(200_000);
        assert_near(&shares, &[0.999, 0.001], 0.000_5);
    }
    let shares = List::new(Balance::LeastRequests, &[3.0, 2.0, 1.0]).shares(50_000);
    assert_near(&shares, &[0.5, 1.0 / 3.0, 1.0 / 6.0], 0.01);
}

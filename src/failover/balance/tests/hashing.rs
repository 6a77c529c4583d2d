//! Rendezvous: the same endpoint for the same affinity.

use super::*;

const KEYS: u64 = 100_000;

fn homes(list: &mut List) -> Vec<usize> {
    (0..KEYS).map(|key| list.choose(Some(Affinity::from(key)), SECOND).unwrap()).collect()
}

#[test]
fn hashes_are_those_of_every_version() {
    assert_eq!(key_hash(""), 0xf52a_15e9_a9b5_e89b);
    assert_eq!(key_hash("a"), 0x02c0_bdbf_4814_20f8);
    assert_eq!(key_hash("db-1.example:5432"), 0xf8ce_3685_c801_4b82);
    assert_eq!(Affinity::from("db-1.example:5432").bits(), 0xf8ce_3685_c801_4b82);
    assert_eq!(Affinity::from(&"a".to_owned()), Affinity::from(b"a".as_slice()));
    // The first number of SplitMix64 from 0.
    assert_eq!(Affinity::from(0).bits(), 0xe220_a839_7b1d_cdaf);
    assert_eq!(Affinity::from(17).bits(), 0x8084_75f0_2ee3_7363);
}

#[test]
fn choices_are_those_of_every_version() {
    let order = |weights: &[f64; 5]| -> String {
        let mut list = List::new(Balance::Rendezvous, weights);
        let keys = ["a", "b", "c", "d", "e"];
        list.ones.iter_mut().zip(keys).for_each(|(one, key)| one.hash = key_hash(key));
        let next = |_| {
            let i = list.choose(Some(Affinity::from("user-17")), SECOND).unwrap();
            list.ones[i].usable = false;
            keys[i]
        };
        (0..5).map(next).collect()
    };
    assert_eq!(order(&[1.0; 5]), "cabde");
    assert_eq!(order(&[1.0, 2.0, 3.0, 4.0, 5.0]), "cdaeb");
}

#[test]
fn when_one_goes_only_its_keys_move_and_they_come_back_with_it() {
    for n in 3..=20 {
        let mut list = List::new(Balance::Rendezvous, &vec![1.0; n]);
        let before = homes(&mut list);
        let gone = n / 2;
        list.ones[gone].usable = false;
        let without = homes(&mut list);
        let moved = before.iter().zip(&without).filter(|(before, without)| before != without).count();
        assert!(before.iter().zip(&without).all(|(before, without)| before == without || *before == gone));
        let share = moved as f64 / KEYS as f64;
        assert!((share - 1.0 / n as f64).abs() < 0.01, "{n}: {share}");
        // What it had goes to all others.
        let mut taken = vec![0; n];
        before.iter().zip(&without).filter(|(before, _)| **before == gone).for_each(|(_, to)| taken[*to] += 1);
        let even = moved / (n - 1);
        assert!((0..n).all(|i| i == gone || (even * 8 / 10..even * 12 / 10).contains(&taken[i])), "{n}: {taken:?}");
        list.ones[gone].usable = true;
        assert_eq!(homes(&mut list), before);
        // Not there is the same as not usable.
        let hash = |i: usize| key_hash(&format!("endpoint-{i}"));
        let mut less = List::new(Balance::Rendezvous, &vec![1.0; n - 1]);
        (gone..n - 1).for_each(|i| less.ones[i].hash = hash(i + 1));
        let mapped: Vec<_> = homes(&mut less).into_iter().map(|i| if i < gone { i } else { i + 1 }).collect();
        assert_eq!(mapped, without);
    }
}

#[test]
fn shares_of_keys_are_those_of_the_weights() {
    let mut list = List::new(Balance::Rendezvous, &[1.0, 2.0, 3.0, 4.0]);
    let before = homes(&mut list);
    for i in 0..4 {
        let share = before.iter().filter(|home| **home == i).count() as f64 / KEYS as f64;
        let due = (i + 1) as f64 / 10.0;
        assert!((share / due - 1.0).abs() < 0.02, "{i}: {share}");
    }
    // One in slow start gives keys away, and no other key moves.
    list.ones[3].weight = 1.0;
    let slow = homes(&mut list);
    assert!(before.iter().zip(&slow).all(|(before, slow)| before == slow || *before == 3));
    assert!(before.iter().zip(&slow).any(|(before, slow)| before != slow));
}

#[test]
fn load_moves_no_key() {
    let mut list = List::new(Balance::Rendezvous, &[1.0; 5]);
    let before = homes(&mut list);
    (0..100).for_each(|_| list.ones[0].load.begin());
    list.ones[1].load.penalise(SECOND, SECOND);
    list.ones[2].load.answered(100 * SECOND, SECOND);
    assert_eq!(homes(&mut list), before);
}

#[test]
fn the_logarithm_is_one() {
    for k in 1..100_000_u64 {
        for x in [k as f64 / 1e5, rendezvous::unit(rendezvous::mix(k)), rendezvous::unit(k), rendezvous::unit(!k)] {
            let (ours, theirs) = (rendezvous::minus_ln(x), -x.ln());
            assert!((ours - theirs).abs() <= 1e-10 * theirs, "{x}: {ours} {theirs}");
        }
    }
    for bits in [0, u64::MAX] {
        let unit = rendezvous::unit(bits);
        assert!(unit > 0.0 && unit < 1.0);
    }
}

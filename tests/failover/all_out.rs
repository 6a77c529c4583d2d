//! With all endpoints out: calls are held or refused, none hangs, and the first answer ends it.

use std::time::Duration;

use steadfast::{
    RejectedKind,
    failover::{Failback, FailoverEvent, TierPolicy},
    telemetry::Received,
    timeout::Timeout,
};
use tokio::time::{Instant, sleep, timeout};
use tower::{ServiceBuilder, ServiceExt};

use crate::support::*;

const OUT: [Does; 5] = [
    Does::Refuses,
    Does::Errs(Duration::from_millis(20)),
    Does::Resets(Duration::from_millis(20)),
    Does::IsOpen,
    Does::Hangs,
];

#[tokio::test(start_paused = true)]
async fn with_all_out_no_call_hangs_and_the_first_that_answers_ends_it() {
    for does in OUT {
        for deadline in [None, Some(100), Some(700), Some(5_000)] {
            if does == Does::Hangs && deadline.is_none() {
                continue;
            }
            let [a, b] = nodes(["a", "b"]);
            let (client, handle) = build(over(&[a.clone(), b.clone()]));
            let limit = Duration::from_millis(deadline.unwrap_or(1_000_000));
            let timed = ServiceBuilder::new().layer(Timeout::builder(limit).build().unwrap()).service(client.clone());
            load(&client, 10).await;
            [&a, &b].into_iter().for_each(|node| node.does(does));
            let case = format!("{does:?}, {deadline:?}");
            for _ in 0..30 {
                let call = || async {
                    match deadline {
                        Some(_) => timed.clone().oneshot(1).await,
                        None => call(&client).await,
                    }
                };
                let most = deadline.map_or(1100 * MS, Duration::from_millis);
                let Err(error) = timeout(most + 50 * MS, call()).await.unwrap_or_else(|_| panic!("hangs: {case}"))
                else {
                    panic!("answered: {case}")
                };
                if let Some(rejected) = error.rejected().filter(|it| it.kind() == RejectedKind::NoEndpoint) {
                    let text = rejected.to_string();
                    assert!(text.contains("`a` ") && text.contains("`b` "), "{case}: {text}");
                }
            }
            b.does(Does::Answers(10 * MS));
            let since = Instant::now();
            let by = since + Duration::from_secs(4) + limit.min(Duration::from_secs(10));
            while Instant::now() < by {
                let _ = timed.clone().oneshot(1).await;
                sleep(20 * MS).await;
            }
            b.take();
            let mut answer = timed.clone().oneshot(1).await;
            if answer.is_err() {
                // It was the one that tried the other endpoint.
                answer = timed.clone().oneshot(1).await;
            }
            assert_eq!(answer.map_err(|error| format!("{case}: {error}")), Ok("b"));
            assert_eq!(handle.snapshot().all_out, None, "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_all_out_one_trial_at_a_time_is_made_and_its_answer_frees_all() {
    let [a, b] = nodes(["a", "b"]);
    let (client, _) = build(over(&[a.clone(), b.clone()]));
    [&a, &b].into_iter().for_each(|node| node.does(Does::Refuses));
    load(&client, 4).await;
    let (before, held) = (a.take() + b.take(), load(&client, 50).await);
    assert!(before >= 4 && failures(&held) > 0);
    let trials = a.take() + b.take();
    assert!(trials <= 500 / 40 + 2, "{trials} trials");
    [&a, &b].into_iter().for_each(|node| node.does(Does::Answers(10 * MS)));
    let held: Vec<_> = (0..50).map(|_| tokio::spawn(client.clone().oneshot(1))).collect();
    let since = Instant::now();
    for call in held {
        call.await.unwrap().unwrap();
    }
    assert!(since.elapsed() < 600 * MS, "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_its_caller_gives_up_is_soon_made_by_another() {
    let [a, b] = nodes(["a", "b"]);
    let (client, _) = build(over(&[a.clone(), b.clone()]));
    [&a, &b].into_iter().for_each(|node| node.does(Does::Refuses));
    load(&client, 4).await;
    // The first one hangs, and nobody has as much patience as it would take to see that.
    a.does(Does::Hangs);
    b.does(Does::Answers(10 * MS));
    for _ in 0..4 {
        let _ = timeout(500 * MS, call(&client)).await;
    }
    assert_eq!(timeout(500 * MS, call(&client)).await.expect("an end").unwrap(), "b");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_panics_is_left_and_others_go_on() {
    let [a, b] = nodes(["a", "b"]);
    let (client, handle) = build(over(&[a.clone(), b.clone()]));
    a.does(Does::Panics);
    let mut panics = 0;
    for _ in 0..200 {
        panics += u32::from(tokio::spawn(client.clone().oneshot(1)).await.is_err());
    }
    assert!((1..=8).contains(&panics), "{panics}");
    let of_a = handle.snapshot().endpoint("a").unwrap().clone();
    assert!(!of_a.state.is_in() && of_a.failures >= 5, "{of_a:?}");
    assert!(handle.snapshot().endpoints.iter().all(|endpoint| endpoint.in_flight == 0));
}

#[tokio::test(start_paused = true)]
async fn callers_that_give_up_at_any_time_leave_nothing_behind() {
    let all = nodes(["a", "b", "c"]);
    let (client, handle) = build(over(&all));
    let does = [
        Does::Answers(30 * MS),
        Does::Hangs,
        Does::Refuses,
        Does::Resets(20 * MS),
        Does::Errs(5 * MS),
        Does::IsOpen,
        Does::Answers(MS),
    ];
    let mut random = 7_u64;
    let mut draw = move |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % below
    };
    for _ in 0..2000 {
        all[draw(3) as usize].does(does[draw(7) as usize]);
        let call = client.clone().oneshot(1);
        drop(tokio::spawn(timeout(Duration::from_millis(draw(120)), call)));
        sleep(Duration::from_millis(draw(10))).await;
    }
    sleep(Duration::from_secs(2)).await;
    assert!(handle.snapshot().endpoints.iter().all(|endpoint| endpoint.in_flight == 0));
    all.iter().for_each(|node| node.does(Does::Answers(10 * MS)));
    load(&client, 600).await;
    forget(&all);
    assert_eq!(failures(&load(&client, 300).await), 0);
    assert!(all.iter().all(|node| node.calls() > 20), "{:?}", handle.snapshot());
}

#[tokio::test(start_paused = true)]
async fn one_that_flaps_takes_the_traffic_along_only_if_told_to() {
    for (up, down) in [(2, 2), (5, 1), (10, 3)] {
        let mut switches = [0; 2];
        for (failback, switches) in [Failback::Immediate, Failback::default()].into_iter().zip(&mut switches) {
            let [a, b] = nodes(["a", "b"]);
            let settings = tiers(&[a.clone(), b.clone()]).with(|settings| settings.failback = failback);
            let (client, handle) = build(settings);
            let mut events = handle.subscribe();
            for second in 0..300 {
                a.does(if second % (up + down) < up { Does::Answers(10 * MS) } else { Does::Refuses });
                assert_eq!(failures(&load(&client, 100).await), 0);
                while let Some(event) = events.try_recv() {
                    *switches += u32::from(matches!(event, Received::Event(FailoverEvent::TierChanged { .. })));
                }
            }
        }
        println!("{up} s up, {down} s down: {} switches at once, {} after 30 s", switches[0], switches[1]);
        // In hold it gets no calls, so nobody sees that it flaps: three holds, each twice as long, end in five minutes.
        assert!(switches[1] <= 1 + 2 * 3, "{switches:?}");
        assert!(switches[0] > 2 * 300 / (up + down) - 10, "{switches:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_goes_back_when_and_by_whose_hand() {
    for failback in [Failback::Immediate, Failback::Manual, Failback::Sticky, Failback::After(3000 * MS)] {
        let [a, b] = nodes(["a", "b"]);
        let (client, handle) = build(tiers(&[a.clone(), b.clone()]).with(|settings| settings.failback = failback));
        a.does(Does::Refuses);
        load(&client, 10).await;
        a.does(Does::Answers(10 * MS));
        load(&client, 200).await;
        let back = |tier| assert_eq!(handle.snapshot().tier, Some(tier), "{failback:?}");
        back(u32::from(failback != Failback::Immediate));
        load(&client, 400).await;
        back(u32::from(matches!(failback, Failback::Manual | Failback::Sticky)));
        if failback == Failback::Sticky {
            b.does(Does::Refuses);
            load(&client, 10).await;
            back(0);
        }
        if failback == Failback::Manual {
            handle.fail_back();
            back(0);
            assert_eq!(call(&client).await.unwrap(), "a");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_tier_with_too_few_hands_over() {
    let all = nodes(["a", "b", "c", "d"]);
    let endpoints = all.iter().zip([0, 0, 1, 1]).map(|(node, tier)| node.endpoint().tier(tier));
    let builder = steadfast::failover::Failover::builder().endpoints(endpoints).seed(7).classify(Meaning);
    let (client, handle) = build(builder.with(|settings| settings.tiers = TierPolicy::Strict { min_healthy: 2 }));
    all[0].does(Does::Refuses);
    assert_eq!(failures(&load(&client, 50).await), 0);
    assert_eq!(handle.snapshot().tier, Some(1));
    forget(&all);
    load(&client, 50).await;
    assert_eq!(all[1].calls(), 0);
    // The same with the second one: then the first that there is.
    all[2].does(Does::Refuses);
    assert_eq!(failures(&load(&client, 50).await), 0);
    assert_eq!(handle.snapshot().tier, Some(0));
}

//! Settings that change while calls come, and nothing else does.

use steadfast::failover::Balance;

use crate::support::*;

/// To whom five calls go that come one after the other.
async fn five(client: &Client) -> Vec<&'static str> {
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(call(client).await.unwrap());
    }
    answers
}

#[tokio::test(start_paused = true)]
async fn calls_are_shared_out_in_another_way_as_soon_as_that_is_set() {
    let [a, b] = nodes(["a", "b"]);
    let (client, handle) = build(over(&[a.clone(), b.clone()]));
    a.does(Does::Answers(100 * MS));
    load(&client, 50).await;
    assert_eq!(five(&client).await, ["b"; 5], "it is the faster one");
    handle.change(|settings| settings.balance = Balance::RoundRobin).unwrap();
    let answers = five(&client).await;
    assert!(answers.windows(2).all(|two| two[0] != two[1]), "{answers:?}");
}

#[tokio::test(start_paused = true)]
async fn to_how_many_endpoints_a_call_goes_changes_with_the_next_one() {
    let [a, b] = nodes(["a", "b"]);
    let (client, handle) = build(tiers(&[a.clone(), b.clone()]));
    a.does(Does::Errs(MS));
    assert_eq!(call(&client).await.unwrap(), "b");
    handle.change(|settings| settings.max_endpoints_per_call = 1).unwrap();
    assert!(call(&client).await.is_err());
    handle.change(|settings| settings.max_endpoints_per_call = 2).unwrap();
    assert_eq!(call(&client).await.unwrap(), "b");
}

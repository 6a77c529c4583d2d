//! Stacks are read, and what is wrong in them is said with its place.

use super::*;

fn refused(text: &str) -> String {
    Plan::parse(text, "my.toml").expect_err("refused").to_string()
}

fn layer(lines: &str) -> String {
    refused(&format!("name = \"a\"\n[[layers]]\nkind = \"retry\"\n{lines}"))
}

#[test]
fn the_built_in_stacks_can_be_read_and_are_called_as_listed() {
    for (name, text) in BUILT_IN {
        assert_eq!(Plan::parse(text, name).unwrap().name, name);
    }
}

#[test]
fn mistakes_are_named_with_field_and_line() {
    assert_eq!(
        layer("max_atempts = 3"),
        "my.toml, line 4: `layers[0].max_atempts`: is unknown; did you mean `max_attempts`?"
    );
    assert_eq!(
        layer("max_attempts = \"3\""),
        "my.toml, line 4: `layers[0].max_attempts`: is \"3\"; it must be a whole number, 0 to 4294967295"
    );
    assert_eq!(layer("\nmax_attempts = 0"), "my.toml, line 5: `layers[0].max_attempts`: is 0; allowed: at least 1");
    assert_eq!(
        layer("backoff = { initial = \"1s\", faktor = 2 }"),
        "my.toml, line 4: `layers[0].backoff.faktor`: is unknown; did you mean `factor`?"
    );
    assert_eq!(
        layer("budget = \"refunds\""),
        "my.toml, line 4: `layers[0].budget`: is \"refunds\"; it must be \"ratio\" or \"refund\" or \"none\", or a table with `mode`"
    );
    assert_eq!(
        refused("name = \"a\"\n\n[[layers]]\nkind = \"rety\""),
        "my.toml, line 4: `layers[0].kind`: \"rety\" is no kind of layer; did you mean `retry`?"
    );
    assert_eq!(
        refused("name = \"a\"\n[[layers]]\nkind = \"timeout\"\ntotal = \"0s\""),
        "my.toml, line 4: `layers[0].total`: is 0ns; allowed: over 0"
    );
    assert_eq!(
        refused("name = \"a\"\n[[layers]]\nkind = \"bulkhead\""),
        "my.toml, line 3: `layers[0].max_concurrent`: is missing"
    );
    assert_eq!(refused("nam = \"a\""), "my.toml, line 1: `nam`: is unknown; did you mean `name`?");
    assert!(refused("name = \"a\"\nlayers = [").starts_with("my.toml, line 2: "));
}

#[test]
fn every_setting_of_every_kind_can_be_given() {
    let text = r#"
name = "all"
[[layers]]
kind = "fallback"
[[layers]]
kind = "timeout"
name = "whole"
total = "deadline"
[[layers]]
kind = "retry"
max_attempts = 4
backoff = { initial = "10ms", factor = 1.5, max = "1s", jitter = "decorrelated" }
max_retry_after = "1s"
budget = { mode = "ratio", share = 0.3, tokens = 10 }
replay = "idempotent"
hedge = { percentile = 0.9, medians = 2, minimum_calls = 10, share = 0.1, burst = 5, overload_hold = "2s" }
soft_timeout = "250ms"
seed = 1
[[layers]]
kind = "circuit_breaker"
per = "client"
time_window = "20s"
minimum_calls = 10
failure_rate = 0.4
slow_calls = { rate = 0.9, longer_than = "500ms" }
consecutive_failures = "none"
wait_open = { initial = "100ms", jitter = 0.2 }
half_open_calls = 3
half_open_max_wait = "none"
half_open_end = "close"
automatic_half_open = true
abandoned = "failure"
overloaded_is_failure = false
ramp = "2s"
[[layers]]
kind = "adaptive_limit"
algorithm = "aimd"
slow_after = 0.4
initial = 20
min = 2
max = 100
max_waiting = 10
max_wait = 0.5
order = "fifo"

[[layers]]
kind = "bulkhead"
max_concurrent = 10
max_waiting = 5
max_wait = "100ms"
order = "lifo"
[[layers]]
kind = "rate_limit"
limit = 100
period = "1s"
burst = 10
max_wait = "0s"
max_waiting = 3
mode = "smooth"
[[layers]]
kind = "timeout"
total = "300ms"
"#;
    let plan = Plan::parse(text, "all").unwrap();
    let again = Plan::parse(&plan.text(), "again").unwrap();
    assert_eq!(again.text(), plan.text());
    let scenario = steadfast::storm::Scenario::named("flap").unwrap();
    let report = plan.candidate().unwrap().run(&scenario, 1).unwrap();
    let names: Vec<_> = report.gauges.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), 6, "{names:?}");
    for name in [
        "retry tokens",
        "breaker open",
        "bulkhead running",
        "bulkhead waiting",
        "adaptive_limit",
        "adaptive_limit waiting",
    ] {
        assert!(names.contains(&name), "{names:?}");
    }
}

#[test]
fn a_knob_changes_one_setting() {
    let mut plan = Plan::parse(BUILT_IN[2].1, "steadfast").unwrap();
    plan.set("retry.max_attempts", Value::Whole(5)).unwrap();
    assert_eq!(plan.get("retry.max_attempts").unwrap(), Some(&Value::Whole(5)));
    plan.set("retry.backoff.initial", Value::Text("5ms".into())).unwrap();
    assert!(plan.text().contains("backoff = { initial = \"5ms\" }"), "{}", plan.text());
    assert_eq!(plan.get("circuit_breaker.ramp").unwrap(), None);

    let refused = plan.clone().set("retry.max_attempts", Value::Whole(0)).unwrap_err().to_string();
    assert_eq!(refused, "steadfast: `layers[1].max_attempts`: is 0; allowed: at least 1");
    let absent = plan.set("rate_limit.limit", Value::Whole(5)).unwrap_err().to_string();
    assert_eq!(absent, "stack steadfast: `rate_limit.limit`: there is no such layer `rate_limit`");

    let two =
        "name = \"a\"\n[[layers]]\nkind = \"timeout\"\ntotal = \"1s\"\n[[layers]]\nkind = \"timeout\"\ntotal = \"2s\"";
    let mut two = Plan::parse(two, "two").unwrap();
    let several = two.set("timeout.total", Value::Text("3s".into())).unwrap_err().to_string();
    assert_eq!(several, "stack a: `timeout.total`: 2 layers are `timeout`; say timeout.0, timeout.1, ...");
    two.set("timeout.1.total", Value::Text("3s".into())).unwrap();
    assert_eq!(two.get("timeout.1.total").unwrap(), Some(&Value::Text("3s".into())));
    assert_eq!(two.get("timeout.0.total").unwrap(), Some(&Value::Text("1s".into())));
}

#[test]
fn every_setting_of_a_failover_client_can_be_given() {
    let text = r#"
name = "all"
[[layers]]
kind = "retry"
budget = { mode = "ratio", share = 0.3, tokens = 10 }
[failover]
balance = "least_requests"
slow_start = "2s"
consecutive_failures = 4
connect_failures = "none"
ejection = { initial = "100ms", max = "500ms" }
max_ejected = 0.4
all_out_failures = 8
all_out = "100ms"
max_hold = "0s"
max_endpoints_per_call = 3
acquire_timeout = "500ms"
trial_timeout = "5s"
penalty = "1s"
failback = "2s"
standbys = 2
replay = "idempotent"
budget = "retry"
seed = 1
"#;
    let mut plan = Plan::parse(text, "all").unwrap();
    let again = Plan::parse(&plan.text(), "again").unwrap();
    assert_eq!(again.text(), plan.text());
    let scenario = steadfast::storm::Scenario::named("flap").unwrap();
    let report = plan.candidate().unwrap().run(&scenario, 1).unwrap();
    assert!(report.gauges.iter().any(|(name, _)| name == "failover out"));

    plan.set("failover.all_out.initial", Value::Text("20ms".into())).unwrap();
    assert_eq!(plan.get("failover.slow_start").unwrap(), Some(&Value::Text("2s".into())));
    let refused = plan.set("failover.max_endpoints_per_call", Value::Whole(0)).unwrap_err().to_string();
    assert_eq!(refused, "all: `failover.max_endpoints_per_call`: is 0; allowed: at least 1");
}

#[test]
fn mistakes_in_a_failover_client_are_named_alike() {
    assert_eq!(
        refused("name = \"a\"\n[failover]\nbalence = \"peak_ewma\""),
        "my.toml, line 3: `failover.balence`: is unknown; did you mean `balance`?"
    );
    assert_eq!(refused("name = \"a\"\nfailover = 1"), "my.toml, line 2: `failover`: must be a table");
    assert_eq!(
        refused("name = \"a\"\n[failover]\nbalance = \"rendezvous\""),
        "my.toml, line 3: `failover.balance`: is \"rendezvous\"; it must be \"peak_ewma\" or \"least_requests\" or \"round_robin\""
    );
    assert_eq!(
        refused("name = \"a\"\n[failover]\nfailback = \"never\""),
        "my.toml, line 3: `failover.failback`: is \"never\"; it must be \"immediate\" or \"manual\" or \"sticky\""
    );
}

#[test]
fn standbys_are_not_called_while_the_others_are_well() {
    let attempts = |standbys: u32| {
        let text = format!("name = \"a\"\n[failover]\nseed = 1\nstandbys = {standbys}");
        let scenario = steadfast::storm::Scenario::named("steady").unwrap();
        Plan::parse(&text, "a").unwrap().candidate().unwrap().run(&scenario, 1).unwrap().attempts
    };
    let [none, most] = [0, 4].map(attempts);
    // One of five cannot take it all: calls go elsewhere only when it has failed them.
    assert!(none < 1.01 && most > 1.02, "{none:.3} and {most:.3}");
}

/// A stack without layers of the client, and these of the server, in the default world.
fn serves(server: &str) -> steadfast::storm::Report {
    let plan = Plan::parse(&format!("name = \"a\"\n{server}"), "my.toml").unwrap();
    let mut scenario = steadfast::storm::Scenario::new("short");
    scenario.window = SECOND..4 * SECOND;
    plan.candidate().unwrap().run(&scenario, 0).unwrap()
}

const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

#[test]
fn mistakes_on_the_side_of_the_server_are_named_alike() {
    let layer = |lines: &str| refused(&format!("name = \"a\"\n[[server]]\nkind = \"bulkhead\"\n{lines}"));
    assert_eq!(
        layer("max_concurrent = 3\nmax_wating = 3"),
        "my.toml, line 5: `server[0].max_wating`: is unknown; did you mean `max_waiting`?"
    );
    for wrong in ["\"worker\"", "1.5"] {
        assert_eq!(
            layer(&format!("max_concurrent = {wrong}")),
            format!(
                "my.toml, line 4: `server[0].max_concurrent`: is {wrong}; it must be a whole number or \"workers\""
            )
        );
    }
    assert_eq!(
        layer("max_concurrent = 0"),
        "my.toml, line 4: `server[0].max_concurrent`: is 0; allowed: 1 to 2,147,483,647"
    );
    assert_eq!(layer("max_waiting = 1"), "my.toml, line 3: `server[0].max_concurrent`: is missing");
    assert_eq!(
        layer("max_concurrent = \"workers\"\n[[server]]\nkind = \"retry\""),
        "my.toml, line 6: `server[1].kind`: \"retry\" is no kind of layer of a server; there are: bulkhead, shed, timeout, rate_limit"
    );
    assert_eq!(
        refused("name = \"a\"\n[[server]]\nkind = \"timeout\"\ntotal = \"deadline\""),
        "my.toml, line 4: `server[0].total`: is \"deadline\"; it must be a duration, such as \"250ms\" or \"1s\""
    );
    assert_eq!(refused("servers = 1"), "my.toml, line 1: `servers`: is unknown; did you mean `server`?");
    assert_eq!(refused("server = 1"), "my.toml, line 1: `server`: must be a list of tables");
    assert_eq!(
        refused("name = \"a\"\n[[layers]]\nkind = \"bulkhead\"\nmax_concurrent = \"workers\""),
        "my.toml, line 4: `layers[0].max_concurrent`: is \"workers\"; it must be a whole number, 0 to 4294967295"
    );
}

#[test]
fn every_setting_of_every_kind_of_a_server_can_be_given() {
    let text = r#"
name = "all"
[[layers]]
kind = "fallback"
[[server]]
kind = "timeout"
name = "whole"
total = "300ms"
[[server]]
kind = "rate_limit"
limit = 100
period = "1s"
burst = 10
max_wait = "0s"
max_waiting = 3
mode = "smooth"
[[server]]
kind = "bulkhead"
max_concurrent = "workers"
max_waiting = 5
max_wait = "100ms"
order = "fifo"
[[server]]
kind = "shed"
max_concurrent = "workers"
max_waiting = 50
target = "10ms"
interval = "50ms"
adaptive_lifo = false
"#;
    let plan = Plan::parse(text, "all").unwrap();
    let again = Plan::parse(&plan.text(), "again").unwrap();
    assert_eq!(again.text(), plan.text());
    assert_eq!((again.layers.len(), again.server.len()), (1, 4));
    plan.candidate().unwrap();
}

#[test]
fn bulkhead_and_shed_of_a_server_have_as_many_places_as_there_are_workers() {
    for kind in ["bulkhead", "shed"] {
        let places = |places: &str| serves(&format!("[[server]]\nkind = \"{kind}\"\nmax_concurrent = {places}"));
        let workers = places("\"workers\"");
        assert_eq!(workers, places("4"), "which is how many each backend of the default world has");
        assert!(places("1").goodput < 60.0 && workers.goodput > 85.0, "{kind}");
    }
}

#[test]
fn each_backend_has_layers_of_its_own() {
    // 600 calls a second come to five backends.
    let report = serves("[[server]]\nkind = \"rate_limit\"\nlimit = 60\nburst = 1");
    let let_through = report.answered * 600.0;
    assert!((200.0..=310.0).contains(&let_through), "{let_through} a second");
}

#[test]
fn layers_of_a_server_are_from_outside_in() {
    let queue = "[[server]]\nkind = \"bulkhead\"\nmax_concurrent = 1\nmax_waiting = 50\nmax_wait = \"1s\"\n";
    let timeout = "[[server]]\nkind = \"timeout\"\ntotal = \"100ms\"\n";
    let longest = |server: &str| serves(server).p99.unwrap();
    // Only an outer timeout covers the wait for a place; a round trip comes on top.
    let (outer, inner) = (longest(&format!("{timeout}{queue}")), longest(&format!("{queue}{timeout}")));
    assert!(outer < SECOND / 8 && inner > SECOND / 4, "{outer:?} and {inner:?}");
}

#[test]
fn a_knob_reaches_the_side_of_the_server() {
    let mut plan = Plan::parse(BUILT_IN[4].1, "server").unwrap();
    assert_eq!(plan.get("server.bulkhead.max_waiting").unwrap(), Some(&Value::Whole(500)));
    plan.set("server.bulkhead.max_waiting", Value::Whole(7)).unwrap();
    assert_eq!(plan.get("server.bulkhead.max_waiting").unwrap(), Some(&Value::Whole(7)));
    assert!(plan.text().contains("[[server]]\nkind = \"bulkhead\"\nmax_concurrent = \"workers\"\nmax_waiting = 7\n"));
    plan.set("server.bulkhead.max_concurrent", Value::Whole(4)).unwrap();

    let mut refused = |path: &str, value| plan.set(path, Value::Whole(value)).unwrap_err().to_string();
    assert_eq!(
        refused("bulkhead.max_waiting", 7),
        "stack server: `bulkhead.max_waiting`: there is no such layer `bulkhead`"
    );
    assert_eq!(
        refused("server.retry.max_attempts", 7),
        "stack server: `server.retry.max_attempts`: there is no such layer `server.retry`"
    );
    for path in ["server", "server.bulkhead"] {
        let problem = refused(path, 7);
        assert!(problem.contains("names no setting") || problem.contains("no such layer"), "{problem}");
    }
    assert_eq!(
        refused("server.bulkhead.max_concurrent", 0),
        "server: `server[0].max_concurrent`: is 0; allowed: 1 to 2,147,483,647"
    );

    let two = "name = \"a\"\nserver = [{ kind = \"timeout\", total = \"1s\" }, { kind = \"timeout\", total = \"2s\" }]";
    let mut two = Plan::parse(two, "two").unwrap();
    let several = two.set("server.timeout.total", Value::Text("3s".into())).unwrap_err().to_string();
    assert_eq!(
        several,
        "stack a: `server.timeout.total`: 2 layers are `server.timeout`; say server.timeout.0, server.timeout.1, ..."
    );
    two.set("server.timeout.1.total", Value::Text("3s".into())).unwrap();
    assert_eq!(two.get("server.timeout.1.total").unwrap(), Some(&Value::Text("3s".into())));
}

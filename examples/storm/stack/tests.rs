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
    assert_eq!(names.len(), 4, "{names:?}");
    for name in ["retry tokens", "breaker open", "bulkhead running", "bulkhead waiting"] {
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

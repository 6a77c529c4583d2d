//! What cannot be simulated, and where it says so: the field, its line and its column.

use std::time::Duration;

use steadfast::storm::{Candidate, FaultKind, Load, Scenario, Stack, StormError, World};

fn message(read: Result<impl std::fmt::Debug, StormError>) -> String {
    read.expect_err("it can be").to_string()
}

macro_rules! refused {
    ($read:path: $($name:ident $toml:literal $message:literal)*) => {$(
        #[test]
        fn $name() {
            assert_eq!(message($read($toml)), $message);
        }
    )*};
}

refused! { Scenario::from_toml:
    // Wrong types.
    a_name_is_text "name = 3" "line 1, column 8: `name`: is an integer; expected a string"
    a_time_is_text "\nfrom = 10" "line 2, column 8: `from`: is an integer; expected a time as \"250ms\""
    a_time_has_a_unit "until = \"70\""
        "line 1, column 9: `until`: is \"70\"; expected a time as \"250ms\" or \"1m 30s\", in h, m, s, ms, us or ns"
    a_window_does_not_last_forever "until = \"forever\""
        "line 1, column 9: `until`: is \"forever\"; expected a time as \"250ms\" or \"1m 30s\", in h, m, s, ms, us or ns"
    a_time_can_be_too_long "over = \"9999999999999999999h\""
        "line 1, column 8: `over`: is \"9999999999999999999h\"; expected a time as \"250ms\" or \"1m 30s\", in h, m, s, ms, us or ns"
    a_world_is_a_table "world = []" "line 1, column 9: `world`: is an array; expected a table"
    backends_are_an_array "[world.backends]" "line 1, column 1: `world.backends`: is a table; expected an array"
    a_backend_is_a_table "world.backends = [4]" "line 1, column 19: `world.backends[0]`: is an integer; expected a table"
    workers_are_whole "[[world.backends]]\nworkers = 1.5"
        "line 2, column 11: `world.backends[0].workers`: is a float; expected a whole number"
    standby_is_a_boolean "[[world.backends]]\nstandby = \"no\""
        "line 2, column 11: `world.backends[0].standby`: is a string; expected true or false"
    a_share_is_a_number "[[world.classes]]\n[[world.classes]]\nshare = 1979-05-27"
        "line 3, column 9: `world.classes[1].share`: is a date; expected a number"
    a_rate_is_a_number "world.load.rate = true" "line 1, column 19: `world.load.rate`: is a boolean; expected a number"
    a_trace_is_of_times "world.load = { trace = [\"1s\", 2] }"
        "line 1, column 31: `world.load.trace[1]`: is an integer; expected a time as \"250ms\""
    what_was_recorded_comes_in_pairs "[[world.backends]]\nservice.recorded = [[\"5ms\", 1], [\"6ms\"]]"
        "line 2, column 33: `world.backends[0].service.recorded[1]`: expected a time, and how often it was seen"
    what_was_recorded_was_seen_so_often "[[world.backends]]\nservice.recorded = [[\"5ms\", -1]]"
        "line 2, column 29: `world.backends[0].service.recorded[0][1]`: is -1; allowed: 0 to 18446744073709551615"
    columns_are_characters "name = \"é\"\nworld = { classes = [{ name = \"µé\", share = \"1\" }] }"
        "line 2, column 45: `world.classes[0].share`: is a string; expected a number"

    // Unknown fields.
    an_unknown_field "\n\nfault = []" "line 3, column 1: `fault`: unknown field `fault`; did you mean `faults`?"
    an_unknown_field_of_the_world "[world]\ndead_line = \"1s\""
        "line 2, column 1: `world.dead_line`: unknown field `dead_line`; did you mean `deadline`?"
    an_unknown_field_of_a_backend "[[world.backends]]\nworker = 4"
        "line 2, column 1: `world.backends[0].worker`: unknown field `worker`; did you mean `workers`?"
    an_unknown_field_of_a_service "[[world.backends]]\nservice = { sigmas = 1 }"
        "line 2, column 13: `world.backends[0].service.sigmas`: unknown field `sigmas`; did you mean `sigma`?"
    an_unknown_field_of_a_load "world.load = { rates = 1 }"
        "line 1, column 16: `world.load.rates`: unknown field `rates`; did you mean `rate`?"
    an_unknown_field_of_a_class "[[world.classes]]\nidempotence = true"
        "line 2, column 1: `world.classes[0].idempotence`: unknown field `idempotence`; did you mean `idempotent`?"
    an_unknown_field_of_a_fault "[[faults]]\nknd = \"slow\""
        "line 2, column 1: `faults[0].knd`: unknown field `knd`; did you mean `kind`?"
    an_unknown_field_like_no_other "[[world.backends]]\ncpu = 4"
        "line 2, column 1: `world.backends[0].cpu`: unknown field `cpu`; there are `count`, `workers`, `queue`, `service`, `standby`"
    the_first_unknown_field_of_the_file "z = 1\na = 1"
        "line 1, column 1: `z`: unknown field `z`; there are `name`, `from`, `until`, `over`, `world`, `faults`"
    an_unknown_kind "[[faults]]\nkind = \"slwo\"" "line 2, column 8: `faults[0].kind`: is \"slwo\"; there are `refuse`, `swallow`, `fail`, `fail_at_once`, `slow`, `cold`, `stragglers`, `latency`, `load`, `invalid`, `failover`"
    an_almost_known_kind "[[faults]]\nkind = \"straglers\""
        "line 2, column 8: `faults[0].kind`: is \"straglers\"; did you mean `stragglers`?"

    // Fields that do not go together.
    a_field_of_another_kind "[[faults]]\nkind = \"refuse\"\nat = \"1s\"\nfactor = 2\nlasts = \"1s\""
        "line 4, column 1: `faults[0].factor`: is not for `refuse`; allowed: `kind`, `at`, `lasts`, `backends`"
    backends_of_a_fault_of_requests "[[faults]]\nkind = \"invalid\"\nbackends = [0]"
        "line 3, column 1: `faults[0].backends`: is not for `invalid`; allowed: `kind`, `at`, `lasts`, `share`"
    a_rate_and_a_trace "world.load = { rate = 1, trace = [] }"
        "line 1, column 26: `world.load.trace`: is not for a load of a `rate`; allowed: `rate`"
    a_trace_and_users "world.load = { trace = [], users = 1 }"
        "line 1, column 28: `world.load.users`: is not for a load of a `trace`; allowed: `trace`"
    users_and_a_rate "world.load = { users = 1, rate = 1 }"
        "line 1, column 27: `world.load.rate`: is not for a load of `users`; allowed: `users`, `think`"
    fixed_with_sigma "[[world.backends]]\nservice = { fixed = \"1s\", sigma = 1 }"
        "line 2, column 27: `world.backends[0].service.sigma`: is not for a `fixed` time; allowed: `fixed`"
    exponential_with_sigma "[[world.backends]]\nservice = { exponential = \"1s\", sigma = 1 }"
        "line 2, column 33: `world.backends[0].service.sigma`: is not for `exponential` times; allowed: `exponential`"
    recorded_with_a_mean "[[world.backends]]\nservice = { recorded = [], mean = \"1s\" }"
        "line 2, column 28: `world.backends[0].service.mean`: is not for `recorded` times; allowed: `recorded`"
    lognormal_and_fixed "[[world.backends]]\nservice = { mean = \"1s\", fixed = \"1s\" }"
        "line 2, column 26: `world.backends[0].service.fixed`: is not for lognormal times; allowed: `mean`, `sigma`"

    // What is missing.
    a_load_of_nothing "[world]\nload = {}"
        "line 2, column 8: `world.load`: is empty; expected `rate`, or `trace`, or `users` and `think`"
    a_service_of_nothing "[[world.backends]]\nservice = {}"
        "line 2, column 11: `world.backends[0].service`: is empty; expected `mean` and `sigma`, or `fixed`, `exponential` or `recorded`"
    users_without_think "world.load = { users = 1 }" "line 1, column 14: `world.load.think`: missing"
    think_without_users "world.load = { think = \"1s\" }" "line 1, column 14: `world.load.users`: missing"
    a_fault_without_kind "\n[[faults]]\nat = \"1s\"" "line 2, column 1: `faults[0].kind`: missing"
    a_fault_without_beginning "[[faults]]\nkind = \"refuse\"\nlasts = \"1s\"" "line 1, column 1: `faults[0].at`: missing"
    a_fault_without_length "[[faults]]\nkind = \"refuse\"\nat = \"1s\"" "line 1, column 1: `faults[0].lasts`: missing"
    a_fault_without_share "[[faults]]\nkind = \"fail\"\nat = \"1s\"\nlasts = \"1s\""
        "line 1, column 1: `faults[0].share`: missing"
    a_fault_without_completions "[[faults]]\nkind = \"cold\"\nfactor = 2\nat = \"1s\"\nlasts = \"1s\""
        "line 1, column 1: `faults[0].completions`: missing"
    a_fault_that_lasts_forever_without_end "[[faults]]\nkind = \"refuse\"\nat = \"1s\"\nlasts = \"forever\""
        "line 4, column 9: `until`: missing, and `faults[0]` lasts forever"

    // What cannot be.
    a_deadline_of_nothing "world.deadline = \"0s\"" "line 1, column 18: `world.deadline`: is 0ns; allowed: 1ms to 3600s"
    too_far_a_network "world.network = \"2m\"" "line 1, column 17: `world.network`: is 120s; allowed: 0ns to 60s"
    no_clients "world.clients = 0" "line 1, column 17: `world.clients`: is 0; allowed: 1 to 10000"
    negative_clients "world.clients = -1" "line 1, column 17: `world.clients`: is -1; allowed: 1 to 10000"
    no_backends "world.backends = []" "line 1, column 18: `world.backends`: is 0; allowed: 1 to 1000"
    no_workers "[[world.backends]]\nqueue = 1\nworkers = 0"
        "line 3, column 11: `world.backends[0].workers`: is 0; allowed: 1 to 10000"
    too_long_a_queue "[[world.backends]]\nqueue = 0xFFFFFFFFFF"
        "line 2, column 9: `world.backends[0].queue`: is 0xFFFFFFFFFF; allowed: 0 to 1000000"
    no_service_time "[[world.backends]]\nservice = { fixed = \"1us\" }"
        "line 2, column 21: `world.backends[0].service.fixed`: is 1µs; allowed: 1ms to 3600s"
    no_exponential_time "[[world.backends]]\nservice = { exponential = \"1us\" }"
        "line 2, column 27: `world.backends[0].service.exponential`: is 1µs; allowed: 1ms to 3600s"
    no_mean_time "[[world.backends]]\nservice = { mean = \"1us\" }"
        "line 2, column 20: `world.backends[0].service.mean`: is 1µs; allowed: 1ms to 3600s"
    too_wide_a_spread "[[world.backends]]\nservice = { sigma = 4 }"
        "line 2, column 21: `world.backends[0].service.sigma`: is 4.0; allowed: 0.0 to 3.0"
    a_spread_of_nan "[[world.backends]]\nservice = { sigma = nan }"
        "line 2, column 21: `world.backends[0].service.sigma`: is NaN; allowed: 0.0 to 3.0"
    nothing_recorded "[[world.backends]]\nservice = { recorded = [[\"1s\", 0]] }"
        "line 2, column 24: `world.backends[0].service.recorded`: has no calls, or too many"
    too_much_recorded "[[world.backends]]\nservice.recorded = [[\"1s\", 18446744073709551615], [\"1s\", 1]]"
        "line 2, column 20: `world.backends[0].service.recorded`: has no calls, or too many"
    too_long_recorded "[[world.backends]]\nservice = { recorded = [[\"2h\", 1]] }"
        "line 2, column 24: `world.backends[0].service.recorded`: is 7200s; allowed: 0ns to 3600s"
    too_short_recorded "[[world.backends]]\nservice = { recorded = [[\"1us\", 1]] }"
        "line 2, column 24: `world.backends[0].service.recorded`: is 1µs; allowed: 100µs to 3600s"
    only_standbys "[[world.backends]]\nstandby = true"
        "line 1, column 1: `world.backends`: all are standbys; at least one must not be"
    backends_have_the_number_that_they_have_in_the_world
        "[[world.backends]]\ncount = 5\n[[world.backends]]\nservice = { sigma = -1 }"
        "line 4, column 21: `world.backends[5].service.sigma`: is -1.0; allowed: 0.0 to 3.0"
    no_count "[[world.backends]]\ncount = 0" "line 2, column 9: `world.backends[0].count`: is 0; allowed: 1 to 1000"
    too_large_a_count "[[world.backends]]\ncount = 900\n[[world.backends]]\ncount = 101"
        "line 4, column 9: `world.backends[900].count`: is 101; allowed: 1 to 100"
    one_too_many "[[world.backends]]\ncount = 1000\n[[world.backends]]"
        "line 3, column 1: `world.backends[1000]`: is one too many; allowed: 1000 backends"
    no_rate "world.load.rate = 0" "line 1, column 19: `world.load.rate`: is 0.0; allowed: over 0, up to 1000000.0"
    a_negative_rate "world.load.rate = -5" "line 1, column 19: `world.load.rate`: is -5.0; allowed: over 0, up to 1000000.0"
    a_rate_of_nan "world.load.rate = nan" "line 1, column 19: `world.load.rate`: is NaN; allowed: over 0, up to 1000000.0"
    too_large_a_rate "world.load.rate = 1e999"
        "line 1, column 19: `world.load.rate`: is inf; allowed: over 0, up to 1000000.0"
    an_empty_trace "world.load.trace = []" "line 1, column 20: `world.load.trace`: is empty"
    a_trace_that_goes_back "world.load.trace = [\"2s\", \"1s\"]"
        "line 1, column 20: `world.load.trace`: goes back in time: 1s after 2s"
    no_users "world.load = { users = 0, think = \"1s\" }" "line 1, column 24: `world.load.users`: is 0; allowed: 1 to 100000"
    thoughtless_users "world.load = { users = 1, think = \"0s\" }"
        "line 1, column 35: `world.load.think`: is 0ns; allowed: 1ms to 3600s"
    no_classes "world.classes = []" "line 1, column 17: `world.classes`: is 0; allowed: 1 to 1000"
    a_class_without_share "[[world.classes]]\nshare = 0"
        "line 2, column 9: `world.classes[0].share`: is 0.0; allowed: over 0, up to 1000000000.0"
    a_class_without_work "[[world.classes]]\n[[world.classes]]\nwork = -0.5"
        "line 3, column 8: `world.classes[1].work`: is -0.5; allowed: over 0, up to 1000.0"
    a_class_without_time "[[world.classes]]\ndeadline = \"2h\""
        "line 2, column 12: `world.classes[0].deadline`: is 7200s; allowed: 1ms to 3600s"
    too_high_a_priority "[[world.classes]]\npriority = 256"
        "line 2, column 12: `world.classes[0].priority`: is 256; allowed: 0 to 255"
    too_long_a_run "until = \"25h\"" "line 1, column 9: `until`: is 90000s; allowed: 1ms to 86400s"
    a_window_backwards "from = \"20s\"\nuntil = \"20s\""
        "line 1, column 8: `from`: is 20s, which is not before the end at 20s"
    a_recovery_after_the_end "over = \"70s\"" "line 1, column 8: `over`: is 70s, which is not before the end at 70s"
    a_fault_after_the_end "until = \"70s\"\n[[faults]]\nkind = \"refuse\"\nat = \"70s\"\nlasts = \"1s\""
        "line 4, column 6: `faults[0].at`: is 70s, after the end at 70s"
    a_fault_for_no_time "[[faults]]\nkind = \"refuse\"\nat = \"1s\"\nlasts = \"0s\""
        "line 4, column 9: `faults[0].lasts`: is 0; allowed: over 0"
    a_fault_of_a_backend_that_is_not_there "[[faults]]\nkind = \"refuse\"\nat = \"1s\"\nlasts = \"1s\"\nbackends = [0, 5]"
        "line 5, column 12: `faults[0].backends`: names backend 5; there are 5, from 0"
    a_share_over_1 "[[faults]]\nkind = \"fail\"\nat = \"1s\"\nlasts = \"1s\"\nshare = 1.1"
        "line 5, column 9: `faults[0].share`: is 1.1; allowed: 0.0 to 1.0"
    a_negative_share "[[faults]]\nkind = \"fail_at_once\"\nat = \"1s\"\nlasts = \"1s\"\nshare = -0.1"
        "line 5, column 9: `faults[0].share`: is -0.1; allowed: 0.0 to 1.0"
    a_share_of_nan "[[faults]]\nkind = \"invalid\"\nat = \"1s\"\nlasts = \"1s\"\nshare = nan"
        "line 5, column 9: `faults[0].share`: is NaN; allowed: 0.0 to 1.0"
    no_factor "[[faults]]\nkind = \"slow\"\nat = \"1s\"\nlasts = \"1s\"\nfactor = 0"
        "line 5, column 10: `faults[0].factor`: is 0.0; allowed: over 0, up to 1000.0"
    too_large_a_factor "[[faults]]\nkind = \"load\"\nat = \"1s\"\nlasts = \"1s\"\nfactor = 1001"
        "line 5, column 10: `faults[0].factor`: is 1001.0; allowed: over 0, up to 1000.0"
    stragglers_of_nan "[[faults]]\nkind = \"stragglers\"\nat = \"1s\"\nlasts = \"1s\"\nfactor = nan\nshare = 0.5"
        "line 5, column 10: `faults[0].factor`: is NaN; allowed: over 0, up to 1000.0"
    stragglers_over_1 "[[faults]]\nkind = \"stragglers\"\nat = \"1s\"\nlasts = \"1s\"\nfactor = 2\nshare = 2"
        "line 6, column 9: `faults[0].share`: is 2.0; allowed: 0.0 to 1.0"
    cold_by_nothing "[[faults]]\nkind = \"cold\"\nat = \"1s\"\nlasts = \"1s\"\nfactor = -4\ncompletions = 1"
        "line 5, column 10: `faults[0].factor`: is -4.0; allowed: over 0, up to 1000.0"
    cold_for_no_calls "[[faults]]\nkind = \"cold\"\nat = \"1s\"\nlasts = \"1s\"\nfactor = 4\ncompletions = 0"
        "line 6, column 15: `faults[0].completions`: is 0; allowed: 1 to 1000000000"
    too_much_latency "[[faults]]\nkind = \"latency\"\nat = \"1s\"\nlasts = \"1s\"\nextra = \"61s\""
        "line 5, column 9: `faults[0].extra`: is 61s; allowed: 0ns to 60s"
    no_standby "[[faults]]\nkind = \"failover\"\nat = \"1s\"\npromoted_after = \"1s\"\nname_follows_within = \"1s\""
        "line 2, column 8: `faults[0].kind`: is `failover`, but no backend is a standby"
    a_standby_that_dies "[[world.backends]]\n[[world.backends]]\nstandby = true\n[[faults]]\nkind = \"failover\"\nat = \"1s\"\npromoted_after = \"1s\"\nname_follows_within = \"1s\"\nbackends = [1]"
        "line 9, column 12: `faults[0].backends`: a standby dies; name those that are not"
    too_late_a_promotion "[[faults]]\nkind = \"failover\"\nat = \"1s\"\npromoted_after = \"25h\"\nname_follows_within = \"1s\"\n[[faults]]\nkind = \"refuse\"\nat = \"1s\"\nlasts = \"1s\""
        "`until`: is 90031s; allowed: 1ms to 86400s"
    too_late_a_promotion_in_a_short_run "until = \"1m\"\n[[faults]]\nkind = \"failover\"\nat = \"1s\"\npromoted_after = \"25h\"\nname_follows_within = \"1s\""
        "line 5, column 18: `faults[0].promoted_after`: is 90000s; allowed: 0ns to 86400s"
    too_late_a_name "[[faults]]\nkind = \"failover\"\nat = \"1s\"\npromoted_after = \"1s\"\nname_follows_within = \"25h\""
        "line 5, column 23: `faults[0].name_follows_within`: is 90000s; allowed: 0ns to 86400s"
    a_load_fault_of_users "world.load = { users = 1, think = \"1s\" }\n[[faults]]\nkind = \"load\"\nat = \"1s\"\nlasts = \"1s\"\nfactor = 2"
        "line 3, column 8: `faults[0].kind`: is `load`, but the load of the world is not a rate"

    // What would be huge.
    too_many_requests "world.load.rate = 1000\nuntil = \"3h\""
        "line 1, column 19: `world.load.rate`: comes to 10800000 requests; allowed: up to 10000000"
    too_many_requests_by_faults "world.load.rate = 1000\n[[faults]]\nkind = \"load\"\nat = \"10s\"\nlasts = \"20s\"\nfactor = 1000\n[[faults]]\nkind = \"load\"\nat = \"20s\"\nlasts = \"10s\"\nfactor = 2"
        "line 1, column 19: `world.load.rate`: comes to 30040000 requests; allowed: up to 10000000"
    too_many_users "world.load = { users = 1000, think = \"1ms\" }"
        "line 1, column 24: `world.load.users`: comes to 120279728 requests; allowed: up to 10000000"
}

refused! { World::from_toml:
    a_world_has_no_prefix "deadline = \"1s\"\n[[backends]]\nworkers = 0"
        "line 3, column 11: `backends[0].workers`: is 0; allowed: 1 to 10000"
    a_world_has_no_faults "faults = []"
        "line 1, column 1: `faults`: unknown field `faults`; there are `deadline`, `network`, `clients`, `load`, `backends`, `classes`"
    a_world_is_checked "load = { rate = 0 }"
        "line 1, column 17: `load.rate`: is 0.0; allowed: over 0, up to 1000000.0"
}

/// The words are those of the TOML library.
#[test]
fn what_is_no_toml_has_a_place() {
    let places = [
        ("name = ", (1, 8)),
        ("[world]\nclients = 10\n  clients = 11", (3, 3)),
        ("name = \"checkout", (1, 17)),
        ("\n[[faults]", (2, 10)),
        ("[world]\nä = 1", (2, 1)),
    ];
    for (toml, place) in places {
        let error = Scenario::from_toml(toml).unwrap_err();
        assert_eq!((error.field(), error.place()), ("", Some(place)), "{toml:?}: {error}");
        assert!(!error.problem().is_empty());
    }
}

/// A fault of the default world.
fn fault(kind: FaultKind, backends: Vec<usize>) -> Scenario {
    let second = Duration::from_secs(1);
    Scenario::new("some").fault_of(backends, kind, second, second)
}

#[test]
fn a_world_that_is_no_file_is_checked_too() {
    let mut world = World::default();
    world.backends[3].workers = 0;
    assert_eq!(message(world.check()), "`backends[3].workers`: is 0; allowed: 1 to 10000");
    let mut scenario = Scenario::new("some");
    scenario.world = world;
    assert_eq!(message(scenario.check()), "`world.backends[3].workers`: is 0; allowed: 1 to 10000");
    assert_eq!(scenario.check().unwrap_err().place(), None);
}

#[test]
fn ranges_of_whole_numbers_are_checked_too() {
    type Broken = (fn(&mut World), &'static str);
    let broken: [Broken; 6] = [
        (|world| world.clients = 10_001, "`clients`: is 10001; allowed: 1 to 10000"),
        (|world| world.backends.clear(), "`backends`: is 0; allowed: 1 to 1000"),
        (|world| world.backends = vec![world.backends[0].clone(); 1001], "`backends`: is 1001; allowed: 1 to 1000"),
        (|world| world.backends[1].workers = 10_001, "`backends[1].workers`: is 10001; allowed: 1 to 10000"),
        (|world| world.backends[1].queue = 1_000_001, "`backends[1].queue`: is 1000001; allowed: 0 to 1000000"),
        (
            |world| world.load = Load::Closed { users: 100_001, think: Duration::from_secs(1) },
            "`load.users`: is 100001; allowed: 1 to 100000",
        ),
    ];
    for (break_it, expected) in broken {
        let mut world = World::default();
        break_it(&mut world);
        assert_eq!(message(world.check()), expected);
    }
    let cold = fault(FaultKind::Cold { factor: 2.0, completions: 0 }, Vec::new());
    assert_eq!(message(cold.check()), "`faults[0].completions`: is 0; allowed: 1 to 1000000000");
}

#[test]
fn faults_of_the_network_and_of_requests_have_no_backends() {
    let extra = Duration::from_millis(1);
    for kind in [FaultKind::Latency { extra }, FaultKind::Load { factor: 2.0 }, FaultKind::Invalid { share: 0.5 }] {
        assert_eq!(
            message(fault(kind, vec![0]).check()),
            "`faults[0].backends`: is not for a fault of the network or of requests"
        );
        fault(kind, Vec::new()).check().unwrap();
    }
}

#[test]
fn so_many_faults_are_too_many() {
    let second = Duration::from_secs(1);
    let many = |number| {
        (0..number).fold(Scenario::new("many"), |scenario, _| scenario.fault(FaultKind::Refuse, second, second))
    };
    many(1000).check().unwrap();
    assert_eq!(message(many(1001).check()), "`faults`: is 1001; allowed: 0 to 1000");
}

#[test]
fn a_trace_counts_up_to_the_end() {
    let mut scenario = Scenario::new("trace");
    let trace = |late| {
        let times = [vec![Duration::ZERO; 10_000_000], vec![Duration::from_secs(late); 1]].concat();
        Load::Trace(times)
    };
    scenario.world.load = trace(70);
    scenario.check().unwrap();
    scenario.world.load = trace(69);
    assert_eq!(message(scenario.check()), "`world.load.trace`: comes to 10000001 requests; allowed: up to 10000000");
}

/// Times and factors at their limits, many at once: nothing overflows.
#[test]
fn what_can_be_can_be_run() {
    let day = Duration::from_secs(86_400);
    let mut scenario = Scenario::new("limits");
    scenario.world.load = Load::Poisson { rate: 20.0 };
    scenario.world.classes[0].work = 1000.0;
    let slow = FaultKind::Slow { factor: 1000.0 };
    for _ in 0..200 {
        scenario = scenario.fault(slow, Duration::ZERO, Duration::MAX);
    }
    let extra = Duration::from_secs(60);
    scenario = scenario
        .fault(FaultKind::Cold { factor: 1000.0, completions: 1_000_000_000 }, Duration::ZERO, Duration::MAX)
        .fault(FaultKind::Stragglers { share: 1.0, factor: 1000.0 }, Duration::ZERO, Duration::MAX)
        .fault(FaultKind::Latency { extra }, Duration::from_secs(69), day);
    assert_eq!(scenario.oracle(1), Ok(0.0));
    let report = Stack::new("bare", |upstream| upstream).run(&scenario, 1).unwrap();
    assert_eq!(report.answered, 0.0);
}

//! What is printed: the script, a line per tick, and both runs side by side.

use std::time::Duration;

use crate::{
    load::{PATIENCE, Sample},
    script::{ACTS, Act, RATE, TICKS},
};

/// The upstreams, as they are counted in [`ACTS`].
pub(crate) const UPSTREAMS: [&str; 3] = ["inventory", "prices", "recommendations"];

/// What a run has come to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) samples: Vec<Sample>,
    /// Requests that came in at each upstream.
    pub(crate) received: [u64; 3],
    pub(crate) tick: Duration,
}

/// The requests that were due in a tick.
pub(crate) fn due_in(samples: &[Sample], tick: Duration, number: u32) -> Vec<Sample> {
    let due = |sample: &&Sample| (tick * number..tick * (number + 1)).contains(&sample.at);
    samples.iter().filter(due).copied().collect()
}

pub(crate) fn print_script(tick: Duration) {
    let at = |number| (tick * number).as_secs_f64();
    println!(
        "Two runs of {:.0} s, the same {RATE:.0} customers/s in both, who wait for {} ms.",
        at(TICKS),
        PATIENCE.as_millis()
    );
    println!("Faults:");
    for act in &ACTS {
        let (from, to) = (at(act.ticks.start), at(act.ticks.end));
        println!("  {from:5.1} to {to:4.1} s  {} {}", UPSTREAMS[act.upstream], act.fault.meaning());
    }
    println!("In time are pages within the {} ms, degraded ones among them; failed is all else.", PATIENCE.as_millis());
}

pub(crate) fn print_head(with_breakers: bool) {
    let head = format!(
        "{:>6}  {:<24} {:>7} {:>7} {:>8} {:>6} {:>7}",
        "second", "fault", "offered", "in time", "degraded", "failed", "p99 ms"
    );
    if with_breakers {
        let [inventory, prices, recommendations] = UPSTREAMS;
        println!("{:>73}breakers: state, and calls refused in the second", "");
        println!("{head}   {inventory:<15} {prices:<15} {recommendations}");
    } else {
        println!("{head}");
    }
}

/// The line of a tick, to be called when the last customer of it has run out of patience.
pub(crate) fn print_tick(samples: &[Sample], tick: Duration, number: u32, breakers: &[String]) {
    let due = due_in(samples, tick, number);
    let act = ACTS.iter().find(|act| act.ticks.contains(&number));
    let fault = act.map_or(String::new(), |act| format!("{} {}", UPSTREAMS[act.upstream], act.fault.name()));
    let in_time = due.iter().filter(|sample| sample.in_time()).count();
    let degraded = due.iter().filter(|sample| sample.degraded()).count();
    let breakers: String = breakers.iter().map(|breaker| format!(" {breaker:<15}")).collect();
    let line = format!(
        "{:>6.1}  {fault:<24} {:>7} {in_time:>7} {degraded:>8} {:>6} {:>7}  {}",
        (tick * number).as_secs_f64(),
        due.len(),
        due.len() - in_time,
        p99_so_far(&due),
        breakers
    );
    println!("{}", line.trim_end());
}

/// The 99th percentile of all answers; those to come will be over the patience.
fn p99_so_far(due: &[Sample]) -> String {
    let mut took: Vec<_> = due.iter().map(|sample| sample.answer.map_or(Duration::MAX, |answer| answer.took)).collect();
    match percentile(&mut took, 0.99) {
        None => "-".into(),
        Some(Duration::MAX) => format!("> {}", PATIENCE.as_millis()),
        Some(took) => took.as_millis().to_string(),
    }
}

fn percentile(took: &mut [Duration], share: f64) -> Option<Duration> {
    took.sort_unstable();
    let rank = (took.len() as f64 * share).ceil() as usize;
    took.get(rank.max(1) - 1).copied()
}

impl Outcome {
    pub(crate) fn in_time(&self) -> usize {
        self.samples.iter().filter(|sample| sample.in_time()).count()
    }

    fn share(&self, count: usize) -> String {
        format!("{count} ({:.1} %)", 100.0 * count as f64 / self.samples.len() as f64)
    }

    /// Percentiles of the answers that are pages, or that are not.
    fn times(&self, pages: bool) -> String {
        let answers = self.samples.iter().filter_map(|sample| sample.answer).filter(|answer| answer.page == pages);
        let mut took: Vec<_> = answers.map(|answer| answer.took).collect();
        match (percentile(&mut took, 0.5), percentile(&mut took, 0.99)) {
            (Some(half), Some(most)) => format!("{} / {} ms", half.as_millis(), most.as_millis()),
            _ => "-".into(),
        }
    }

    fn per_page(&self, received: u64) -> String {
        format!("{:.2}", received as f64 / self.samples.len() as f64)
    }

    /// How long after a fault's end the first of three good ticks in a row begins; not looked for beyond the next
    /// fault.
    fn recovery(&self, act: &Act) -> String {
        let good = |number| {
            let due = due_in(&self.samples, self.tick, number);
            due.iter().filter(|sample| sample.in_time()).count() as f64 >= 0.95 * due.len() as f64
        };
        let seconds = |ticks: u32| (self.tick * ticks).as_secs_f64();
        match (act.ticks.end..=act.next - 3).find(|first| (*first..first + 3).all(good)) {
            Some(first) => format!("{:.1} s", seconds(first - act.ticks.end)),
            None => format!("> {:.1} s", seconds(act.next - 3 - act.ticks.end)),
        }
    }
}

pub(crate) fn print_comparison(protected: &Outcome, unprotected: &Outcome) {
    let line = |what: &str, of: &dyn Fn(&Outcome) -> String| {
        println!("{what:<44} {:>16} {:>16}", of(protected), of(unprotected));
    };
    println!("{:<44} {:>16} {:>16}", "", "protected", "unprotected");
    line("offered", &|run| run.samples.len().to_string());
    line("goodput: pages within 500 ms", &|run| run.share(run.in_time()));
    line("  of these degraded", &|run| run.share(run.samples.iter().filter(|sample| sample.degraded()).count()));
    line("late pages", &|run| {
        let late = |sample: &&Sample| !sample.in_time() && sample.answer.is_some_and(|answer| answer.page);
        run.share(run.samples.iter().filter(late).count())
    });
    line("error answers", &|run| {
        run.share(run.samples.iter().filter(|sample| !sample.answer.is_some_and(|answer| answer.page)).count())
    });
    line("p50 / p99 of pages", &|run| run.times(true));
    line("p50 / p99 of error answers", &|run| run.times(false));
    line("attempts per page at the upstreams' sockets", &|run| run.per_page(run.received.iter().sum()));
    for (upstream, name) in UPSTREAMS.iter().enumerate() {
        line(&format!("  at {name}"), &|run| run.per_page(run.received[upstream]));
    }
    println!("time to recover (three good seconds in a row begin)");
    for act in &ACTS {
        let what = format!("  after {} {}", UPSTREAMS[act.upstream], act.fault.name());
        line(&what, &|run| run.recovery(act));
    }
}

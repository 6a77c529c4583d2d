//! A plain model of the semaphore bulkhead of Resilience4j: a counter, and a list of those that wait for it.

use std::collections::VecDeque;

use super::{
    bulkhead::{Bulkhead, Completed, Config, Outcome, Row, Step, Word},
    model::Rules,
    recorded::{self, Answer},
    rules::Rule,
};

#[derive(Clone, Debug)]
pub(crate) struct Model {
    rules: Rules,
    fair: bool,
    /// `None`: ours, and the limit was refused.
    max: Option<u32>,
    /// Places that are free. Theirs goes above the limit, ours below zero while more are inside than may be.
    free: i64,
    inside: u64,
    queue: VecDeque<Waiting>,
    /// Changes that wait for another change to be done.
    changes: VecDeque<u32>,
    completed: Vec<Completed>,
    used: Vec<Rule>,
    unlike_ours: bool,
}

#[derive(Clone, Debug)]
enum Waiting {
    Call(u64),
    /// Takes as many places as there are to be fewer.
    Shrink {
        by: i64,
        to: u32,
    },
}

impl Model {
    fn ours(&self) -> bool {
        self.rules == Rules::On
    }

    /// Whether who comes now has to stand in line, if there are so many places.
    fn must_wait(&self, places: i64) -> bool {
        self.free < places || (self.fair && !self.queue.is_empty())
    }

    fn try_enter(&mut self) -> bool {
        let entered = !self.must_wait(1);
        if entered {
            self.free -= 1;
            self.inside += 1;
        }
        entered
    }

    fn enter(&mut self, call: u64) -> Outcome {
        if self.max.is_none() {
            return Outcome::Entered(false);
        }
        if self.try_enter() {
            return Outcome::Entered(true);
        }
        self.queue.push_back(Waiting::Call(call));
        Outcome::Said(Word::Blocked)
    }

    fn exit(&mut self, upstream: Option<&Answer<Bulkhead>>) {
        if self.inside > 0 {
            self.inside -= 1;
            self.free += 1;
        } else if self.ours() {
            // Where theirs had somebody inside, an earlier rule has kept that one out of ours.
            if upstream.is_some_and(|upstream| upstream.unlike_ours) {
                self.used.push(Rule::NoOverRelease);
            }
        } else {
            self.unlike_ours = true;
            self.free += 1;
        }
        self.serve();
    }

    fn change(&mut self, to: u32, upstream: Option<&Answer<Bulkhead>>) -> Word {
        if self.ours() {
            return self.change_at_once(to, upstream);
        }
        let pending = self.queue.iter().any(|waiting| matches!(waiting, Waiting::Shrink { .. }));
        let done = !pending && self.begin_change(to);
        if pending {
            self.changes.push_back(to);
        }
        self.unlike_ours = !done;
        self.serve();
        if done { Word::Done } else { Word::Blocked }
    }

    fn change_at_once(&mut self, to: u32, upstream: Option<&Answer<Bulkhead>>) -> Word {
        if to == 0 {
            self.used.push(Rule::LimitOverZero);
            return Word::Refused;
        }
        if upstream.is_some_and(|upstream| upstream.unlike_ours) {
            self.used.push(Rule::ResizeNeverBlocks);
        }
        self.free += i64::from(to) - i64::from(self.max.unwrap_or(0));
        self.max = Some(to);
        self.serve();
        Word::Done
    }

    /// Theirs: whether it is done.
    fn begin_change(&mut self, to: u32) -> bool {
        let by = i64::from(self.max.unwrap_or(0)) - i64::from(to);
        if by > 0 && self.must_wait(by) {
            self.queue.push_back(Waiting::Shrink { by, to });
            return false;
        }
        self.free -= by;
        self.max = Some(to);
        true
    }

    /// Lets those go on who wait, in their order.
    fn serve(&mut self) {
        while let Some(first) = self.queue.front() {
            let places = match *first {
                Waiting::Call(_) => 1,
                Waiting::Shrink { by, .. } => by,
            };
            if self.free < places {
                return;
            }
            self.free -= places;
            match self.queue.pop_front() {
                Some(Waiting::Call(call)) => {
                    self.inside += 1;
                    self.completed.push(Completed::Call(call, true));
                }
                Some(Waiting::Shrink { to, .. }) => {
                    self.max = Some(to);
                    self.changed();
                }
                None => {}
            }
        }
    }

    /// A change is done that was waited for: the next begins.
    fn changed(&mut self) {
        self.completed.push(Completed::Operation("change_config".to_owned(), Word::Done));
        if let Some(next) = self.changes.pop_front()
            && self.begin_change(next)
        {
            self.changed();
        }
    }

    fn answer(&mut self, result: Option<Outcome>) -> Answer<Bulkhead> {
        let available = if self.ours() { self.free.max(0) } else { self.free };
        let row = Row {
            result,
            available: self.max.map(|_| available),
            max: self.max,
            completed: std::mem::take(&mut self.completed),
        };
        let unlike_ours = std::mem::take(&mut self.unlike_ours);
        Answer { row, rules: std::mem::take(&mut self.used), unlike_ours }
    }
}

impl recorded::Model<Bulkhead> for Model {
    fn new(config: &Config, rules: Rules) -> Self {
        let limit = config.max_concurrent_calls;
        let refused = rules == Rules::On && limit == 0;
        Self {
            rules,
            fair: config.fair_call_handling_enabled,
            max: (!refused).then_some(limit),
            free: limit.into(),
            inside: 0,
            queue: VecDeque::new(),
            changes: VecDeque::new(),
            completed: Vec::new(),
            used: if refused { vec![Rule::LimitOverZero] } else { Vec::new() },
            unlike_ours: false,
        }
    }

    fn begin(&mut self) -> Answer<Bulkhead> {
        self.answer(None)
    }

    fn step(&mut self, step: &Step, upstream: Option<&Answer<Bulkhead>>) -> Answer<Bulkhead> {
        let result = match *step {
            Step::TryEnter => Some(Outcome::Entered(self.try_enter())),
            Step::Enter { call } => Some(self.enter(call)),
            Step::Exit | Step::Release => {
                self.exit(upstream);
                None
            }
            Step::ChangeConfig { max_concurrent_calls } => {
                Some(Outcome::Said(self.change(max_concurrent_calls, upstream)))
            }
        };
        self.answer(result)
    }
}

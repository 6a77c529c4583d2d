//! The window of the model: a list of calls, counted whenever somebody asks.

use std::collections::VecDeque;

use super::scenario::{Config, WindowType};

/// The window: the calls in it, oldest first.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    window: WindowType,
    size: u64,
    minimum: u64,
    /// Second, failed, slow.
    list: VecDeque<(u64, bool, bool)>,
}

impl Calls {
    /// Of the closed state. Only a window of calls caps the minimum.
    pub(super) fn closed(config: &Config) -> Self {
        let size = config.sliding_window_size.into();
        match config.sliding_window_type {
            WindowType::CountBased => Self::count(size, config),
            WindowType::TimeBased => {
                let minimum = config.minimum_number_of_calls.into();
                Self { window: WindowType::TimeBased, size, minimum, list: VecDeque::new() }
            }
        }
    }

    pub(super) fn count(size: u64, config: &Config) -> Self {
        let minimum = size.min(config.minimum_number_of_calls.into());
        Self { window: WindowType::CountBased, size, minimum, list: VecDeque::new() }
    }

    /// `false` if there is no place to record in: the call is in the sums all the same.
    pub(super) fn record(&mut self, second: u64, failed: bool, slow: bool) -> bool {
        self.list.push_back((second, failed, slow));
        if self.window == WindowType::CountBased && self.size > 0 && self.list.len() as u64 > self.size {
            self.list.pop_front();
        }
        self.size > 0
    }

    /// Failed and slow calls in percent, -1 below the minimum, as of this second.
    pub(super) fn rates(&mut self, second: u64) -> (f32, f32) {
        if self.window == WindowType::TimeBased {
            self.list.retain(|(at, ..)| at + self.size > second);
        }
        let (calls, failed, slow) = self.sums();
        if calls == 0 || calls < self.minimum {
            return (-1.0, -1.0);
        }
        let percent = |part: u64| part as f32 * 100.0 / calls as f32;
        (percent(failed), percent(slow))
    }

    pub(super) fn sums(&self) -> (u64, u64, u64) {
        let count = |which: fn(&(u64, bool, bool)) -> bool| self.list.iter().filter(|call| which(call)).count() as u64;
        (self.list.len() as u64, count(|(_, failed, _)| *failed), count(|(_, _, slow)| *slow))
    }
}

//! Load shedding with a service, in paused time.

mod calls;
mod faults;
mod support;

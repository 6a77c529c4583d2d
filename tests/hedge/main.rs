//! Hedges and soft timeouts: when a second attempt is sent, which answer counts, and what is left of the others.

mod attempts;
mod delay;
mod endpoints;
mod faults;
mod limits;
mod overload;
mod soft;
mod support;

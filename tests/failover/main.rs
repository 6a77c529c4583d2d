//! The failover client in virtual time.

#![allow(clippy::disallowed_methods)] // The clock is paused.

mod all_out;
mod asks;
mod at_first;
mod basics;
mod changes;
mod cold;
mod evidence;
mod fault_24;
mod faults;
mod made;
mod members;
mod probes;
mod roles;
mod searches;
mod seen_below;
mod sent;
mod settings;
mod shares;
mod sources;
mod stacked;
mod stalled;
mod statistics;
mod stuck;
mod support;
mod threads;

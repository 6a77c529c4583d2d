//! The simulator: what the oracle reaches, what simple stacks come to, what can be read and drawn, and that all of it can
//! be repeated.

mod carried;
mod check;
mod drawn;
mod failover;
mod hedging;
mod input;
mod limits;
mod loads;
mod mechanisms;
mod oracle;
mod repeat;
mod runs;
mod shedding;
mod together;
mod toml;

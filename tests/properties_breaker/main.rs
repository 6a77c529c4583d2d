//! Properties of the circuit breaker's machine, over generated settings and histories, through the public API.
//!
//! History (`history.rs`): acquiring, ending (success, failure, abandoned, released, late), looking, live changes,
//! moves by hand, time going forward, standing still and stepping back.
//!
//! 1. No call is let through without a place: none by an open or forced open breaker, and in half-open the calls out
//!    and the outcomes never exceed the number configured.
//! 2. Whoever may pass does: half-open with a free place lets a call through, and so do the states that watch.
//! 3. Only a current outcome, a timer or a hand moves a state; looking and changing settings never do.
//! 4. A late outcome changes nothing but the count of late ones.
//! 5. An abandoned call never closes, a released one never moves.
//! 6. A clock that steps back changes nothing: it is as if it had stood still.
//! 7. A breaker whose calls all end leaves half-open, within a bounded number of calls that end in a success, in a
//!    failure or abandoned.
//! 8. Every change is told once: the generations are counted without a gap, each begins where the last one ended.
//!
//! Time (`timing.rs`):
//!
//! 9. At exactly the end of the wait a call is let through, 1 ns earlier it is not; automatically too.
//! 10. The `retry_after` of a refusal in open is exact: a call then is let through.
//! 11. Half-open ends at exactly `half_open_max_wait`, as `half_open_end` says; `Judge` counts calls out as failures.
//! 12. A ramp lets a growing share through, and all once it is over.
//! 13. Extremes (any `now`, any wait, up to `Duration::MAX`) neither panic nor take more than bounded work, nor does a
//!     year in which nobody looked.
//!
//! Window (`window.rs`):
//!
//! 14. The totals are those of a list of all calls, counted anew each time: calls or seconds, also when resized.
//! 15. Rates are those totals' shares, known from the minimum number of calls on.

mod history;
mod support;
mod timing;
mod window;

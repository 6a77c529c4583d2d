# One command for each thing one does here. `just check` is what CI does.

export RUSTFLAGS := env("RUSTFLAGS", "")

default:
    @just --list

# Everything that CI runs.
check:
    bash .ci/run

# The test command of the README.
test:
    cargo test --all-features

# The concurrent paths under loom.
loom:
    RUSTFLAGS="--cfg steadfast_loom" CARGO_TARGET_DIR=target/loom cargo test --release --lib loom_

# Recorded behaviour of Resilience4j against the pure machines.
conformance *FILES="tests/data/resilience4j/*.jsonl":
    cargo run --release --example conformance -- {{FILES}}

# Instructions and allocations per call of each layer and of the stack (needs valgrind).
cost *ONLY:
    cargo run --release -p steadfast-bench --bin cost -- {{ONLY}}

# Stacks of layers through simulated storms; `just storm --help`.
storm *ARGS:
    cargo run --release --features storm --example storm -- {{ARGS}}

# The shop, protected and unprotected.
storefront *ARGS:
    cargo run --release --example storefront -- {{ARGS}}

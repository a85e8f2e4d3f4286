# `just` alone lists the recipes. `just ci` is what must pass before a change lands; its steps are
# in `.ci/run`, which needs nothing but the Rust toolchain.

_list:
    @just --list

# Everything that must pass.
ci:
    .ci/run

# One step of it: fmt, clippy, docs, test, serial, release, loom, profiles.
step name:
    .ci/run {{name}}

# The example, as a new user would run it.
run:
    cargo run --example taskdump

test:
    cargo test --workspace

fmt:
    cargo fmt --all

# The benchmarks. Compare the lines of one run with each other, not with those of another.
bench:
    cargo bench -p tasktrace-tests

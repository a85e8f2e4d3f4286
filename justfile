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

# What annotated functions cost, in time and in throughput, next to async-backtrace and await-tree.
# A workspace of its own, because of what the two depend on.
bench-peers:
    cargo bench --manifest-path tests/peers/Cargo.toml

# The tests that are about memory and threads with AddressSanitizer and LeakSanitizer. The standard
# library itself is not checked.
asan:
    RUSTFLAGS="-Zsanitizer=address" cargo +nightly test -p tasktrace-tests --test alloc --test compat --test deep_wide --test executors --test harmless --target x86_64-unknown-linux-gnu --target-dir target/asan

# The same with ThreadSanitizer. Needs the `rust-src` component of nightly: where the standard
# library is not built with it too, its locks are not seen, and whatever they protect is reported as
# a race.
tsan:
    RUSTFLAGS="-Zsanitizer=thread" cargo +nightly test -Zbuild-std -p tasktrace-tests --test alloc --test compat --test deep_wide --test executors --test harmless --target x86_64-unknown-linux-gnu --target-dir target/tsan

# `just` alone lists the recipes. `just ci` is what must pass before a change lands; its steps are
# in `.ci/run`, which needs nothing but the Rust toolchain.

_list:
    @just --list

# Everything that must pass.
ci:
    .ci/run

# One step of it: fmt, clippy, docs, test, serial, release, browser, loom, profiles.
step name:
    .ci/run {{name}}

# The example, as a new user would run it.
run:
    cargo run --example taskdump

test:
    cargo test --workspace

# The page in a real browser. See `tests/browser/README.md`.
browser:
    .ci/run browser

# Pictures of the page, to be looked at.
browser-shots directory:
    cargo build --release -p tasktrace-tests --features http --bin page_server
    cd tests/browser && npm ci && npm run shots -- "$(realpath -m {{invocation_directory()}}/{{directory}})"

# The picture in the README, of the example under load.
picture:
    examples/service/picture

fmt:
    cargo fmt --all

# The benchmarks. Compare the lines of one run with each other, not with those of another.
bench:
    cargo bench -p tasktrace-tests

# What tasktrace costs next to its peers, and whether that is as little as it is to be: a table.
# `just bench-peers --readme` writes it to the README. See `tests/peers/PROFILE.md`.
bench-peers *arguments:
    tests/peers/run {{arguments}}

# How many instructions the poll path takes, counted by callgrind: `show`, `check`, `bless` or
# `profile CASE`.
instructions *arguments:
    tests/peers/instructions {{arguments}}

# The scenarios that are about memory and threads with AddressSanitizer and LeakSanitizer, on nightly.
# The standard library is not checked. Left out is what unwinds a stack that the sanitizer does not
# know of, and what runs on a stack that is measured for functions without the sanitizer. `tests/lsan.supp` has what is
# leaked on purpose.
asan:
    LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp" RUSTFLAGS="-Zsanitizer=address" \
        cargo +nightly test -p tasktrace-tests --target x86_64-unknown-linux-gnu --target-dir target/asan \
        --test alloc --test compat --test deep_wide --test dump_format --test dump_text \
        --test executors --test harmless --test left_behind --test live --test stress --test watchdog \
        -- --skip polls_that_are_interleaved --skip small_stacks

# The scenarios that are about threads with ThreadSanitizer, on nightly.
#
# Everything is instrumented but the standard library, which would take its sources. What that
# synchronises inside of itself is not seen, so
#
# * our locks say once more what they order (`tasktrace_tsan`, see `tasktrace/src/sync/mutex.rs`), and
#   those of tokio are `parking_lot`'s, which is instrumented;
# * what is left, none of it ours, is in `tests/tsan.supp`, with reasons;
# * the harness runs one test at a time.
#
# All accesses of ours to what is shared are checked, but for those of the destructor of the last
# reference to an `Arc`. Fences are not understood: what is ordered by them, the copying of the table
# of frames, is proved with loom, and nothing in it but atomics is accessed.
tsan:
    TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp" \
        RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg tasktrace_tsan" \
        cargo +nightly test -p tasktrace-tests --target x86_64-unknown-linux-gnu --target-dir target/tsan \
        --features tokio/parking_lot \
        --test alloc --test compat --test executors --test harmless --test left_behind --test live \
        --test stress --test watchdog --test watchdog_alone \
        -- --test-threads=1

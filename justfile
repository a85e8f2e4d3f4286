# `just` alone lists the recipes. `just ci` runs everything that must pass before a change lands. Its steps are in
# `.ci/run`, which needs only the Rust toolchain. `CONTRIBUTING.md` describes them.

_list:
    @just --list

# Runs everything that must pass.
ci:
    .ci/run

# Runs one step of it, such as fmt, clippy, docs, test, release, browser, loom, profiles.
step name:
    .ci/run {{name}}

# Runs the example, as a new user would.
run:
    cargo run --example taskdump

# Runs all tests.
test:
    cargo test --workspace

# Tests the page in a real browser. See `tests/browser/README.md`.
browser:
    .ci/run browser

# Takes pictures of the page, to look at.
browser-shots directory:
    cargo build --release -p tasktrace-tests --features http --bin page_server
    cd tests/browser && npm ci && npm run shots -- "$(realpath -m {{invocation_directory()}}/{{directory}})"

# Takes the picture in the README, of the example under load.
picture:
    examples/service/picture

# Formats the workspace.
fmt:
    cargo fmt --all

# Runs the benchmarks of the workspace. Compare only lines of the same run.
bench:
    cargo bench -p tasktrace-tests

# Prints a table of the costs of tasktrace, next to its peers and the goals. `just bench-peers --readme` also writes it
# to the README. See `tests/peers/PROFILE.md`.
bench-peers *arguments:
    tests/peers/run {{arguments}}

# Counts the instructions of the poll path with callgrind: `show`, `check`, `bless` or `profile CASE`.
instructions *arguments:
    tests/peers/instructions {{arguments}}

# Runs the tests about memory and threads with AddressSanitizer and LeakSanitizer, on nightly, and the unit tests of the
# HTTP service and of what reads memory.
#
# The standard library is not checked. Three kinds of tests are skipped: tests that unwind a stack which the sanitizer
# does not know, tests on small stacks whose sizes were measured without the sanitizer, and the test that forks while
# other threads start threads: locks of the sanitizer may stay locked in the child, which then waits for ever when it
# starts a thread. A program without tasktrace that forks like that hangs as well. `tests/lsan.supp` lists the memory
# that is leaked on purpose.
asan:
    LSAN_OPTIONS="suppressions=$PWD/tests/lsan.supp" RUSTFLAGS="-Zsanitizer=address" \
        cargo +nightly test -p tasktrace-tests --target x86_64-unknown-linux-gnu --target-dir target/asan \
        --test alloc --test compat --test deep_wide --test dump_format --test dump_text \
        --test executors --test bounded --test harmless --test left_behind --test live --test stress --test watchdog \
        -- --skip polls_that_are_interleaved --skip small_stacks --skip no_child_waits_for_work_of_its_parent
    RUSTFLAGS="-Zsanitizer=address" \
        cargo +nightly test -p tasktrace-http -p tasktrace-inspect --lib \
        --target x86_64-unknown-linux-gnu --target-dir target/asan

# Runs the tests about threads with ThreadSanitizer, on nightly.
#
# Everything is instrumented except the standard library, because that would need its sources. The sanitizer does not see
# how the standard library synchronises, so
#
# * our locks repeat what they order (`tasktrace_tsan`, see `tasktrace/src/sync/mutex.rs`), and tokio uses the locks of
#   `parking_lot`, which is instrumented;
# * `tests/tsan.supp` suppresses the remaining reports, none of which is about our code, with reasons;
# * the harness runs one test at a time.
#
# A thread that waits inside of the standard library runs no handler of a signal until it goes on, so it cannot be
# sampled. The two tests that wait for such a sample are skipped, and so are tests on small stacks: the sanitizer makes
# all stacks larger.
#
# All our accesses to shared memory are checked, except those of the destructor of the last reference to an `Arc`. The
# sanitizer does not understand fences. Only the copy of the table of frames is ordered by fences: it is proved with
# loom, and accesses nothing but atomics.
tsan:
    TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp" \
        RUSTFLAGS="-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer --cfg tasktrace_tsan" \
        cargo +nightly test -p tasktrace-tests --target x86_64-unknown-linux-gnu --target-dir target/tsan \
        --features tokio/parking_lot \
        --test alloc --test compat --test executors --test bounded --test harmless --test left_behind --test live \
        --test stress --test watchdog --test watchdog_alone \
        -- --test-threads=1 --skip small_stacks \
        --skip a_poll_that_blocks_in_the_first_line_is_reported --skip no_thread_panics

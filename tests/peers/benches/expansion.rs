//! Measures the cost of an attribute when the program is built: time, and machine code.
//!
//! A program of many small async functions, and one of few, are built with each attribute and without any. Their
//! difference is the cost of the functions, without the libraries, the linker and cargo. The time is processor time.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tasktrace_benches::goals::{self, Figure};
use tasktrace_benches::{Measured, OURS, header, is_bench, median, stopwatch, time};

const FEW: usize = 100;
const MANY: usize = 400;
const ROUNDS: usize = 5;

const PEERS: [&str; 2] = ["tracing", "async-backtrace"];

/// The names of the alternatives, and their attributes.
const ATTRIBUTES: [(&str, &str); 4] = [
    ("not annotated", ""),
    (OURS, "#[tasktrace::traced]"),
    (PEERS[0], "#[tracing::instrument]"),
    (PEERS[1], "#[async_backtrace::framed]"),
];

#[derive(Clone, Copy)]
enum Profile {
    Dev,
    Release,
}

fn main() {
    if !is_bench() {
        return;
    }
    let package = Package::write();
    header("To compile, per attribute");
    for (profile, name, goal) in [
        (Profile::Dev, "`dev`", "compile-dev"),
        (Profile::Release, "`release`", "compile-release"),
    ] {
        let measured = package.compile(profile);
        measured.print(name);
        measured.note(goal, &PEERS);
    }

    println!("\n`.text` per attribute\n");
    let text = |who: &str| {
        let of = |functions| package.text(&program(who, functions)) as f64;
        (of(MANY) - of(FEW)) / (MANY - FEW) as f64
    };
    let plain = text(ATTRIBUTES[0].0);
    println!("not annotated: {plain} bytes a function");
    let added = |who: &str| {
        let added = text(who) - plain;
        println!("{who}: {added} bytes more");
        added
    };
    let ours = added(OURS);
    let peers = PEERS.map(|who| (who.to_owned(), added(who)));
    let best = peers
        .into_iter()
        .min_by(|one, other| one.1.total_cmp(&other.1));
    goals::note(
        "text",
        &Figure {
            ours,
            ratio: best.as_ref().map(|(_, best)| ours / best),
            best_peer: best,
        },
    );
}

/// A temporary package with a program for each attribute and number of functions.
struct Package(PathBuf);

impl Package {
    fn write() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("expansion");
        let peers = Path::new(env!("CARGO_MANIFEST_DIR"));
        let manifest = format!(
            "[workspace]\n\
             [package]\nname = \"expansion\"\nedition = \"2024\"\n\
             [dependencies]\n\
             async-backtrace = \"*\"\n\
             tasktrace = {{ path = {:?} }}\n\
             tracing = \"*\"\n",
            peers.join("../../tasktrace"),
        );
        let write = || {
            fs::create_dir_all(path.join("src/bin"))?;
            fs::write(path.join("Cargo.toml"), manifest)?;
            // The package uses the same versions as this workspace.
            fs::copy(peers.join("Cargo.lock"), path.join("Cargo.lock"))
        };
        write().expect("the package can be written");
        let package = Self(path);
        for (who, attribute) in ATTRIBUTES {
            for functions in [FEW, MANY] {
                package.write_program(who, attribute, functions);
            }
        }
        package
    }

    fn write_program(&self, who: &str, attribute: &str, functions: usize) {
        let path = format!("src/bin/{}.rs", program(who, functions));
        fs::write(self.0.join(path), source(attribute, functions))
            .expect("the program can be written");
    }

    /// Returns the seconds that each attribute takes to compile.
    fn compile(&self, profile: Profile) -> Measured<'static> {
        // This first build includes the dependencies.
        for (who, _) in ATTRIBUTES {
            self.build(&program(who, FEW), profile);
        }
        let mut rounds: [Vec<f64>; ATTRIBUTES.len()] = Default::default();
        for _ in 0..ROUNDS {
            let per_function = ATTRIBUTES.map(|(who, attribute)| {
                let of = |functions| {
                    // The source must be newer than the program built from it.
                    self.write_program(who, attribute, functions);
                    let before = stopwatch::busy_children();
                    self.build(&program(who, functions), profile);
                    (stopwatch::busy_children() - before).as_secs_f64()
                };
                (of(MANY) - of(FEW)) / (MANY - FEW) as f64
            });
            for (round, seconds) in rounds.iter_mut().zip(per_function) {
                round.push(seconds);
            }
        }
        let plain = rounds[0].clone();
        println!(
            "| | a function that is not annotated: {} | | | | |",
            time(median(plain.iter().copied()))
        );
        let added = ATTRIBUTES.iter().zip(&rounds).skip(1);
        let added = added.map(|((who, _), rounds)| {
            let added = rounds.iter().zip(&plain).map(|(it, plain)| it - plain);
            (*who, added.collect())
        });
        Measured::new(added.collect())
    }

    fn build(&self, program: &str, profile: Profile) {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut cargo = Command::new(cargo);
        cargo.args(["build", "--quiet", "--bin", program]);
        if let Profile::Release = profile {
            cargo.arg("--release");
        }
        let cargo = cargo
            .current_dir(&self.0)
            .env("CARGO_TARGET_DIR", self.0.join("target"))
            .env("CARGO_INCREMENTAL", "0")
            .env_remove("RUSTFLAGS");
        let status = cargo.status().expect("there is cargo");
        assert!(status.success(), "{program} cannot be built");
    }

    /// Returns the size of the section `.text` in the program.
    fn text(&self, program: &str) -> u64 {
        self.build(program, Profile::Release);
        let path = self.0.join("target/release").join(program);
        let size = Command::new("size").arg("-A").arg(path).output();
        let size = size.expect("there is `size`, of the binutils");
        let printed = String::from_utf8_lossy(&size.stdout);
        let mut lines = printed.lines().map(str::split_ascii_whitespace);
        let text = lines.find_map(|mut line| match line.next()? {
            ".text" => line.next()?.parse().ok(),
            _ => None,
        });
        text.expect("programs have code")
    }
}

fn program(who: &str, functions: usize) -> String {
    format!("{}_{functions}", who.replace([' ', '-'], "_"))
}

/// Returns the source of functions that wait for something like a call, and of a `main` that uses all of them.
fn source(attribute: &str, functions: usize) -> String {
    let mut source = String::from(
        "use std::future::{Future, poll_fn};\n\
         use std::hint::black_box;\n\
         use std::pin::Pin;\n\
         use std::task::{Context, Poll, Waker};\n\n\
         type Boxed = Pin<Box<dyn Future<Output = u64>>>;\n\n\
         fn wait(number: u64) -> impl Future<Output = u64> {\n\
         \x20   poll_fn(move |_| black_box(Poll::Ready(number)))\n\
         }\n\n",
    );
    for number in 0..functions {
        write!(
            source,
            "{attribute}\n\
             async fn function_{number}(argument: u64) -> u64 {{\n\
             \x20   let first = wait(argument + {number}).await;\n\
             \x20   first ^ wait(first.rotate_left({})).await\n\
             }}\n\n",
            number % 64,
        )
        .expect("strings take any text");
    }
    source.push_str("fn main() {\n    let mut all: Vec<Boxed> = Vec::new();\n");
    for number in 0..functions {
        writeln!(
            source,
            "    all.push(Box::pin(function_{number}({number})));"
        )
        .expect("strings take any text");
    }
    source.push_str(
        "    let mut cx = Context::from_waker(Waker::noop());\n\
         \x20   for future in &mut all {\n\
         \x20       let _ = black_box(future.as_mut().poll(&mut cx));\n\
         \x20   }\n}\n",
    );
    source
}

//! Finds out whether the compiler has what `src/capture/context.rs` hands on. Stable compilers do not, and are not asked:
//! to be asked takes as long as it takes to compile a few lines.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The items that are needed. If nightly changes them, the probe fails, and they are not used.
const PROBE: &str = "
#![feature(context_ext, local_waker)]
#![allow(dead_code)]

use std::task::{Context, ContextBuilder, Waker};

pub fn probe(cx: &mut Context<'_>, waker: &Waker) {
    let local = cx.local_waker();
    let _ = local.data() == waker.data() && local.vtable() == waker.vtable();
    let _ = ContextBuilder::from_waker(waker).local_waker(local).ext(cx.ext()).build();
}
";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(tasktrace_context_ext)");
    if is_nightly() && compiles(PROBE) {
        println!("cargo::rustc-cfg=tasktrace_context_ext");
    }
}

fn rustc() -> Command {
    let compiler = env::var_os("RUSTC").unwrap_or_else(|| OsString::from("rustc"));
    let wrapper = |name| env::var_os(name).filter(|wrapper| !wrapper.is_empty());
    let wrappers = ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"].into_iter();
    let mut words = wrappers.filter_map(wrapper).chain([compiler]);
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}

fn is_nightly() -> bool {
    let version = rustc().arg("--version").output();
    let version = version.map(|output| output.stdout).unwrap_or_default();
    let version = String::from_utf8_lossy(&version);
    version.contains("nightly") || version.contains("-dev")
}

fn compiles(code: &str) -> bool {
    let Some(out) = env::var_os("OUT_DIR") else {
        return false;
    };
    let file = Path::new(&out).join("probe.rs");
    if fs::write(&file, code).is_err() {
        return false;
    }
    let mut command = rustc();
    command.args(["--edition=2024", "--crate-type=lib", "--crate-name=probe"]);
    command.args(["--emit=metadata", "--cap-lints=allow", "--out-dir"]);
    command.arg(&out);
    if let Some(target) = env::var_os("TARGET") {
        command.arg("--target").arg(target);
    }
    // Those of the user may forbid features.
    if let Ok(flags) = env::var("CARGO_ENCODED_RUSTFLAGS") {
        command.args(flags.split('\u{1f}').filter(|flag| !flag.is_empty()));
    }
    let status = command
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

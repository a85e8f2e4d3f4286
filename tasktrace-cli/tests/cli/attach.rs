//! Sockets: where they are, who may use them, and what becomes of them.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use crate::support::{Ended, Runtime, chmod, example, is_root};

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").mode() & 0o7777
}

fn sockets(runtime: &Runtime) -> Vec<String> {
    let entries = fs::read_dir(runtime.place()).expect("it is there");
    let names = entries.map(|entry| entry.expect("it can be read").file_name());
    let mut names: Vec<_> = names
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.retain(|name| name != "lock");
    names.sort();
    names
}

#[test]
fn it_is_for_its_owner_only() {
    let runtime = Runtime::new();
    // Whatever it takes from what it creates, or leaves to it.
    for mask in [0, 0o777] {
        let program = runtime.start_with(&["attach"], |command| {
            let set = move || {
                // SAFETY: it takes no pointer.
                unsafe { libc::umask(mask) };
                Ok(())
            };
            // SAFETY: that may be done between `fork` and `exec`.
            unsafe { command.pre_exec(set) };
        });
        let socket = runtime.place().join(format!("{}.sock", program.id()));
        match program.said[0].strip_prefix("error: ") {
            // It cannot even use its own directory.
            Some(error) => assert!(mask == 0o777 && !is_root(), "{error}"),
            None => {
                assert_eq!(program.said, [socket.display().to_string()]);
                assert!(
                    fs::metadata(&socket)
                        .expect("it is there")
                        .file_type()
                        .is_socket()
                );
                assert_eq!(mode(&socket), 0o600);
            }
        }
        if mask == 0 {
            assert_eq!(mode(&runtime.place()), 0o700);
            assert_eq!(mode(&runtime.place().join("lock")), 0o600);
        }
        program.ends_well();
        let _ = fs::remove_dir_all(runtime.place());
    }
}

#[test]
fn it_goes_with_the_last_guard_and_when_the_process_exits() {
    let runtime = Runtime::new();
    let program = runtime.start(&["attach", "attach", "detach"]);
    assert_eq!(sockets(&runtime), [format!("{}.sock", program.id())]);
    // Twice the same.
    assert_eq!(program.said[0], program.said[1]);
    program.ends_well();
    assert_eq!(sockets(&runtime), [""; 0]);

    let program = runtime.start(&["attach", "detach"]);
    assert_eq!(sockets(&runtime), [""; 0]);
    program.ends_well();

    // And it can be there again.
    let program = runtime.start(&["attach", "detach", "attach", "exits"]);
    assert_eq!(sockets(&runtime), [format!("{}.sock", program.id())]);
    program.ends_well();
    assert_eq!(sockets(&runtime), [""; 0]);
}

#[test]
fn what_is_left_behind_is_removed_by_the_next_process() {
    let runtime = Runtime::new();
    let killed = runtime.start(&["attach"]);
    let left = format!("{}.sock", killed.id());
    killed.kill();
    assert_eq!(sockets(&runtime), [left]);
    let program = runtime.start(&["attach"]);
    assert_eq!(sockets(&runtime), [format!("{}.sock", program.id())]);
    program.ends_well();
}

#[test]
fn what_is_left_behind_is_removed_by_whoever_asks() {
    let runtime = Runtime::new();
    let killed = runtime.start(&["attach"]);
    let pid = killed.pid();
    killed.kill();
    let ended = runtime.run(&["dump", &pid]);
    ended.failed(3, &["there is no process", "which has been removed"]);
    assert_eq!(sockets(&runtime), [""; 0]);
    // And is not told of again.
    let ended = runtime.run(&["dump", &pid]);
    ended.failed(3, &["there is no process"]);
    assert!(!ended.stderr.contains("removed"), "{}", ended.stderr);

    let killed = runtime.start(&["attach"]);
    let live = runtime.start(&["attach"]);
    let expected = format!("{}.sock", live.id());
    killed.kill();
    let listed = runtime.ask(&["ps"]);
    assert!(listed.contains(&live.pid()), "{listed}");
    assert_eq!(sockets(&runtime), [expected]);
}

/// Somebody listens: it does not matter whether there is such a process in this container.
#[test]
fn what_is_listened_to_is_never_removed() {
    let runtime = Runtime::new();
    // Which makes the directory.
    runtime.start(&["attach"]).ends_well();
    let path = runtime.place().join("4294967295.sock");
    let _listener = UnixListener::bind(&path).expect("it can be bound");
    runtime.start(&["attach"]).ends_well();
    runtime.run(&["ps"]);
    assert!(path.exists());
}

/// A process that had the same number has left a socket behind, or a process in another container has
/// it.
#[test]
fn a_name_that_is_taken() {
    for (is_live, expected) in [(false, "/"), (true, "error: another process listens to")] {
        let runtime = Runtime::new();
        fs::create_dir(runtime.place()).expect("it can be created");
        chmod(&runtime.place(), 0o700);
        let place = runtime.place();
        let mut listener = None;
        let program = runtime.start_with(&["attach"], |command| {
            let bind = move || {
                let path = place.join(format!("{}.sock", std::process::id()));
                let bound = UnixListener::bind(path)?;
                if is_live {
                    listener = Some(bound);
                }
                // The descriptor is closed by `exec`, unless it is made to stay.
                if let Some(listener) = &listener {
                    use std::os::fd::AsRawFd;
                    // SAFETY: it takes numbers.
                    unsafe { libc::fcntl(listener.as_raw_fd(), libc::F_SETFD, 0) };
                }
                Ok(())
            };
            // SAFETY: there is one thread that allocates there.
            unsafe { command.pre_exec(bind) };
        });
        assert!(program.said[0].starts_with(expected), "{:?}", program.said);
        program.ends_well();
    }
}

#[test]
fn links_are_refused() {
    let runtime = Runtime::new();
    let elsewhere = runtime.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("it can be created");
    chmod(&elsewhere, 0o700);
    symlink(&elsewhere, runtime.place()).expect("it can be created");
    let program = runtime.start(&["attach"]);
    assert!(program.said[0].starts_with("error: "), "{:?}", program.said);
    assert!(
        program.said[0].contains("symbolic link"),
        "{:?}",
        program.said
    );
    assert_eq!(fs::read_dir(&elsewhere).expect("it is there").count(), 0);

    // Nor does whoever asks.
    let socket = elsewhere.join(format!("{}.sock", program.id()));
    let _listener = UnixListener::bind(&socket).expect("it can be bound");
    let ended = runtime.run(&["dump", &program.pid()]);
    ended.failed(5, &["symbolic link"]);
    program.ends_well();

    // A link in the place of a socket.
    fs::remove_file(runtime.place()).expect("it is there");
    let program = runtime.start(&["attach", "detach"]);
    let path = runtime.place().join(format!("{}.sock", program.id()));
    symlink(&socket, &path).expect("it can be created");
    runtime
        .run(&["dump", &program.pid()])
        .failed(5, &["is no socket"]);
    assert!(path.is_symlink());
}

#[test]
fn directories_of_others_are_refused() {
    let runtime = Runtime::new();
    fs::create_dir(runtime.place()).expect("it can be created");
    for mode in [0o755, 0o770, 0o777] {
        chmod(&runtime.place(), mode);
        let program = runtime.start(&["attach"]);
        let expected = format!("mode {mode:04o}");
        assert!(program.said[0].contains(&expected), "{:?}", program.said);
        let ended = runtime.run(&["dump", &program.pid()]);
        ended.failed(5, &["lets nobody attach", &expected]);
        program.ends_well();
    }
    if is_root() {
        chmod(&runtime.place(), 0o700);
        std::os::unix::fs::chown(runtime.place(), Some(65534), None).expect("root may");
        let program = runtime.start(&["attach"]);
        let expected = "belongs to the user with the number 65534";
        assert!(program.said[0].contains(expected), "{:?}", program.said);
        program.ends_well();
    }
}

/// Without a directory of its own, or with one that others can write to, there is another.
#[test]
fn where_it_is() {
    let runtime = Runtime::new();
    let open = runtime.path().join("open");
    fs::create_dir(&open).expect("it can be created");
    chmod(&open, 0o777);
    // SAFETY: it takes nothing.
    let user = unsafe { libc::geteuid() };
    let fallbacks = [
        PathBuf::from(format!("/run/user/{user}/tasktrace")),
        runtime.path().join(format!("tasktrace-{user}")),
    ];
    for named in [
        None,
        Some(Path::new("relative")),
        Some(Path::new("/missing")),
        Some(&open),
    ] {
        let program = runtime.start_with(&["attach"], |command| {
            match named {
                Some(path) => command.env("XDG_RUNTIME_DIR", path),
                None => command.env_remove("XDG_RUNTIME_DIR"),
            };
        });
        let path = Path::new(&program.said[0]);
        let place = path.parent().expect("it is in a directory").to_owned();
        assert!(fallbacks.contains(&place), "{named:?}: {path:?}");
        assert_eq!((mode(&place), mode(path)), (0o700, 0o600));
        // It is found from where there is another directory.
        let dump = runtime.ask(&["dump", &program.pid()]);
        assert!(dump.contains("no traced tasks"), "{dump}");
        program.ends_well();
    }
    assert_eq!(fs::read_dir(&open).expect("it is there").count(), 0);
}

#[test]
fn by_attribute_and_environment() {
    let runtime = Runtime::new();
    for (words, value, expected) in [
        (&["start"][..], None, 0),
        (&["start"], Some(""), 0),
        (&["start"], Some("0"), 0),
        (&["start"], Some("1"), 1),
        (&["start", "start"], Some("true"), 1),
        (&["start", "start attach"], None, 1),
        (&["start", "start attach"], Some("1"), 1),
        (&["start", "start attach"], Some("0"), 0),
        (&["start", "start attach"], Some("off"), 0),
    ] {
        let program = runtime.start_with(words, |command| {
            command.envs(value.map(|value| ("TASKTRACE_ATTACH", value)));
        });
        assert_eq!(sockets_or_none(&runtime), expected, "{words:?} {value:?}");
        program.ends_well();
        assert_eq!(sockets_or_none(&runtime), 0, "{words:?} {value:?}");
    }
}

#[test]
fn main_with_the_attribute() {
    let runtime = Runtime::new();
    let program = runtime.start_other(&example("attached_main"));
    let dump = runtime.ask(&["dump", &program.pid()]);
    assert!(dump.starts_with("1 task: 1 running"), "{dump}");
    assert!(dump.contains("attached_main::main"), "{dump}");
    program.ends_well();
    assert_eq!(sockets(&runtime), [""; 0]);
}

fn sockets_or_none(runtime: &Runtime) -> usize {
    match runtime.place().exists() {
        true => sockets(runtime).len(),
        false => 0,
    }
}

/// Those that can reach the socket are asked for who they are. Only root can try.
#[test]
fn peers_are_checked() {
    if !is_root() {
        return;
    }
    let runtime = Runtime::new();
    let program = runtime.start(&["attach"]);
    let socket = runtime.place().join(format!("{}.sock", program.id()));
    let address = format!("unix:{}", socket.display());
    let cli = runtime.path().join("cli");
    fs::copy(crate::support::CLI, &cli).expect("it can be copied");
    let as_nobody = || {
        let arguments = ["dump", "--addr", &address];
        let mut command = std::process::Command::new(&cli);
        let output = command.args(arguments).uid(65534).gid(65534).output();
        Ended::of(output, &arguments)
    };
    chmod(runtime.path(), 0o755);
    // The directory keeps them out.
    as_nobody().failed(4, &["ermission"]);
    chmod(&runtime.place(), 0o755);
    // So does the socket.
    as_nobody().failed(4, &["ermission"]);
    chmod(&socket, 0o666);
    as_nobody().failed(6, &["hung up"]);
    // It is still there for us.
    runtime.ask(&["dump", "--addr", &address]);
    program.ends_well();
}

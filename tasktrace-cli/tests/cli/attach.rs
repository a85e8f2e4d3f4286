//! Tests the sockets of processes: their places, their permissions, and their removal.

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
fn the_socket_is_accessible_to_its_owner_only() {
    let runtime = Runtime::new();
    // The result is the same for each umask.
    for mask in [0, 0o777] {
        let program = runtime.start_with(&["attach"], |command| {
            let set = move || {
                // SAFETY: `umask` takes an integer and no pointer.
                unsafe { libc::umask(mask) };
                Ok(())
            };
            // SAFETY: the closure only calls `umask`, which is async-signal-safe and therefore allowed between `fork`
            // and `exec`.
            unsafe { command.pre_exec(set) };
        });
        let socket = runtime.place().join(format!("{}.sock", program.id()));
        match program.said[0].strip_prefix("error: ") {
            // With this umask the process cannot use the directory that it has created.
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
fn the_socket_is_removed_with_the_last_guard_or_the_process() {
    let runtime = Runtime::new();
    let program = runtime.start(&["attach", "attach", "detach"]);
    assert_eq!(sockets(&runtime), [format!("{}.sock", program.id())]);
    // Both guards share the socket.
    assert_eq!(program.said[0], program.said[1]);
    program.ends_well();
    assert_eq!(sockets(&runtime), [""; 0]);

    let program = runtime.start(&["attach", "detach"]);
    assert_eq!(sockets(&runtime), [""; 0]);
    program.ends_well();

    // The socket can be created again.
    let program = runtime.start(&["attach", "detach", "attach", "exits"]);
    assert_eq!(sockets(&runtime), [format!("{}.sock", program.id())]);
    program.ends_well();
    assert_eq!(sockets(&runtime), [""; 0]);
}

#[test]
fn the_socket_of_a_killed_process_is_removed_by_the_next_process() {
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
fn the_socket_of_a_killed_process_is_removed_by_the_command() {
    let runtime = Runtime::new();
    let killed = runtime.start(&["attach"]);
    let pid = killed.pid();
    killed.kill();
    let ended = runtime.run(&["dump", &pid]);
    ended.failed(3, &["there is no process", "which has been removed"]);
    assert_eq!(sockets(&runtime), [""; 0]);
    // A second command finds no socket to remove.
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

/// The process that listens may be in another container, so its number may be unknown here.
#[test]
fn a_socket_with_a_listener_is_never_removed() {
    let runtime = Runtime::new();
    // This process creates the directory.
    runtime.start(&["attach"]).ends_well();
    let path = runtime.place().join("4294967295.sock");
    let _listener = UnixListener::bind(&path).expect("it can be bound");
    runtime.start(&["attach"]).ends_well();
    runtime.run(&["ps"]);
    assert!(path.exists());
}

/// A former process with the same number has left its socket behind, or a process in another container with the same
/// number uses it.
#[test]
fn a_taken_socket_is_replaced_if_stale_and_an_error_if_live() {
    for (is_live, expected) in [(false, "/"), (true, "error: another process listens on")] {
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
                // Without this flag, the descriptor stays open across `exec`.
                if let Some(listener) = &listener {
                    use std::os::fd::AsRawFd;
                    // SAFETY: `fcntl` with `F_SETFD` takes integers, and the descriptor is open.
                    unsafe { libc::fcntl(listener.as_raw_fd(), libc::F_SETFD, 0) };
                }
                Ok(())
            };
            // SAFETY: the closure allocates between `fork` and `exec`, which glibc and musl support in the child of
            // `fork`.
            unsafe { command.pre_exec(bind) };
        });
        assert!(program.said[0].starts_with(expected), "{:?}", program.said);
        program.ends_well();
    }
}

#[test]
fn symbolic_links_are_refused() {
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

    // The command refuses the link as well.
    let socket = elsewhere.join(format!("{}.sock", program.id()));
    let _listener = UnixListener::bind(&socket).expect("it can be bound");
    let ended = runtime.run(&["flame", &program.pid()]);
    ended.failed(5, &["symbolic link"]);
    program.ends_well();

    // A link is in the place of the socket.
    fs::remove_file(runtime.place()).expect("it is there");
    let program = runtime.start(&["attach", "detach"]);
    let path = runtime.place().join(format!("{}.sock", program.id()));
    symlink(&socket, &path).expect("it can be created");
    runtime
        .run(&["flame", &program.pid()])
        .failed(5, &["is not a socket"]);
    assert!(path.is_symlink());
}

#[test]
fn directories_that_others_can_access_are_refused() {
    let runtime = Runtime::new();
    fs::create_dir(runtime.place()).expect("it can be created");
    for mode in [0o755, 0o770, 0o777] {
        chmod(&runtime.place(), mode);
        let program = runtime.start(&["attach"]);
        let expected = format!("mode {mode:04o}");
        assert!(program.said[0].contains(&expected), "{:?}", program.said);
        let ended = runtime.run(&["flame", &program.pid()]);
        ended.failed(5, &["does not let other programs attach", &expected]);
        program.ends_well();
    }
    if is_root() {
        chmod(&runtime.place(), 0o700);
        std::os::unix::fs::chown(runtime.place(), Some(65534), None).expect("root may");
        let program = runtime.start(&["attach"]);
        let expected = "belongs to the user with the ID 65534";
        assert!(program.said[0].contains(expected), "{:?}", program.said);
        program.ends_well();
    }
}

/// The directory of the environment is missing, relative, or writable by others.
#[test]
fn an_unusable_runtime_directory_falls_back_to_another() {
    let runtime = Runtime::new();
    let open = runtime.path().join("open");
    fs::create_dir(&open).expect("it can be created");
    chmod(&open, 0o777);
    // SAFETY: `geteuid` has no arguments, reads no memory of this process, and always succeeds.
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
        // A command with another runtime directory finds the socket all the same.
        let dump = runtime.ask(&["dump", &program.pid()]);
        assert!(dump.contains("no traced tasks"), "{dump}");
        program.ends_well();
    }
    assert_eq!(fs::read_dir(&open).expect("it is there").count(), 0);
}

#[test]
fn attribute_and_environment_decide_about_the_socket() {
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
        assert_eq!(count_sockets(&runtime), expected, "{words:?} {value:?}");
        program.ends_well();
        assert_eq!(count_sockets(&runtime), 0, "{words:?} {value:?}");
    }
}

#[test]
fn main_with_the_attribute_attach_has_a_socket() {
    let runtime = Runtime::new();
    let program = runtime.start_other(&example("attached_main"));
    let dump = runtime.ask(&["dump", &program.pid()]);
    assert!(dump.starts_with("1 task: 1 running"), "{dump}");
    assert!(dump.contains("attached_main::main"), "{dump}");
    program.ends_well();
    assert_eq!(sockets(&runtime), [""; 0]);
}

fn count_sockets(runtime: &Runtime) -> usize {
    match runtime.place().exists() {
        true => sockets(runtime).len(),
        false => 0,
    }
}

/// The process checks the user of each peer that reaches the socket. Only root can run this test.
#[test]
fn peers_of_other_users_are_disconnected() {
    if !is_root() {
        return;
    }
    let runtime = Runtime::new();
    let program = runtime.start(&["attach"]);
    let socket = runtime.place().join(format!("{}.sock", program.id()));
    let address = format!("unix:{}", socket.display());
    let cli = runtime.copy_of_cli();
    let as_nobody = || {
        let arguments = ["dump", "--addr", &address];
        let mut command = std::process::Command::new(&cli);
        let output = command.args(arguments).uid(65534).gid(65534).output();
        Ended::of(output, &arguments)
    };
    chmod(runtime.path(), 0o755);
    // The permissions of the directory keep the other user out.
    as_nobody().failed(4, &["ermission"]);
    chmod(&runtime.place(), 0o755);
    // The permissions of the socket keep the other user out.
    as_nobody().failed(4, &["ermission"]);
    chmod(&socket, 0o666);
    as_nobody().failed(6, &["closed the connection"]);
    // The socket still works for its owner.
    runtime.ask(&["dump", "--addr", &address]);
    program.ends_well();
}

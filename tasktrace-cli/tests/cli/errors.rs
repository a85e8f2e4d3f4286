//! Tests that each error has its exit code, names its cause, and says what to do.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use crate::support::{Ended, Runtime, chmod, is_root};

#[test]
fn a_missing_process_exits_with_3() {
    let runtime = Runtime::new();
    let mut child = std::process::Command::new("true")
        .spawn()
        .expect("it is everywhere");
    child.wait().expect("it is our child");
    let pid = child.id().to_string();
    for command in ["ps", "dump", "top", "flame", "profile"] {
        let ended = runtime.run(&[command, &pid]);
        ended.failed(3, &["there is no process", "tasktrace ps"]);
    }
    let ended = runtime.run(&["dump", "--json", &pid]);
    ended.failed(3, &[]);
    let error: serde_json::Value = serde_json::from_str(&ended.stderr).expect("it is JSON");
    assert_eq!(error["error"]["code"], 3);
    assert_eq!(error["error"]["kind"], "no_such_process");
}

#[test]
fn without_a_process_to_attach_to_the_message_says_that_a_pid_helps() {
    let runtime = Runtime::new();
    let none = "no process of this user lets other programs attach";
    let ended = runtime.run(&["dump"]);
    ended.failed(
        5,
        &[none, "feature `attach`", "name the PID of any process"],
    );
    let ended = runtime.run(&["ps"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for part in [none, "tasktrace ps PID reads the memory"] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
}

#[test]
fn inspect_of_a_number_that_no_process_can_have_exits_with_3() {
    let runtime = Runtime::new();
    for number in ["4000000000", "99999999999999999999"] {
        let ended = runtime.run(&["inspect", number]);
        ended.failed(3, &["there is no process", number]);
    }
}

#[test]
fn a_process_that_cannot_be_attached_to_exits_with_5() {
    let runtime = Runtime::new();
    let program = runtime.start(&[]);
    let ended = runtime.run(&["flame", &program.pid()]);
    let parts = [
        "does not let other programs attach",
        "feature `attach`",
        "TASKTRACE_ATTACH=1",
        "--addr",
    ];
    ended.failed(5, &parts);
}

/// Attaches to a process of another user. If the tests run as root, they attach as the user `nobody`.
#[test]
fn a_process_of_another_user_exits_with_4() {
    let runtime = Runtime::new();
    let cli = runtime.copy_of_cli();
    chmod(runtime.path(), 0o755);
    let mut command = std::process::Command::new(&cli);
    if is_root() {
        command.uid(65534).gid(65534);
    }
    // The program must not find a directory of root's in the usual place.
    command.env("TMPDIR", runtime.path());
    let ended = Ended::of(command.args(["dump", "1"]).output(), &["dump", "1"]);
    ended.failed(4, &["user", "root"]);
}

#[test]
fn a_socket_without_permission_exits_with_4() {
    if is_root() {
        // Root may use every socket.
        return;
    }
    let runtime = Runtime::new();
    let program = runtime.start(&["attach"]);
    chmod(program.said[0].as_ref(), 0);
    runtime
        .run(&["dump", &program.pid()])
        .failed(4, &["ermission"]);
}

#[test]
fn a_stopped_process_exits_with_6_after_the_timeout() {
    let runtime = Runtime::new();
    let program = runtime.start(&["attach"]);
    program.send(libc::SIGSTOP);
    let ended = runtime.run(&["dump", &program.pid(), "--timeout", "300ms"]);
    ended.failed(6, &["no answer from process", "within 300ms", "--timeout"]);
    // `ps` lists the process with the error, beside the others.
    let list = runtime.ask_json(&["ps", "--json"]);
    let processes = list["processes"].as_array().expect("it is a list");
    let ours = processes.iter().find(|it| it["pid"] == program.id());
    let error = ours.expect("it is listed")["error"]
        .as_str()
        .expect("there is one");
    assert!(error.contains("no answer"), "{error}");
    program.send(libc::SIGCONT);
    runtime.ask(&["dump", &program.pid()]);
    program.ends_well();
}

/// A server accepts the connection and sends nothing.
#[test]
fn a_silent_server_exits_with_6() {
    let runtime = Runtime::new();
    let path = runtime.path().join("silent");
    let _listener = UnixListener::bind(&path).expect("it can be bound");
    let address = format!("unix:{}", path.display());
    let ended = runtime.run(&["dump", "--addr", &address, "--timeout", "0.2"]);
    ended.failed(6, &["no answer"]);
}

#[test]
fn an_address_without_a_listener_exits_with_6() {
    let runtime = Runtime::new();
    let free = TcpListener::bind("127.0.0.1:0").expect("it can be bound");
    let address = format!("http://{}", free.local_addr().expect("it is bound"));
    drop(free);
    let ended = runtime.run(&["dump", "--addr", &address]);
    ended.failed(6, &["no server listens at", &address]);
    let ended = runtime.run(&["dump", "--addr", "unix:/nowhere"]);
    ended.failed(6, &["no server listens at /nowhere"]);
}

#[test]
fn answers_of_other_servers_are_errors() {
    let runtime = Runtime::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("it can be bound");
    let address = format!("http://{}", listener.local_addr().expect("it is bound"));
    let answers = [
        "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>",
        "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\nno",
        "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy",
        "SSH-2.0\r\n",
    ];
    let server = std::thread::spawn(move || {
        use std::io::{Read, Write};
        for answer in answers {
            let (mut stream, _) = listener.accept().expect("it connects");
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let ask = || runtime.run(&["ps", "--addr", &address]);
    ask().failed(1, &["is it tasktrace"]);
    ask().failed(1, &["404 Not Found: no", "does not know the path"]);
    ask().failed(4, &["401", "--token"]);
    ask().failed(6, &["is busy", "busy", "try again"]);
    ask().failed(6, &["closed the connection"]);
    server.join().expect("it answers all of them");
}

#[test]
fn wrong_arguments_exit_with_2() {
    let runtime = Runtime::new();
    for arguments in [
        &[][..],
        &["nonsense"],
        &["dump", "0"],
        &["dump", "shop"],
        &["dump", "1", "--pid", "2"],
        &["dump", "--folded", "--json", "1"],
        &["dump", "--addr", "https://localhost"],
        &["dump", "--addr", "ftp://localhost"],
        &["profile", "--seconds", "0", "1"],
        &["profile", "--format", "png", "1"],
        &["top", "-n", "1", "1"],
    ] {
        let ended = runtime.run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        assert!(!ended.stderr.is_empty());
    }
    let ended = runtime.run(&["dump", "--addr", "https://localhost"]);
    ended.failed(2, &["plain HTTP", "ssh -L"]);
    let program = runtime.start(&["attach"]);
    runtime
        .run(&["top", &program.pid()])
        .failed(2, &["needs a terminal", "tasktrace ps"]);
}

#[test]
fn a_file_that_cannot_be_written_exits_with_1() {
    let runtime = Runtime::new();
    let program = runtime.start(&["attach"]);
    let ended = runtime.run(&["dump", &program.pid(), "-o", "/missing/dump.txt"]);
    ended.failed(1, &["/missing/dump.txt cannot be written"]);
}

/// A reader such as `head` closes the pipe early, which is no error.
#[test]
fn a_closed_pipe_is_no_error() {
    let runtime = Runtime::new();
    let program = runtime.start(&["attach", "tasks"]);
    for arguments in [
        &["dump", &program.pid()][..],
        &["ps"],
        &["--help"],
        &["completions", "zsh"],
    ] {
        let (reader, writer) = std::io::pipe().expect("it can be made");
        drop(reader);
        let output = runtime
            .command(arguments)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output();
        let ended = Ended::of(output, arguments);
        assert_eq!((ended.code, &*ended.stderr), (Some(0), ""), "{arguments:?}");
    }
}

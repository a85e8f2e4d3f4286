//! What is wrong, the exit code of it, and what to do.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use crate::support::{CLI, Ended, Runtime, chmod, is_root};

#[test]
fn no_such_process() {
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
fn not_instrumented() {
    let runtime = Runtime::new();
    let program = runtime.start(&[]);
    let ended = runtime.run(&["dump", &program.pid()]);
    let parts = [
        "lets nobody attach",
        "feature `attach`",
        "TASKTRACE_ATTACH=1",
        "--addr",
    ];
    ended.failed(5, &parts);
}

/// Of another user: for root, a process of nobody's is not.
#[test]
fn no_permission() {
    let runtime = Runtime::new();
    let cli = runtime.path().join("cli");
    std::fs::copy(CLI, &cli).expect("it can be copied");
    chmod(runtime.path(), 0o755);
    let mut command = std::process::Command::new(&cli);
    if is_root() {
        command.uid(65534).gid(65534);
    }
    // Where there is a directory of root's, that is what may not be looked into.
    command.env("TMPDIR", runtime.path());
    let ended = Ended::of(command.args(["dump", "1"]).output(), &["dump", "1"]);
    ended.failed(4, &["user", "root"]);
}

#[test]
fn a_socket_that_may_not_be_used() {
    if is_root() {
        // Who may use all of them.
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
fn no_answer() {
    let runtime = Runtime::new();
    let program = runtime.start(&["attach"]);
    program.send(libc::SIGSTOP);
    let ended = runtime.run(&["dump", &program.pid(), "--timeout", "300ms"]);
    ended.failed(6, &["no answer from process", "within 300ms", "--timeout"]);
    // In a list, it is one of several.
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

/// Somebody who accepts, and says nothing.
#[test]
fn silence() {
    let runtime = Runtime::new();
    let path = runtime.path().join("silent");
    let _listener = UnixListener::bind(&path).expect("it can be bound");
    let address = format!("unix:{}", path.display());
    let ended = runtime.run(&["dump", "--addr", &address, "--timeout", "0.2"]);
    ended.failed(6, &["no answer"]);
}

#[test]
fn nobody_there() {
    let runtime = Runtime::new();
    let free = TcpListener::bind("127.0.0.1:0").expect("it can be bound");
    let address = format!("http://{}", free.local_addr().expect("it is bound"));
    drop(free);
    let ended = runtime.run(&["dump", "--addr", &address]);
    ended.failed(6, &["nobody listens at", &address]);
    let ended = runtime.run(&["dump", "--addr", "unix:/nowhere"]);
    ended.failed(6, &["nobody listens at /nowhere"]);
}

#[test]
fn something_else() {
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
    ask().failed(1, &["404 Not Found: no", "is the path right"]);
    ask().failed(4, &["401", "--token"]);
    ask().failed(6, &["is busy", "busy", "try again"]);
    ask().failed(6, &["hung up"]);
    server.join().expect("it answers all of them");
}

#[test]
fn wrong_commands() {
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
fn a_file_that_cannot_be_written() {
    let runtime = Runtime::new();
    let program = runtime.start(&["attach"]);
    let ended = runtime.run(&["dump", &program.pid(), "-o", "/missing/dump.txt"]);
    ended.failed(1, &["/missing/dump.txt cannot be written"]);
}

/// Who reads the beginning is not told that the rest was not read.
#[test]
fn nobody_reads() {
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

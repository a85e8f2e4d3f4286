//! Tests samples of threads that are blocked in calls of the C library, on file descriptors.

use std::fs::File;
use std::io::{PipeReader, Read as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd as _, OwnedFd};

use tasktrace_tests::sampled::Site;

use crate::blocked::check;

#[test]
fn a_read_from_a_pipe_is_shown() {
    async fn reads(site: Site, mut pipe: PipeReader) {
        let mut bytes = [0; 16];
        site.next(line!());
        let _ = pipe.read(&mut bytes);
    }
    let (reader, writer) = std::io::pipe().unwrap();
    // The standard library reads pipes and other descriptors with one function.
    check("C read", reads, reader, || drop(writer));
}

#[test]
fn a_read_from_a_file_is_shown() {
    async fn reads(site: Site, mut file: File) {
        let mut bytes = [0; 16];
        site.next(line!());
        let _ = file.read(&mut bytes);
    }
    let (reader, writer) = std::io::pipe().unwrap();
    let file = File::from(OwnedFd::from(reader));
    check("std::fs::File::read", reads, file, || drop(writer));
}

#[test]
fn a_read_from_a_socket_is_shown() {
    async fn reads(site: Site, mut stream: TcpStream) {
        let mut bytes = [0; 16];
        site.next(line!());
        let _ = stream.read(&mut bytes);
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    // The standard library reads all kinds of sockets with one function.
    check("C recv", reads, stream, || drop(listener.accept()));
}

#[test]
fn a_call_of_the_c_library_is_shown() {
    async fn calls(site: Site, pipe: PipeReader) {
        let (descriptor, mut byte) = (pipe.as_raw_fd(), 0_u8);
        let byte = (&raw mut byte).cast();
        site.next(line!() + 1);
        // SAFETY: the call writes at most one byte, to a variable that is alive until the call returns.
        unsafe { libc::read(descriptor, byte, 1) };
    }
    let (reader, writer) = std::io::pipe().unwrap();
    check("C read", calls, reader, || drop(writer));
}

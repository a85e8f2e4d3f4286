//! Tests that need no signal. The tests that send signals are in `tests/`, in processes of their own.

use super::*;

#[test]
fn options_have_defaults_and_setters() {
    let default = DumpOnSignal::from(());
    assert_eq!(default.signal, signal::DEFAULT);
    assert!(matches!(default.output, Output::Stderr));
    assert_eq!(default.budget, Duration::from_secs(2));

    let all = DumpOnSignal::from(12)
        .to_file("dump.json")
        .budget(Duration::ZERO);
    assert_eq!(all.signal, 12);
    assert!(matches!(&all.output, Output::File(path) if path.as_os_str() == "dump.json"));
    assert_eq!(all.budget, Duration::ZERO);
    assert!(matches!(all.to_stderr().output, Output::Stderr));
}

#[cfg(unix)]
mod unix {
    use std::io;

    use super::*;

    #[test]
    fn a_signal_is_parsed_from_its_name_or_number() {
        let signal = |name: &str| name.parse::<DumpOnSignal>().map(|options| options.signal);
        assert!(matches!(signal("SIGUSR2"), Ok(libc::SIGUSR2)));
        assert!(matches!(signal("15"), Ok(libc::SIGTERM)));
        let error = signal("SIGKILL").expect_err("it cannot be handled");
        assert_eq!(
            error.to_string(),
            "`SIGKILL` is not a signal that a program can handle: \
             use the name or the number of a signal, such as SIGUSR1"
        );
    }

    /// None of these calls changes the state of the process.
    #[test]
    fn unsuitable_signals_are_errors_and_change_nothing() {
        for signal in [
            libc::SIGKILL,
            libc::SIGSTOP,
            libc::SIGTSTP,
            libc::SIGSEGV,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGILL,
            libc::SIGABRT,
            libc::SIGTRAP,
            libc::SIGPIPE,
            0,
            -1,
            1000,
            i32::MAX,
            i32::MIN,
        ] {
            let error = dump_on_signal(signal).expect_err("it cannot be handled");
            assert!(
                matches!(error, DumpOnSignalError::CannotBeHandled { signal: of } if of == signal),
                "{error:?}"
            );
            assert!(
                error
                    .to_string()
                    .ends_with("use another signal, such as SIGUSR1")
            );
            assert_eq!(io::Error::from(error).kind(), io::ErrorKind::InvalidInput);
        }
        assert!(OPTIONS.values().is_empty());
        assert!(!self_pipe::SignalReceiver::is_open());
    }
}

//! Tests that a verdict about a blocked thread names the function of the standard library and its caller.

use std::sync::{Condvar, Mutex, mpsc};
use std::thread;

use tasktrace_crates::HOUR;

macro_rules! blocks {
    ($($test:ident($operation:literal) $body:block)*) => {$(
        mod $test {
            use super::*;

            #[test]
            fn the_verdict_names_the_blocking_function_and_its_caller() {
                let text = crate::verdicts::hang(module_path!());
                let verdict = crate::verdicts::verdict(&text);
                let start = concat!("the test's thread is blocked in ", $operation, ", called by ");
                let subject = verdict.strip_prefix(start).unwrap_or_else(|| panic!("{text}"));
                let place = crate::verdicts::after_fetch(subject, module_path!());
                let place = place.and_then(|place| place.strip_prefix(" at "));
                let place = place.and_then(|place| place.split_once(", for "));
                let (place, _) = place.unwrap_or_else(|| panic!("{verdict}"));
                let (file, line) = place.rsplit_once(':').expect("it has a line");
                assert!(file!().ends_with(file) && line.parse::<u32>().is_ok(), "{verdict}");
            }

            #[tasktrace::test(timeout = "2s")]
            async fn hangs() {
                if crate::verdicts::is_wanted() {
                    fetch().await;
                }
            }

            async fn fetch() $body
        }
    )*};
}

blocks! {
    joins("std::thread::JoinHandle::join") {
        let thread = thread::spawn(|| loop { thread::park() });
        let _ = thread.join();
    }

    sleeps("std::thread::sleep") {
        thread::sleep(HOUR);
    }

    parks("std::thread::park") {
        loop { thread::park() }
    }

    locks("std::sync::Mutex::lock") {
        let mutex: &'static Mutex<()> = Box::leak(Box::new(Mutex::new(())));
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let _guard = mutex.lock();
            tell.send(()).unwrap();
            loop { thread::park() }
        });
        told.recv().unwrap();
        drop(mutex.lock());
    }

    waits("std::sync::Condvar::wait") {
        let (mutex, condvar) = (Mutex::new(()), Condvar::new());
        let mut guard = mutex.lock().unwrap();
        loop { guard = condvar.wait(guard).unwrap(); }
    }
}

// Debug information with lines only shows that the thread parks, and not that it receives.
#[cfg(debug_assertions)]
blocks! {
    receives("std::sync::mpsc::Receiver::recv") {
        let (_sender, receiver) = mpsc::channel::<()>();
        let _ = receiver.recv();
    }
}

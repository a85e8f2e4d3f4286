//! Tests samples on Windows, where a thread is suspended instead of interrupted by a signal.

use tasktrace::{NoSample, TraceError};
use tasktrace_tests::sampled::{Site, alone, dump_until, error, sample_until};

use crate::support::{Poller, sleep};

async fn sleeps(site: Site) {
    sleep(&site);
}

#[test]
fn samples_can_be_turned_off_and_on() {
    let _alone = alone();
    let site = Site::default();
    let poller = Poller::new(sleeps(site.clone()));
    tasktrace::set_sample_signal(None).unwrap();
    let unsupported = TraceError::NoSample(NoSample::Unsupported);
    dump_until(poller.id(), |task| error(task) == Some(&unsupported));
    tasktrace::set_sample_signal(Some(0)).unwrap();
    sample_until(poller.id(), |leaf| leaf.name() == "std::thread::sleep");
    site.end();
    poller.join();
}

/// A thread holds the lock of the heap while it allocates, and the lock of the loader while it asks for a module. A
/// requester that needed one of these locks while the thread is suspended would hang.
#[test]
fn a_thread_that_holds_locks_of_the_system_can_be_sampled() {
    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn GetModuleHandleW(name: *const u16) -> *mut std::ffi::c_void;
    }

    async fn locks(site: Site) {
        let name: Vec<u16> = "kernel32.dll\0".encode_utf16().collect();
        while !site.is_over() {
            std::hint::black_box(vec![0_u8; 1000]);
            // SAFETY: the name is a text that ends with a zero. The function only looks the name up.
            assert!(!unsafe { GetModuleHandleW(name.as_ptr()) }.is_null());
        }
    }
    let _alone = alone();
    let site = Site::default();
    let poller = Poller::new(locks(site.clone()));
    for _ in 0..200 {
        sample_until(poller.id(), |_| true);
    }
    site.end();
    poller.join();
}

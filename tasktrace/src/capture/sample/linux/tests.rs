use std::cell::Cell;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::sync::{Arc, mpsc};

use super::super::{SampledScope, SampledScopes, SuspendedThread};
use super::copy::{IoVec, PAGE};
use super::handler::HANDLER_NEEDS;
use super::permit::PERMIT_HOLDER;
use super::shared_buffer::{IN_USE, SharedBuffer};
use super::socket_pair::SocketPair;
use super::*;
use crate::os::signal::{self, Disposition};
use crate::unwind::Mark;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

/// A mapping of several pages, each of which can be made unreadable.
struct Pages(*mut c_void, usize);

// SAFETY: the methods pass the address to the system, and access no memory by it.
unsafe impl Sync for Pages {}

impl Pages {
    fn new(count: usize) -> Self {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let length = count * PAGE;
        // SAFETY: without an address, `mmap` takes memory that nothing else uses.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        // SAFETY: the mapping above is `length` bytes long and writable, and no reference to it exists yet.
        unsafe { start.cast::<u8>().write_bytes(7, length) };
        Self(start, length)
    }

    fn start(&self) -> usize {
        self.0.expose_provenance()
    }

    /// Makes a page unreadable.
    fn close(&self, page: usize) {
        self.protect(page, libc::PROT_NONE);
    }

    /// Makes a page readable.
    fn open(&self, page: usize) {
        self.protect(page, libc::PROT_READ);
    }

    fn protect(&self, page: usize, protection: c_int) {
        let page = self.0.cast::<u8>().wrapping_add(page * PAGE);
        // SAFETY: no reference to the page exists: only the system reads the mapping, by its address.
        let result = unsafe { libc::mprotect(page.cast(), PAGE, protection) };
        assert_eq!(result, 0);
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: `new` has mapped this memory with this length, and its only owner is being dropped.
        unsafe { libc::munmap(self.0, self.1) };
    }
}

#[test]
fn a_copy_ends_at_the_first_unmapped_page() {
    if !super::copy::has_system_call() {
        println!("not run: this system lacks or refuses `process_vm_readv`");
        return;
    }
    copy_ends_at_the_first_unmapped_page(None);
}

#[test]
fn a_copy_through_sockets_ends_at_the_first_unmapped_page() {
    copy_ends_at_the_first_unmapped_page(Some(&SocketPair::open().unwrap()));
}

fn copy_ends_at_the_first_unmapped_page(sockets: Option<&SocketPair>) {
    let pages = Pages::new(4);
    let start = pages.start();
    let mut to = vec![0; 5 * PAGE];
    let mut ranges = vec![IoVec::default(); 6];
    let mut copy = |start, length| {
        to.fill(0);
        let copied = super::copy::copy(start, length, &mut to, &mut ranges, sockets);
        assert!(to[..copied].iter().all(|byte| *byte == 7));
        assert!(to[copied..].iter().all(|byte| *byte == 0));
        copied
    };
    assert_eq!(copy(start, 4 * PAGE), 4 * PAGE);
    assert_eq!(copy(start + 100, 2 * PAGE), 2 * PAGE);
    assert_eq!(copy(start + 100, 8), 8);
    assert_eq!(copy(start + PAGE - 1, 2), 2);
    assert_eq!(copy(start, 0), 0);

    pages.close(2);
    assert_eq!(copy(start, 4 * PAGE), 2 * PAGE);
    assert_eq!(copy(start + 100, 4 * PAGE), 2 * PAGE - 100);
    assert_eq!(copy(start + 2 * PAGE - 1, 2), 1);
    assert_eq!(copy(start + 2 * PAGE, PAGE), 0);
    assert_eq!(copy(start + 3 * PAGE, PAGE), PAGE);

    assert_eq!(copy(0, PAGE), 0);
    assert_eq!(copy(usize::MAX - 10, PAGE), 0);
    // The mapping is larger than the target.
    let large = Pages::new(8);
    assert_eq!(copy(large.start(), 8 * PAGE), 5 * PAGE);
    assert_eq!(copy(large.start() + 1, 8 * PAGE), 5 * PAGE);
}

/// The memory beyond the stack of a coroutine belongs to other threads.
#[test]
fn a_copy_through_sockets_survives_that_its_pages_are_unmapped_meanwhile() {
    let pages = Pages::new(2);
    let is_over = AtomicBool::new(false);
    let sockets = SocketPair::open().unwrap();
    let mut to = vec![0; 2 * PAGE];
    let mut seen = [false; 2];
    thread::scope(|threads| {
        threads.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                pages.close(1);
                pages.open(1);
            }
        });
        while seen != [true; 2] {
            let copied =
                super::copy::copy(pages.start(), 2 * PAGE, &mut to, &mut [], Some(&sockets));
            assert!([PAGE, 2 * PAGE].contains(&copied), "{copied}");
            seen[copied / PAGE - 1] = true;
        }
        is_over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn blocked_signals_of_a_thread_are_read_from_proc() {
    if !copy::has_system_call() {
        println!(
            "not run: without `process_vm_readv`, this may be an emulator, which blocks other signals"
        );
        return;
    }
    let (tell, told) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        // SAFETY: `sigemptyset` initialises `set`, and the calls after it get a pointer to the initialised set. The
        // last argument may be null.
        unsafe {
            let mut set = MaybeUninit::uninit();
            libc::sigemptyset(set.as_mut_ptr());
            libc::sigaddset(set.as_mut_ptr(), libc::SIGPROF);
            libc::sigaddset(set.as_mut_ptr(), libc::SIGRTMAX());
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
        }
        tell.send(os::thread::id().unwrap()).unwrap();
        let _ = ended.recv();
    });
    let other = told.recv().unwrap();
    assert!(is_blocked(other, libc::SIGPROF) && is_blocked(other, libc::SIGRTMAX()));
    assert!(!is_blocked(other, libc::SIGURG) && !is_blocked(other, libc::SIGRTMAX() - 1));
    assert!(!is_blocked(os::thread::id().unwrap(), libc::SIGPROF));
    drop(end);
    thread.join().unwrap();
    // No thread has this number.
    assert!(!is_blocked(u64::MAX, libc::SIGPROF));
}

#[test]
fn a_thread_that_polls_nothing_has_no_sample() {
    let collect: ReadSampledScopes = |_, _| {};
    let _room = install_handler_stack().unwrap();
    let own = os::thread::id().unwrap();
    assert_eq!(
        sample(own, true, &StateAddress::default(), collect, soon()).err(),
        Some(NoSample::Over)
    );
    let no_thread = i32::MAX as u64;
    assert_eq!(
        sample(no_thread, true, &StateAddress::default(), collect, soon()).err(),
        Some(NoSample::Over)
    );
}

#[test]
fn one_thread_has_the_permit_and_a_forked_child_gets_a_new_one() {
    let permit = InterruptPermit::wait(soon()).unwrap();
    let shared = permit.shared();
    assert!(InterruptPermit::wait(Instant::now()).is_none());
    // The state of a child after a fork: the parent has the permit.
    PERMIT_HOLDER.store(std::process::id() + 1, Ordering::Release);
    std::mem::forget(permit);
    let child = InterruptPermit::wait(soon()).unwrap();
    // The child does not use the parent's buffer.
    assert!(IN_USE.get().is_none());
    assert!(!std::ptr::eq(child.shared(), shared));
}

#[test]
fn an_abandoned_buffer_is_reclaimed_when_its_handler_has_finished() {
    const THREAD: u64 = 7;

    let permit = InterruptPermit::wait(soon()).unwrap();
    let first = permit.shared();
    let (begin, begun) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let mut handler = None;
    let wait = || {
        handler = Some(thread::spawn(move || {
            first.answer(THREAD, |_| {
                begin.send(()).unwrap();
                let _ = ended.recv();
            });
        }));
        begun.recv().unwrap();
    };
    // SAFETY: this test has the permit, so it is the only requester. `InterruptPermit::shared` returns only a buffer
    // without an open request.
    let answer = unsafe { first.request(THREAD, |_| {}, wait, |_| {}) };
    assert_eq!(answer, Err(RequestError::Unfinished));
    permit.abandon();
    let second = permit.shared();
    assert!(!std::ptr::eq(first, second));
    assert!(SharedBuffer::reclaim().is_none());

    drop(end);
    handler.unwrap().join().unwrap();
    permit.abandon();
    assert!(std::ptr::eq(first, permit.shared()));
}

thread_local! {
    static MARK: Cell<Option<Mark>> = const { Cell::new(None) };
}

/// Lists one task, at the mark that [`with_stack`] has set.
fn collect(_: Option<SuspendedThread<'_>>, scopes: &mut SampledScopes) {
    scopes.push(true, || {
        Some(SampledScope {
            mark: MARK.get()?,
            task: 1,
            key: Some(0),
            identity: None,
            own_waker: false,
            is_also_frame: false,
        })
    });
}

#[inline(never)]
fn descend(depth: usize, work: &mut dyn FnMut()) {
    let locals = std::hint::black_box([depth; 16]);
    match depth {
        0 => work(),
        _ => descend(depth - 1, work),
    }
    std::hint::black_box(locals);
}

#[inline(never)]
fn with_stack(bytes: usize, work: &mut dyn FnMut()) {
    let top = Mark::here();
    MARK.set(Some(top));
    let mut depth = 0;
    // Calls deeper until the stack is large enough.
    loop {
        let mut used = 0;
        descend(depth, &mut || {
            used = top.distance_from(Mark::here());
            if used >= bytes {
                work();
            }
        });
        if used >= bytes {
            break;
        }
        depth += 1 + depth / 8;
    }
}

/// Returns the alternate stack of this thread, from its lowest address on.
fn alternate_stack() -> &'static mut [MaybeUninit<u8>] {
    let mut stack = MaybeUninit::<libc::stack_t>::zeroed();
    // SAFETY: without a new stack, `sigaltstack` only writes the current one to `stack`, which is valid for writes and
    // whose zeroed bytes are a valid value. This thread has an alternate stack (`install_handler_stack`), so the
    // address and the size are those of a mapping. The test uses the slice only while no handler runs on that stack.
    unsafe {
        libc::sigaltstack(std::ptr::null(), stack.as_mut_ptr());
        let stack = stack.assume_init();
        std::slice::from_raw_parts_mut(stack.ss_sp.cast(), stack.ss_size)
    }
}

/// Prints the measured size with `cargo test -p tasktrace --lib handler_needs -- --nocapture`, with and without
/// `--release`.
#[test]
fn the_handler_needs_less_stack_than_it_requires() {
    const FREE: u8 = 0x5a;

    static TOP: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());

    /// Stores the position of its frame, which is where the frame of the handler would be.
    extern "C" fn entry(_: c_int, _: *mut libc::siginfo_t, _: *mut c_void) {
        let here = 0_u8;
        TOP.store(
            std::hint::black_box((&raw const here).cast_mut()),
            Ordering::Relaxed,
        );
    }

    let (tell, told) = mpsc::channel();
    let (end, ended) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        let _room = install_handler_stack().unwrap();
        let signal = libc::SIGUSR2;
        let before = Disposition::DEFAULT
            .with_handler(entry)
            .replace(signal)
            .unwrap();
        signal::raise(signal);
        before.set(signal).unwrap();
        alternate_stack().fill(MaybeUninit::new(FREE));
        let mut stack = [0_u8; 64];
        with_stack(100, &mut || {
            tell.send(os::thread::id().unwrap()).unwrap();
            let _ = ended.recv();
        });
        std::hint::black_box(&mut stack);
        let used = alternate_stack();
        let top = TOP.load(Ordering::Relaxed).addr() - used.as_ptr().addr();
        let written = used.len() - top;
        // SAFETY: `fill` above wrote each byte of the alternate stack, and the handlers that have run since only
        // overwrote some of the bytes.
        let is_free = |byte: &&mut MaybeUninit<u8>| unsafe { byte.assume_init() } == FREE;
        let free = used.iter_mut().take_while(is_free).count();
        (written, top - free)
    });
    let thread_id = told.recv().unwrap();
    for _ in 0..10 {
        match sample(thread_id, true, &StateAddress::default(), collect, soon()) {
            Ok(walked) => assert_eq!(walked.tasks.len(), 1),
            Err(error) => assert!(matches!(error, NoSample::NoResponse(_)), "{error}"),
        }
    }
    drop(end);
    let (written, needed) = thread.join().unwrap();
    println!("the system writes {written} bytes, and then the handler needs {needed}");
    assert!(needed < HANDLER_NEEDS, "{needed}");
}

/// Returns the processor time that this thread has used.
fn cpu_time() -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: `clock_gettime` writes only to `time`, which is valid for writes. Its zeroed bytes are a valid `timespec`
    // even if the call fails.
    let time = unsafe {
        libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, time.as_mut_ptr());
        time.assume_init()
    };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Prints how long threads are stopped, with `cargo test --release -p tasktrace --lib samples_of_deep -- --nocapture`.
/// A debug build takes fewer samples.
#[test]
fn samples_of_deep_stacks_are_taken_again_and_again() {
    const TIMES: usize = if cfg!(debug_assertions) { 20 } else { 2000 };

    fn median(times: &mut [Duration]) -> Duration {
        times.sort_unstable();
        times[times.len() / 2]
    }

    for kib in [4, 64, 256, 500] {
        let (tell, told) = mpsc::channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || {
                let _room = install_handler_stack().unwrap();
                let mut gaps = Vec::with_capacity(1 << 20);
                with_stack(kib << 10, &mut || {
                    tell.send(os::thread::id().unwrap()).unwrap();
                    let mut last = cpu_time();
                    while !is_over.load(Ordering::Relaxed) {
                        let now = cpu_time();
                        if now - last > Duration::from_micros(2) && gaps.len() < 1 << 20 {
                            gaps.push(now - last);
                        }
                        last = now;
                    }
                });
                gaps
            }
        });
        let thread_id = told.recv().unwrap();
        let take = || {
            let start = Instant::now();
            match sample(thread_id, true, &StateAddress::default(), collect, soon()) {
                Ok(walked) => assert_eq!(walked.tasks.len(), 1),
                // The thread got no processor in time.
                Err(error) => assert!(matches!(error, NoSample::NoResponse(_)), "{error}"),
            }
            start.elapsed()
        };
        let first = take();
        let mut warm: Vec<_> = (0..TIMES).map(|_| take()).collect();
        let cold = || {
            crate::unwind::forget();
            take()
        };
        let mut cold: Vec<_> = (0..TIMES).map(|_| cold()).collect();
        is_over.store(true, Ordering::Relaxed);
        let mut gaps = thread.join().unwrap();
        gaps.sort_unstable();
        // Each sample causes one gap. Other delays of the thread are shorter or rare.
        let mut inside = gaps.split_off(gaps.len().saturating_sub(2 * TIMES));
        println!(
            "{kib} KiB: the thread is stopped for {:.1?}; the requester takes {first:.1?} at first, \
             {:.1?} with what it has learnt, {:.1?} without",
            median(&mut inside),
            median(&mut warm),
            median(&mut cold),
        );
    }
}
